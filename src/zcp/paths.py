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


def is_file(path: Path) -> bool:
    """Tell whether there is such a file; no name is too long to be asked for."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Tell whether there is such a folder; no name is too long to be asked for."""
    try:
        return path.is_dir()
    except OSError:
        return False


def named_folder(text: str, what: str) -> Path:
    """Return the folder that a user names, with `~` expanded.

    Raises:
        InputError: if that is not a folder; `what` is called so in the message.
    """
    try:
        folder = Path(text).expanduser()
        if folder.is_dir():
            return folder
    except (OSError, RuntimeError, ValueError):
        pass  # a name that is too long, no such user, a character that no name has
    raise InputError(f"{what} names {text!r}, which is not a folder; correct it or unset it")


def is_checkout() -> bool:
    """Tell whether this code runs from a checkout of the repository, which holds the study."""
    return (BOOK / "_toc.yml").is_file()


def refit() -> str:
    """Return how a fitted model is made again: from the study in a checkout, else by installing zcp anew."""
    if is_checkout():
        return "make it with `zcp run 11 -p profile paper`"
    return "what is shipped comes back with: pip install --force-reinstall --no-deps zcp-nas"


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
        InputError: if `ZCP_HOME` names something that is not a folder.
    """
    if named := os.environ.get("ZCP_HOME"):
        return named_folder(named, "ZCP_HOME")
    return PROJECT if is_checkout() else Path()


def data_folder() -> Path | None:
    """Return the folder with ground truth and images, or None where there is none.

    It is the environment variable `ZCP_DATA` where that is set (the empty string means: none), else
    `../shared/data` beside the project where that exists.

    Raises:
        InputError: if `ZCP_DATA` names something that is not a folder.
    """
    named = os.environ.get("ZCP_DATA")
    if named is not None:
        return named_folder(named, "ZCP_DATA") if named else None
    beside = PROJECT.parent / "shared" / "data"
    return beside if is_checkout() and beside.is_dir() else None

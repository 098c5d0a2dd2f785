"""Where things lie: the project's own folders, and the data folder that a user names."""

import os
from pathlib import Path

from zcp.errors import InputError

PROJECT = Path(__file__).resolve().parents[2]
SCORES = PROJECT / "data" / "scores"
RESULTS = PROJECT / "data" / "results"
PUBLISHED = PROJECT / "data" / "published"
GOLDEN = PROJECT / "data" / "golden"
MODELS = PROJECT / "data" / "models"
RUNS = PROJECT / "data" / "runs"
BOOK = PROJECT / "book"
NOTEBOOKS = PROJECT / "notebooks"


def is_file(path: Path) -> bool:
    """Tell whether there is such a file; no name is too long to be asked for."""
    try:
        return path.is_file()
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
    return beside if beside.is_dir() else None

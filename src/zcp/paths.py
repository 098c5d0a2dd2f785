"""Where things lie: the project's own folders, and the data folder that a user names."""

import os
from pathlib import Path

from zcp.errors import InputError

PROJECT = Path(__file__).resolve().parents[2]
SCORES = PROJECT / "data" / "scores"
RESULTS = PROJECT / "data" / "results"
PUBLISHED = PROJECT / "data" / "published"
GOLDEN = PROJECT / "data" / "golden"
RUNS = PROJECT / "data" / "runs"
BOOK = PROJECT / "book"
NOTEBOOKS = PROJECT / "notebooks"


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
    return beside if beside.is_dir() else None

"""SHA-256 of data files against the list `SHA256SUMS` that lies beside them."""

import hashlib
import re
from pathlib import Path

from zcp.errors import InputError
from zcp.paths import is_file

LIST = "SHA256SUMS"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; correct its permissions") from error


def verify(root: Path, relative: str) -> Path:
    """Return the path of `relative` in `root` once it agrees with `root/SHA256SUMS`.

    Args:
        root: folder that holds `SHA256SUMS`, as `sha256sum` writes it.
        relative: path of the file below `root`, with forward slashes.

    Raises:
        InputError: if the file, the list or its line for the file is missing, the list is not one, or the
            sums differ.
    """
    path, sums = root / relative, root / LIST
    for needed in (path, sums):
        if not is_file(needed):
            raise InputError(f"{needed} is missing; copy the data folder again")
    listed = _read_list(sums)
    if relative not in listed:
        raise InputError(f"{sums} has no line for {relative}; add the output of sha256sum for it")
    found = sha256(path)
    if found != listed[relative]:
        raise InputError(
            f"{path} is damaged or another version: its SHA-256 is {found}, {LIST} says {listed[relative]}; "
            "copy it again"
        )
    return path


def _read_list(sums: Path) -> dict[str, str]:
    """Return name -> SHA-256 of a list, each name once."""
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{sums} cannot be read ({error}); copy the data folder again") from error
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if line.strip() and (not found or found[2] in listed):
            raise InputError(
                f"{sums}, line {number}: expected a SHA-256, two blanks and a name that no line before has, "
                f"found {line!r}; copy the data folder again"
            )
        if found:
            listed[found[2]] = found[1]
    return listed

"""A collection on disk: a folder of parts, Parquet files that are written once and never changed.

* The name of a part is the beginning of the SHA-256 of its bytes: one flipped bit anywhere in it, in values,
  keys or settings, is noticed when it is read, and equal parts are one file wherever they meet.
* A part appears whole or not at all, and carries the settings and versions that its rows were computed with;
  the metadata of each column say what it means (`pyarrow.parquet.read_schema(part).field("zico").metadata`).
* Nothing is rewritten, removed or locked. Several collectors may write into one folder, and parts that are
  put into one folder are merged: a network that occurs twice counts once, and must have equal values.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from zcp.collect.columns import SECONDS, describe
from zcp.collect.order import describe_gaps, in_order
from zcp.collect.settings import Origin
from zcp.data.datasets import ALL_DATASETS
from zcp.errors import InputError
from zcp.paths import PROJECT, home, is_checkout, is_file, is_folder
from zcp.spaces import ALL_SPACES

KEYS = ["space", "index", "dataset"]
#: Hexadecimal digits of its checksum in the name of a part.
DIGITS = 16
#: Errors of a disk, or of one's share of it, that has no room left.
FULL = {errno.ENOSPC, errno.EDQUOT}


def load_scores(source: str | Path) -> pd.DataFrame:
    """Read and check a collection.

    Args:
        source: a name in `data/scores` of `zcp.paths.home`, else of the checkout; or the path of a folder (a
            text with a slash, or a `Path`).

    Returns:
        One row a (space, index, dataset), with the columns space, index, arch, dataset, one float64 column a
        proxy, `reason` (JSON text: why a value is NaN or infinite, by proxy) and times: `seconds_<group>`, of
        all that shares an initialisation, or `seconds_<step>` in older parts. Ordered by space, dataset and
        position in the seeded order. `attrs["settings"]` holds the settings, `environments`, and the `steps`
        that each proxy needs where they were timed.

    Raises:
        InputError: if there is none, a part is damaged or of other settings, or a network has two values.
    """
    frame, origin = read_parts(list_parts(scores_path(source)))
    frame.attrs["settings"] = origin.to_json()
    return frame


def scores_path(source: str | Path) -> Path:
    """Return the folder of a collection, see `load_scores`; of a new one, in `zcp.paths.home`.

    Raises:
        InputError: if the name is empty.
    """
    if not source:
        raise InputError("a collection needs a name, or the path of a folder")
    if not isinstance(source, str) or "/" in source or os.sep in source or source in (".", ".."):
        return Path(source)
    own, deposited = (root / "data" / "scores" / source for root in (home(), PROJECT))
    return deposited if is_checkout() and is_folder(deposited) and not is_folder(own) else own


def scores_digest(source: str | Path) -> str:
    """Return the SHA-256 of a collection: of its part where it has one, else of the sums of all."""
    sums = sorted(sha256(part.read_bytes()).hexdigest() for part in list_parts(scores_path(source)))
    return sums[0] if len(sums) == 1 else sha256("\n".join(sums).encode()).hexdigest()


def list_parts(folder: Path) -> list[Path]:
    """Return the parts of a collection by name.

    Raises:
        InputError: if there are none.
    """
    try:
        parts = sorted(path for path in folder.iterdir() if path.suffix == ".parquet")
    except FileNotFoundError:
        parts = []
    except OSError as error:
        raise InputError(f"{folder} is no folder of parts ({error.strerror}); name a collection") from error
    if not parts:
        # A bare name would be one of `data/scores`.
        out = f"./{folder}" if len(folder.parts) == 1 else folder
        raise InputError(f"there are no scores in {folder}; compute them with `zcp collect --out {out}`")
    return parts


def read_parts(parts: Sequence[Path]) -> tuple[pd.DataFrame, Origin]:
    """Return (rows, origin) of these parts together, see `load_scores`."""
    tables, origin = [], None
    for part in parts:
        table, found = _read_part(part)
        origin = found if origin is None else origin.joined(found, (str(parts[0]), str(part)))
        tables.append(table)
    assert origin is not None
    frame = pa.concat_tables(tables, promote_options="default").to_pandas(ignore_metadata=True)
    try:
        _check_rows(frame)
    except InputError as error:
        folders = " and ".join(sorted({str(part.parent) for part in parts}))
        raise InputError(f"{folders} cannot be used: {error}") from error
    single = _without_doubles(frame, np.repeat(np.array(parts, object), [len(table) for table in tables]))
    return in_order(single, origin.settings.seed), origin


def _read_part(path: Path) -> tuple[pa.Table, Origin]:
    if not is_file(path):  # reading a pipe would wait for ever
        raise InputError(f"cannot read {path}: it is no file that is there; move it away")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if sha256(content).hexdigest()[:DIGITS] != path.stem:
        raise InputError(
            f"{path} is damaged: its content has not the checksum that is its name; restore it, or move it "
            "away and collect its rows again"
        )
    try:
        table = pq.read_table(pa.BufferReader(content))
        origin = Origin.from_json(json.loads((table.schema.metadata or {})[b"settings"]))
        _check_schema(table.schema, origin.settings.proxies)
        table.validate(full=True)
    except KeyError:
        raise InputError(f"{path} carries no settings: it was not written by `zcp collect`") from None
    except (pa.ArrowException, OSError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path} cannot be used: {(str(error) or repr(error)).splitlines()[0]}") from error
    return table.replace_schema_metadata(None), origin


def write_part(folder: Path, frame: pd.DataFrame, origin: Origin) -> Path:
    """Write rows as one part, whole or not at all, and return its path; equal rows have the same one.

    Raises:
        OSError: if the disk does not take it.
    """
    seconds = sorted(c for c in frame.columns if c.startswith(SECONDS))
    settings = {"settings": json.dumps(origin.to_json(), sort_keys=True)}
    schema = _arrow_schema(origin.settings.proxies, seconds)
    told = [field.with_metadata(describe(field.name, origin.settings.versions)) for field in schema]
    ordered = in_order(frame, origin.settings.seed)
    table = pa.Table.from_pandas(ordered, pa.schema(told), preserve_index=False)
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(settings),
        buffer,
        compression="zstd",
        use_dictionary=[f.name for f in schema if pa.types.is_string(f.type)],
        use_byte_stream_split=[f.name for f in schema if pa.types.is_floating(f.type)],
        write_statistics=False,
    )
    content = buffer.getvalue().to_pybytes()
    path = folder / f"{sha256(content).hexdigest()[:DIGITS]}.parquet"
    write_once(path, content)
    return path


def write_once(path: Path, content: bytes) -> None:
    """Put a file in its place in one step, safe from a loss of power."""
    temporary = path.with_name(f"{uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        if hasattr(os, "O_DIRECTORY"):  # not on Windows, which opens no folders
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def disk_errors(folder: Path, lost: str = "nothing was changed") -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names the folder and tells what was lost."""
    try:
        yield
    except OSError as error:
        in_the_way = (FileExistsError, NotADirectoryError)
        cause = _obstacle(folder) if isinstance(error, in_the_way) else error.strerror or error
        remedy = "Make room, or choose another folder" if error.errno in FULL else "Choose another folder"
        raise InputError(f"cannot write {folder}: {cause}; {lost}. {remedy}") from error


def _obstacle(folder: Path) -> str:
    """Return what there is where a folder was to be made."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists():
            return f"{place} is a broken link"
        if place.exists() and not place.is_dir():
            return f"{place} is {'a file' if place.is_file() else 'no folder'}"
    return "there is something else of that name"


def merge(out: Path, sources: Sequence[Path]) -> list[str]:
    """Add to a collection the rows of others that it lacks, as one new part.

    Args:
        out: a collection, or the folder of a new one.
        sources: collections of the same settings.

    Returns:
        What `out` holds now and what is missing of its order, a line a space and dataset.

    Raises:
        InputError: if one cannot be read, settings or values differ, or the disk does not take it; `out` is
            then as it was.
    """
    given = [part for source in sources for part in list_parts(source)]
    _, origin = read_parts(given)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        held = sorted(out.glob("*.parquet"))
        frame, _ = read_parts([*held, *given])
        new = frame
        if held:
            there = read_parts(held)[0][KEYS].assign(there=True)
            new = frame[frame.merge(there, on=KEYS, how="left")["there"].isna()]
        if len(new):
            write_part(out, new, origin)
    return describe_gaps(frame, origin.settings.seed)


def _arrow_schema(proxies: Sequence[str], seconds: Sequence[str]) -> pa.Schema:
    texts = [(name, pa.string()) for name in ("arch", "dataset")]
    scores = [(proxy, pa.float64()) for proxy in proxies]
    times = [(name, pa.float32()) for name in seconds]
    keys = [("space", pa.string()), ("index", pa.int64())]
    return pa.schema([*keys, *texts, *scores, ("reason", pa.string()), *times])


def _check_schema(schema: pa.Schema, proxies: Sequence[str]) -> None:
    """Raise InputError that names every column that is missing, unexpected or of another type."""
    wanted = _arrow_schema(proxies, [name for name in schema.names if name.startswith(SECONDS)])
    found, expected = ([(field.name, str(field.type)) for field in each] for each in (schema, wanted))
    if odd := {*found} ^ {*expected} or {pair for pair in found if found.count(pair) > 1}:
        named = ", ".join(f"{name} ({kind})" for name, kind in sorted(odd))
        raise InputError(f"its columns are not those of its settings: {named}")


def _check_rows(frame: pd.DataFrame) -> None:
    """Raise InputError unless each row is about an existing network and gives its reasons as JSON."""
    for column, known in (("space", ALL_SPACES), ("dataset", ALL_DATASETS)):
        if unknown := sorted({str(value) for value in frame[column].unique()} - set(known)):
            raise InputError(f"unknown {column} {', '.join(unknown)}")
    for row in frame[["space", "index", "arch"]].drop_duplicates().itertuples(index=False, name=None):
        space, index, arch = row
        if not (0 <= index < ALL_SPACES[space].size and ALL_SPACES[space].arch(index) == arch):
            raise InputError(f"index and architecture differ: {row}")
    for text in frame["reason"].unique():
        try:
            is_reason = isinstance(json.loads(text), dict)
        except (TypeError, ValueError, RecursionError):
            is_reason = False
        if not is_reason:
            raise InputError(f"a reason is not a JSON object: {text!r}")


def _without_doubles(frame: pd.DataFrame, parts: Any) -> pd.DataFrame:
    """Return each network once, with the times of its first part; raise InputError where values differ."""
    twice = frame[frame.duplicated(KEYS, keep=False)]
    if twice.empty:
        return frame
    values = twice.drop_duplicates([c for c in frame if not str(c).startswith(SECONDS)])
    if len(odd := values[values.duplicated(KEYS, keep=False)]):
        key = tuple(odd[KEYS].iloc[0])
        holders = parts[odd.index[(odd[KEYS] == key).all(axis=1)]]
        raise InputError(
            f"{key} has different values in {' and '.join(map(str, holders))}; move one of them away"
        )
    return frame.drop_duplicates(KEYS)

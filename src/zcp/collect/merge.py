"""Shards of one collection into one file."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from zcp.collect.lock import locked
from zcp.collect.schema import KEYS
from zcp.collect.store import read_scores, write_scores
from zcp.errors import InputError


def merge_shards(shards: Sequence[Path], out: Path) -> Path:
    """Write the rows of several scores files of equal settings into one.

    Args:
        shards: scores files.
        out: the file to write; it must not exist.

    Returns:
        `out`.

    Raises:
        InputError: if a shard is damaged, settings differ, two shards hold the same network, or `out` exists.
    """
    if not shards:
        raise InputError("no shards to merge; name two or more scores files")
    if out.exists():
        raise InputError(f"{out} exists already; choose another name, or move it away")
    frames: list[pd.DataFrame] = []
    _, origin = read_scores(shards[0])
    for shard in shards:
        frame, found = read_scores(shard)
        origin = origin.joined(found, (str(shards[0]), str(shard)))
        frames.append(frame.assign(shard=str(shard)))
    rows = pd.concat(frames, ignore_index=True)
    if len(twice := rows[rows.duplicated(KEYS, keep=False)]):
        network = tuple(twice[KEYS].iloc[0])
        holders = " and ".join(rows.loc[(rows[KEYS] == network).all(axis=1), "shard"])
        raise InputError(
            f"{len(twice)} rows are of networks that occur twice, such as {network} in {holders}"
        )
    with locked(out):
        try:
            write_scores(out, rows.drop(columns="shard"), origin)
        except OSError as error:
            raise InputError(
                f"cannot write {out}: {error.strerror or error}; the shards are untouched"
            ) from error
    return out

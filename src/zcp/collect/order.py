"""Which networks are scored, and in which order.

* The order of a space is a seeded permutation of its indices, so that every prefix is a random sample.
* Spaces and datasets are interleaved, so that whatever a collection has done so far is usable in every cell.
* A shard takes every n-th architecture with all its datasets; the shards together are the whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from zcp.data.datasets import ALL_DATASETS, get_dataset
from zcp.errors import InputError
from zcp.spaces import ALL_SPACES, get_space
from zcp.spaces.base import index_or_string
from zcp.statistics.seeding import seed_for

#: Spaces of more architectures are not put into a random order.
LISTED = 10**6


@dataclass(frozen=True, slots=True)
class Unit:
    """One network to be scored: an architecture on a dataset."""

    space: str
    index: int
    dataset: str


@lru_cache
def sampling_order(space: str, seed: int) -> tuple[int, ...]:
    """Return all indices of a space in the seeded random order, the same on every machine and version.

    Raises:
        InputError: if the space is too large to be listed.
    """
    if (size := get_space(space).size) > LISTED:
        raise InputError(f"space {space!r} has {size} architectures; choose some with --indices FILE")
    return tuple(sorted(range(size), key=lambda index: position(space, index, seed)))


def position(space: str, index: int, seed: int) -> int:
    """Return a number that orders the architectures of a space at random, by seed."""
    return seed_for("order", seed, space, index)


def plan(
    chosen: Mapping[str, Sequence[int]], datasets: Sequence[str], shard: tuple[int, int] = (1, 1)
) -> list[Unit]:
    """Return the networks to score, in the order in which they are begun.

    Args:
        chosen: architecture indices by space, as from `first` or `read_indices`.
        datasets: each architecture is scored on all of them.
        shard: (k, n) takes the k-th of n parts, counted from 1.

    Raises:
        InputError: if a space or a dataset does not exist.
    """
    number, parts = shard
    names = [get_dataset(name).name for name in dict.fromkeys(datasets)]
    shares = [
        [(get_space(space).name, index) for index in dict.fromkeys(indices)][number - 1 :: parts]
        for space, indices in chosen.items()
    ]
    return [
        Unit(architecture[0], architecture[1], dataset)
        for layer in zip_longest(*shares)
        for architecture in layer
        if architecture is not None
        for dataset in names
    ]


def first(count: int, spaces: Sequence[str], seed: int) -> dict[str, Sequence[int]]:
    """Return the first `count` indices of each space's random order; all of a space that has fewer.

    Raises:
        InputError: if `count` is not positive or a space does not exist.
    """
    if count < 1:
        raise InputError(f"--count must be 1 or more, not {count}")
    return {get_space(space).name: sampling_order(space, seed)[:count] for space in spaces}


def read_indices(file: Path, spaces: Sequence[str]) -> dict[str, Sequence[int]]:
    """Read architectures from a text file: one `index`, or `space index`, a line.

    An architecture string may stand in place of its index; empty lines and comments (#) are skipped.

    Raises:
        InputError: if the file cannot be read, or a line names no architecture of these spaces.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of indices {file}: {error}") from error
    chosen: dict[str, list[int]] = {space: [] for space in spaces}
    for number, line in enumerate(lines, start=1):
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in chosen and len(chosen) == 1:
            words = [*chosen, line.strip()]
        if len(words) != 2 or words[0] not in chosen:
            raise InputError(
                f"{file}, line {number}: expected `space index` with a space of {', '.join(chosen)}, "
                f"found {line!r}"
            )
        try:
            chosen[words[0]].append(get_space(words[0]).resolve(index_or_string(words[1].strip()))[0])
        except InputError as error:
            raise InputError(f"{file}, line {number}: {error}") from error
    return {space: indices for space, indices in chosen.items() if indices}


def parse_shard(text: str) -> tuple[int, int]:
    """Return (k, n) of a text such as `2/8`.

    Raises:
        InputError: if it is not of that form with 1 <= k <= n.
    """
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--shard must be k/n with k from 1 to n, such as 2/8, not {text!r}")
    return int(found[1]), int(found[2])


def in_order(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows of a table of scores by space, dataset and position in the seeded order."""
    rank = pd.DataFrame(
        {
            "space": frame["space"].map(list(ALL_SPACES).index),
            "dataset": frame["dataset"].map(list(ALL_DATASETS).index),
            "position": [position(*key, seed) for key in zip(frame["space"], frame["index"], strict=True)],
        }
    )
    order = rank.reset_index(drop=True).sort_values(["space", "dataset", "position"]).index
    return frame.iloc[order].reset_index(drop=True)


def describe_gaps(frame: pd.DataFrame, seed: int) -> list[str]:
    """Return a line a space and dataset: how much of the seeded order is there, and what is missing of it."""
    lines = []
    for (space, dataset), cell in frame.groupby(["space", "dataset"]):
        if (size := get_space(str(space)).size) > LISTED:
            lines.append(f"{space} {dataset}: {len(cell)} of {size}")
            continue
        present = set(cell["index"])
        order = sampling_order(str(space), seed)
        last = max(place for place, index in enumerate(order) if index in present) + 1
        missing = [index for index in order[:last] if index not in present]
        told = f"{len(missing)} are missing, first index {missing[0]}" if missing else "none is missing"
        told = f"of the first {last} in the order of seed {seed} {told}"
        lines.append(f"{space} {dataset}: {len(cell)} of {size}; {told}")
    return lines

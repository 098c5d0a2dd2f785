"""One network: built, fed, scored."""

import json
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from zcp.collect.columns import SECONDS
from zcp.collect.parts import KEYS
from zcp.collect.settings import DTYPES, Settings, image_digests
from zcp.collect.workers import is_shortage
from zcp.data.batches import Batch, make_batches
from zcp.data.datasets import ALL_DATASETS
from zcp.errors import InputError
from zcp.proxies.registry import get_proxy
from zcp.scoring import Scores, score
from zcp.spaces import build, get_space
from zcp.statistics.seeding import seed_for

# Initialisation passes through PyTorch's global generator, which the threads of a Dask worker would share.
_ONE_AT_A_TIME = threading.Lock()


def score_row(
    space: str, index: int, dataset: str, settings: Settings, device: str = "cpu"
) -> dict[str, Any]:
    """Score one network.

    The values depend on the arguments only: not on the process, nor on what ran before.

    Args:
        space: name of the search space.
        index: of the architecture, in the official order.
        dataset: name of the dataset.
        settings: how to score.
        device: where to; the weights and the inputs are drawn on the CPU in any case.

    Returns:
        The row of a collection: space, index, arch, dataset, the proxies, `reason` and `seconds_<group>`, the
        time of what shares an initialisation (three digits).

    Raises:
        InputError: if an argument names nothing, or images or version of zcp are not those of `settings`.
        MemoryError: if there is too little memory, which says nothing about the network.
    """
    batches = _batches(dataset, settings, device)
    with _ONE_AT_A_TIME:
        network = build(space, index, dataset, settings.seed).to(device, DTYPES[settings.dtype])
        seed = seed_for(settings.seed, space, index, dataset)
        scores = score(network, batches, settings.proxies, init=settings.init, seed=seed)
    if short := [reason for reason in scores.reasons.values() if is_shortage(reason)]:
        raise MemoryError(short[0])
    return {
        "space": space,
        "index": index,
        "arch": get_space(space).arch(index),
        "dataset": dataset,
        **{name: float(scores[name]) for name in settings.proxies},
        "reason": json.dumps(scores.reasons, sort_keys=True),
        **_seconds_by_group(scores),
    }


def failed_row(space: str, index: int, dataset: str, settings: Settings, reason: str) -> dict[str, Any]:
    """Return the row of a network that could not be scored: all NaN, with the reason."""
    return {
        "space": space,
        "index": index,
        "arch": get_space(space).arch(index),
        "dataset": dataset,
        **dict.fromkeys(settings.proxies, math.nan),
        "reason": json.dumps(dict.fromkeys(settings.proxies, reason), sort_keys=True),
    }


def rows_to_frame(rows: Sequence[dict[str, Any]], proxies: Sequence[str]) -> pd.DataFrame:
    """Return rows as a table with a column for each proxy and time."""
    seconds = sorted({key for row in rows for key in row if key.startswith(SECONDS)})
    frame = pd.DataFrame.from_records(list(rows), columns=[*KEYS, "arch", *proxies, "reason", *seconds])
    return frame.astype(dict.fromkeys([*proxies, *seconds], "float64"))


def _seconds_by_group(scores: Scores) -> dict[str, float]:
    groups: dict[str, set[str]] = {}
    for steps in scores.steps.values():
        groups.setdefault(steps[0].removesuffix("_init"), set()).update(steps)
    return {
        SECONDS + group: float(np.float16(sum(scores.seconds.get(step, 0.0) for step in sorted(steps))))
        for group, steps in groups.items()
    }


def _batches(dataset: str, settings: Settings, device: str) -> list[Batch]:
    """Return the batches that `settings` ask for, made once a process."""
    for name in settings.proxies:
        if (asked := settings.versions.get(name, 1)) != (current := get_proxy(name).version):
            raise InputError(
                f"the settings ask for version {asked} of the proxy {name}, which is of version {current} "
                "here; old and new values are not mixed, so begin a new collection"
            )
    if settings.inputs == "images":
        wanted, found = settings.images.get(dataset), image_digests([dataset])[dataset]
        if wanted != found:
            raise InputError(
                f"the {dataset} images here are not those of the settings (SHA-256 {found[:12]} against "
                f"{str(wanted)[:12]}); point ZCP_DATA at the same data folder on every machine"
            )
    return _make_batches(
        dataset, settings.inputs, settings.batch, settings.batches, settings.seed, settings.dtype, device
    )


@contextmanager
def fresh_batches() -> Iterator[None]:
    """Make batches anew in the block, and forget them after it."""
    _make_batches.cache_clear()
    try:
        yield
    finally:
        _make_batches.cache_clear()


@lru_cache(maxsize=len(ALL_DATASETS))
def _make_batches(
    dataset: str, inputs: str, batch: int, count: int, seed: int, dtype: str, device: str
) -> list[Batch]:
    return [
        Batch(b.inputs.to(device, DTYPES[dtype]), b.labels.to(device))
        for b in make_batches(inputs, dataset, batch, count=count, seed=seed)
    ]

"""Scores of several networks side by side, with the direction of each proxy and the ranks."""

from collections.abc import Iterator, Mapping

import numpy as np

from zcp.proxies.registry import REGISTRY
from zcp.scoring import Scores

#: A name of a network that is longer gets a number instead, which a line above the table explains.
WIDEST = 18


def is_larger_better(proxy: str) -> bool:
    """Tell the direction in which networks are expected to improve; of a formula, upwards."""
    return proxy not in REGISTRY or REGISTRY[proxy].larger_is_better


def ranks(proxy: str, values: list[float]) -> list[int | None]:
    """Return the rank of each value, 1 the best and equal ones alike; None for NaN."""
    signed = np.array(values) * (1 if is_larger_better(proxy) else -1)
    return [None if np.isnan(value) else 1 + int((signed > value).sum()) for value in signed]


def table(scored: Mapping[str, Scores]) -> Iterator[str]:
    """Yield lines that show the scores of one network, or compare those of several.

    Args:
        scored: by the name of the network; all with the same proxies.
    """
    if len(scored) == 1:
        for scores in scored.values():
            for name, value in scores.items():
                yield f"{name:<23}{value:<16.8g}{scores.reasons.get(name, '')}".rstrip()
        return
    labels = list(scored)
    if max(map(len, labels)) > WIDEST:
        labels = [f"#{number}" for number in range(1, len(scored) + 1)]
        yield from (f"{label:<5}{name}" for label, name in zip(labels, scored, strict=True))
    yield f"{'proxy':<23}{'better':<9}" + "".join(f"{f'{label} (rank)':<27}" for label in labels).rstrip()
    for proxy in next(iter(scored.values())):
        values = [scores[proxy] for scores in scored.values()]
        cells = [
            f"{f'{value:.8g}' + ('' if rank is None else f' ({rank})'):<27}"
            for value, rank in zip(values, ranks(proxy, values), strict=True)
        ]
        better = "larger" if is_larger_better(proxy) else "smaller"
        yield f"{proxy:<23}{better:<9}{''.join(cells)}".rstrip()
    for label, scores in zip(labels, scored.values(), strict=True):
        yield from (f"{label}, {proxy}: {reason}" for proxy, reason in scores.reasons.items())

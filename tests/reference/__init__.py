"""Slow twins: every proxy once more, written from its definition alone, with loops and in float64.

A module here holds a family; its `TWINS` maps the name of a proxy to `twin(network, batches, draw) -> float`.
The network has its weights already and may be changed: each twin is given a copy of its own. Where the
definition has no value the twin returns NaN. `draw(name, shape)` gives the standard normal noise that the
proxy reads. A module may name wider relative tolerances in `TOLERANCES`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from zcp.statistics.network import Draw

Batches = Sequence[tuple[Tensor, Tensor]]
Twin = Callable[[nn.Module, Batches, Draw], float]


def collect(attribute: str) -> dict:
    """Return the union of a dict of this name over all modules of the package."""
    union: dict = {}
    for entry in pkgutil.iter_modules(__path__):
        part = getattr(importlib.import_module(f"{__name__}.{entry.name}"), attribute, {})
        assert not union.keys() & part.keys(), f"{entry.name} repeats {sorted(union.keys() & part.keys())}"
        union |= part
    return union

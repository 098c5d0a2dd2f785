"""Activation patterns of ReLUs: which units of a sample are on."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zcp.errors import Undefined

Patterns = NDArray[np.uint8]


def require_numbers(activations: Tensor) -> None:
    """Raise where an activation is NaN: it is neither on nor off, and no comparison says so.

    Raises:
        Undefined: then.
    """
    if activations.isnan().any():
        raise Undefined("an activation is NaN, so there is no pattern of units that are on")


def pack(activations: Tensor) -> Patterns:
    """Return the pattern `activations > 0` of each sample, eight units a byte: (B, ceil(units / 8)).

    Raises:
        Undefined: if an activation is NaN.
    """
    require_numbers(activations)
    return np.packbits((activations.detach() > 0).flatten(1).cpu().numpy(), axis=1)


def count_distinct(patterns: Iterable[Patterns]) -> int:
    """Return in how many linear regions the samples lie: distinct rows over all ReLUs together."""
    return len({row.tobytes() for row in np.concatenate(list(patterns), axis=1)})

"""Amdahl's law: what a faster search is worth where the found network must be trained in any case."""

import math
from collections.abc import Sequence

import pandas as pd

from zcp.errors import InputError

#: GPU-days that the post quotes for the DARTS space: a search with TE-NAS, one with PDARTS, one training.
TE_NAS, PDARTS, TRAINING = 0.05, 0.3, 1.2


def speedups(searches: Sequence[float], baseline: float = PDARTS, training: float = TRAINING) -> pd.DataFrame:
    """Return how much faster each search is, alone and with the training of the found network.

    Args:
        searches: cost of each search; 0 is a search that is free.
        baseline: cost of the search that is replaced, above 0.
        training: cost of training the found network; all in one unit.

    Returns:
        search, faster_search (infinite for a free one), faster_pipeline, trainings (how many trainings the
        saved cost pays for).

    Raises:
        InputError: if a cost is negative or not finite, or the baseline is 0.
    """
    costs = [*searches, baseline, training]
    if not all(math.isfinite(c) and c >= 0 for c in costs) or baseline == 0:
        raise InputError(f"costs must be finite and not negative, the baseline above 0; got {costs}")
    rows = [
        {
            "search": search,
            "faster_search": baseline / search if search else math.inf,
            "faster_pipeline": (baseline + training) / (search + training) if search + training else math.inf,
            "trainings": (baseline - search) / training if training else math.inf,
        }
        for search in searches
    ]
    return pd.DataFrame(rows)

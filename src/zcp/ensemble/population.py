"""AZ-NAS of one network more: its rank in a population of which the quantiles are kept, and no scores."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zcp.proxies.population import AZ_NAS_PARTS


def quantiles(scores: pd.DataFrame, count: int = 201) -> dict[str, dict[str, list[float]]]:
    """Return quantiles of the parts of AZ-NAS in each cell; values that do not exist count as -inf.

    `scores` has the columns space, dataset and the parts; without a part there are no quantiles.
    """
    if not set(AZ_NAS_PARTS) <= set(scores):
        return {}
    found: dict[str, dict[str, list[float]]] = {}
    for (space, dataset), cell in scores.groupby(["space", "dataset"]):
        values = cell[list(AZ_NAS_PARTS)].fillna(-np.inf)
        at = np.linspace(0, len(cell) - 1, min(count, len(cell))).round().astype(int)
        found[f"{space} {dataset}"] = {part: np.sort(values[part])[at].tolist() for part in AZ_NAS_PARTS}
    return found


def rank_in_population(values: dict[str, float], population: dict[str, list[float]]) -> float:
    r"""Return AZ-NAS of a network that joins a population known by its quantiles.

    Each part's rank is that of an equal member: ascending from 1, ties averaged; below all it is a half.
    Parts that are NaN rank lowest. `population` maps each part to its quantiles, ascending.
    """
    total = 0.0
    for part in AZ_NAS_PARTS:
        known: NDArray[np.float64] = np.asarray(population[part], float)
        value = values[part] if not np.isnan(values[part]) else -np.inf
        below, upto = (np.searchsorted(known, value, side=side) for side in ("left", "right"))
        total += float(np.log(min((below + upto + 1) / 2, len(known)) / len(known)))
    return total

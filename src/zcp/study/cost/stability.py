"""How the ranks that a proxy gives move with the batch that it is computed on."""

from collections.abc import Mapping

import pandas as pd

from zcp.analysis.metrics import rank_scores, spearman
from zcp.collect import recorded_versions
from zcp.proxies.registry import REGISTRY


def batch_stability(scores: Mapping[int, pd.DataFrame], reference: int) -> pd.DataFrame:
    """Tell how the ranks that a proxy gives move with the batch.

    Args:
        scores: tables of scores of the same proxies, by batch size; networks that all of them hold count.
        reference: the batch size to compare the others with.

    Returns:
        proxy, space, dataset, batch, n, spearman (with the scores at `reference`; scores that are not finite
        rank last; NaN where a proxy is constant).
    """
    keys = ["space", "index", "dataset"]
    whole = scores[reference]
    recorded = [recorded_versions(table) for table in scores.values()]
    # Old and new definitions of a proxy are two proxies.
    proxies = [
        p
        for p in REGISTRY
        if all(p in table for table in scores.values()) and len({known.get(p, 1) for known in recorded}) == 1
    ]
    rows = []
    for batch, table in scores.items():
        if batch == reference:
            continue
        both = whole.merge(table, on=keys, suffixes=("_reference", ""))
        for (space, dataset), cell in both.groupby(["space", "dataset"]):
            for proxy in proxies:
                values = [rank_scores(cell[name].to_numpy(float)) for name in (proxy, f"{proxy}_reference")]
                row = {"proxy": proxy, "space": space, "dataset": dataset, "batch": batch, "n": len(cell)}
                rows.append(row | {"spearman": spearman(*values)})
    return pd.DataFrame(rows)

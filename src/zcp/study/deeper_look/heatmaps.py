"""Rank correlations among all pairs of proxies and the ground truth (`gt`): Figures 3 to 6 of the post."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from zcp.analysis.bootstrap import correlate_usable
from zcp.errors import InputError

GROUND_TRUTH = "gt"


def correlate_pairs(scores: pd.DataFrame, accuracy: ArrayLike | None = None) -> pd.DataFrame:
    """Correlate all pairs of columns, each on the architectures for which both have a value.

    Args:
        scores: one column a proxy, one row an architecture, turned so that larger should be better.
        accuracy: of the same architectures, where it was measured; a further column, `gt`.

    Returns:
        One row an unordered pair, and one a column with itself (NaN where it is constant): a, b (b is not
        before a in the order of the columns, `gt` is last), spearman (NaN too where fewer than two rows are
        left), n (rows used),
        left_out (rows without a usable value of both).

    Raises:
        InputError: if the lengths differ.
    """
    columns = {str(name): scores[name].to_numpy(float) for name in scores}
    if accuracy is not None:
        columns[GROUND_TRUTH] = np.asarray(accuracy, dtype=np.float64)
    if len({len(values) for values in columns.values()}) > 1:
        raise InputError(f"{len(scores)} rows of scores, but {len(np.asarray(accuracy))} accuracies")
    pairs = combinations_with_replacement(columns, 2)
    found = [{"a": a, "b": b} | correlate_usable(columns[a], columns[b]) for a, b in pairs]
    return pd.DataFrame(found, columns=["a", "b", "spearman", "n", "left_out"])


def to_matrix(pairs: pd.DataFrame, order: Sequence[str] | None = None) -> pd.DataFrame:
    """Return pairs as a symmetric matrix, in `order` or that of the columns; NaN where one is missing."""
    names = list(dict.fromkeys(pairs["a"])) if order is None else [n for n in order if n in set(pairs["a"])]
    matrix = pairs.pivot(index="a", columns="b", values="spearman")
    matrix = matrix.reindex(index=names, columns=names)
    return matrix.combine_first(matrix.T).loc[names, names].rename_axis(index=None, columns=None)


def average_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Average correlations over tasks, within each space and over all tasks (`Overall`).

    Returns:
        space, a, b, spearman (mean over the tasks where it is defined; NaN where there is none), tasks (how
        many those are).
    """
    both = pd.concat([pairs, pairs.assign(space="Overall")])
    groups = both.groupby(["space", "a", "b"], sort=False)["spearman"]
    return groups.agg(spearman="mean", tasks="count").reset_index()

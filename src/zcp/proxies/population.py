"""Scores that exist only for a population: they compare networks, so they change when others join or leave.

Each takes a table with one row an architecture and one column a proxy, such as `zcp.collect` writes. Where
it has columns `space` and `dataset`, every pair of them is a population of its own. The result is a Series of
the same index. Its `attrs["N"]` holds the size of the population, by (space, dataset) where there are such
columns.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from zcp.errors import InputError

GROUPS = ("space", "dataset")

AZ_NAS_PARTS = ("expressivity", "progressivity", "trainability", "flops")
VOTERS = ("synflow", "jacob_cov", "snip")
#: The functions of this module, whose scores are larger for better networks.
POPULATION = ("az_nas", "te_nas_rank", "vote")


def az_nas(scores: pd.DataFrame) -> pd.Series:
    r"""AZ-NAS: $\sum_v \log(\mathrm{rank}(v) / N)$ over expressivity, progressivity, trainability and FLOPs.

    Ranks ascend from 1 (worst), ties are averaged. Parts that are -inf or NaN tie for the worst rank, as in
    the reference. At most 0, which the best in every part reaches. Source: lee2024aznas.

    Raises:
        InputError: if a column is missing, or the table is empty.
    """
    return _by_population(
        scores, AZ_NAS_PARTS, lambda p: (p.rank() / len(p)).map(math.log).sum(axis=1), "az_nas"
    )


def te_nas_rank(scores: pd.DataFrame) -> pd.Series:
    """TE-NAS for a population: rank of minus the condition number plus rank of the linear regions.

    Ranks ascend from 1 (worst), ties are averaged; a condition number that is infinite or NaN ranks worst.
    Larger is better. Source: chen2021tenas, in the form of AZ-NAS's port.

    Raises:
        InputError: if the columns `ntk_cond` and `linear_regions` are missing, or the table is empty.
    """
    columns = ("ntk_cond", "linear_regions")
    signed = scores.assign(ntk_cond=-scores["ntk_cond"]) if "ntk_cond" in scores else scores
    return _by_population(signed, columns, lambda p: p.rank().sum(axis=1), "te_nas_rank")


def vote(scores: pd.DataFrame) -> pd.Series:
    """Share of the other networks that a majority of synflow, jacob_cov and snip judges to be worse.

    A network wins a pair if at least two of the three score it higher; NaN loses to every number. From 0 to
    1, larger is better; NaN for a population of one. Source: abdelfattah2021zerocost, which votes on pairs;
    the share of wins is the ranking that these votes give. `log_synflow` serves where `synflow` is missing.

    Raises:
        InputError: if a column is missing, or the table is empty.
    """
    if "synflow" not in scores and "log_synflow" in scores:
        scores = scores.assign(synflow=scores["log_synflow"])
    return _by_population(scores, VOTERS, _share_of_wins, "vote")


def _share_of_wins(part: pd.DataFrame) -> pd.Series:
    values = part.to_numpy()
    wins = [int(((row > values).sum(axis=1) >= 2).sum()) for row in values]
    others = len(part) - 1
    return pd.Series(wins, index=part.index) / (others if others else np.nan)


def _by_population(
    scores: pd.DataFrame,
    columns: Sequence[str],
    aggregate: Callable[[pd.DataFrame], pd.Series],
    name: str,
) -> pd.Series:
    """Apply `aggregate` to the columns of each population, NaN replaced by -inf."""
    missing = [column for column in columns if column not in scores]
    if missing:
        raise InputError(f"{name} needs the columns {', '.join(columns)}; missing: {', '.join(missing)}")
    if scores.empty:
        raise InputError(f"{name} ranks a population, and the table has no rows")
    values = scores.reset_index(drop=True)
    keys = [key for key in GROUPS if key in values]
    groups = values.groupby(keys).indices if keys else {"all": np.arange(len(values))}
    result = pd.Series(np.nan, index=values.index, name=name)
    for rows in groups.values():
        result.iloc[rows] = aggregate(values.loc[rows, list(columns)].astype(float).fillna(-np.inf))
    result.index = scores.index
    result.attrs["N"] = {key: len(rows) for key, rows in groups.items()} if keys else len(values)
    return result

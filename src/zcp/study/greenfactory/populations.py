"""Scores that rank a population and need no training: the mean of ranks, and the vote."""

import numpy as np
import pandas as pd

from zcp.analysis.scores import turn, usable
from zcp.ensemble.examples import Examples
from zcp.proxies import population


def larger_is_better(examples: Examples) -> pd.DataFrame:
    """Return the proxies in their documented directions; what does not exist is below all."""
    proxies = [c for c in map(str, examples.features) if not c.startswith("dataset=")]
    turned = turn(examples.features[proxies])
    return turned.where(usable(turned), -np.inf)


def mean_of_ranks(scores: pd.DataFrame, labels: pd.DataFrame) -> pd.Series:
    """Return the mean rank of each network over all columns within its cell; larger is better.

    Nothing is fitted.

    Args:
        scores: a column a proxy, larger is better; see `larger_is_better`.
        labels: their columns space and dataset.
    """
    ranks: pd.Series = scores.groupby([labels["space"], labels["dataset"]]).rank(pct=True).mean(axis=1)
    return ranks.rename("mean of ranks")


def vote(examples: Examples) -> pd.Series | None:
    """Return the vote of synflow, jacob_cov and snip, or None where one is missing."""
    table = pd.concat([examples.labels, examples.features], axis=1)
    synflow = {"synflow", "log_synflow"} & set(table)
    if not synflow or not {"jacob_cov", "snip"} <= set(table):
        return None
    return population.vote(table)

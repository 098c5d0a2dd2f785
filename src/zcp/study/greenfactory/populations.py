"""Scores that rank a population and need no training: the mean of ranks, and the vote."""

import numpy as np
import pandas as pd

from zcp.analysis.scores import turn, usable
from zcp.ensemble.examples import Examples
from zcp.proxies import population


def mean_of_ranks(examples: Examples) -> pd.Series:
    """Return the mean rank of each network over all proxies within its cell; larger is better.

    Ranks go by each proxy's documented direction; a value that does not exist ranks lowest. Nothing is
    fitted.
    """
    proxies = [c for c in map(str, examples.features) if not c.startswith("dataset=")]
    turned = turn(examples.features[proxies])
    values = turned.where(usable(turned), -np.inf)
    cells = [examples.labels["space"], examples.labels["dataset"]]
    ranks: pd.Series = values.groupby(cells).rank(pct=True).mean(axis=1)
    return ranks.rename("mean of ranks")


def vote(examples: Examples) -> pd.Series | None:
    """Return the vote of synflow, jacob_cov and snip, or None where one is missing."""
    table = pd.concat([examples.labels, examples.features], axis=1)
    synflow = {"synflow", "log_synflow"} & set(table)
    if not synflow or not {"jacob_cov", "snip"} <= set(table):
        return None
    return population.vote(table)

"""Scores that rank a population, as features: AZ-NAS of networks among those that were scored."""

import dataclasses

import pandas as pd

from zcp.ensemble.examples import Examples
from zcp.proxies import population
from zcp.proxies.registry import get_proxy, list_proxies


def add_az_nas(examples: Examples) -> Examples:
    """Return the examples with `az_nas` among the features, unless it is there or a part of it is missing.

    The ranks are among all rows of a cell, training and test alike: AZ-NAS reads no accuracy.
    """
    features = examples.features
    if "az_nas" in features or not set(population.AZ_NAS_PARTS) <= set(features):
        return examples
    column = population.az_nas(pd.concat([examples.labels, features], axis=1))
    named = features.assign(az_nas=column)
    proxies = sorted(c for c in map(str, named) if not c.startswith("dataset="))
    order = [*proxies, *(c for c in map(str, named) if c.startswith("dataset="))]
    return dataclasses.replace(examples, features=named[order])


def mean_of_ranks(examples: Examples) -> pd.Series:
    """Return the mean rank of each network over all proxies within its cell; larger is better.

    Ranks go by each proxy's documented direction; a value that does not exist ranks lowest. Nothing is
    fitted.
    """
    proxies = [c for c in map(str, examples.features) if not c.startswith("dataset=")]
    known = set(list_proxies())
    sign = [1.0 if p not in known or get_proxy(p).larger_is_better else -1.0 for p in proxies]
    values = (examples.features[proxies] * sign).fillna(-float("inf"))
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

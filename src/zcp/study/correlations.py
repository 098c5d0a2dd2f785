"""Every proxy against every accuracy: rank correlations with intervals, beside the published ones."""

import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from zcp.analysis.metrics import rank_scores, spearman
from zcp.ensemble.examples import Examples
from zcp.proxies.population import AZ_NAS_PARTS, az_nas
from zcp.proxies.registry import REGISTRY, get_proxy
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.greenfactory.published import COLUMNS, read_table
from zcp.study.results import Deposit

CELL = ["space", "dataset"]
KEYS = ["proxy", *CELL]
#: Scores of a population, larger is better -> the function and the proxies that it reads.
POPULATION = {"az_nas": (az_nas, AZ_NAS_PARTS)}
#: Resamples of an interval.
RESAMPLES = 1000


def study(examples: Examples) -> Deposit:
    """Return the section's deposit: the table `correlations` (see `correlate`)."""
    start = time.perf_counter()
    table = correlate(examples)
    settings = {"target": examples.target, "resamples": RESAMPLES}
    provenance = examples.provenance(time.perf_counter() - start)
    return Deposit(f"correlations-{examples.target}", settings, {"correlations": table}, provenance)


def correlate(examples: Examples) -> pd.DataFrame:
    """Correlate every proxy with the accuracy in every cell.

    Scores are turned so that larger is expected to be better; what is not finite ranks last.

    Returns:
        proxy, space, dataset, n (networks), failed (scores that are not finite), spearman (signed: positive
        where the proxy points into the direction that its definition says), low, high (95 percent bootstrap
        interval over architectures; NaN like the correlation where the proxy is constant).
    """
    return pd.DataFrame(_rows(examples))


def _rows(examples: Examples) -> Iterator[dict[str, object]]:
    labels = examples.labels.reset_index(drop=True)
    examples = _with_population_scores(examples)
    for (space, dataset), cell in labels.groupby(CELL, sort=False):
        part = examples.take(cell.index.to_numpy())
        accuracy = part.accuracy.to_numpy(float)
        draws = np.random.default_rng(seed_for("bootstrap", space, dataset)).integers(
            len(part), size=(RESAMPLES, len(part))
        )
        # Of a proxy that was withdrawn the direction is not known any more.
        for proxy in [str(name) for name in part.features if name in REGISTRY or name in POPULATION]:
            values = part.features[proxy].to_numpy(float)
            turned = values if proxy in POPULATION or get_proxy(proxy).larger_is_better else -values
            ranks = rank_scores(np.where(np.isfinite(values), turned, -np.inf))
            low, high = bootstrap_interval(ranks, accuracy, draws)
            found = {"proxy": proxy, "space": space, "dataset": dataset, "n": len(part)}
            found["failed"] = int((~np.isfinite(values)).sum())
            yield found | {"spearman": spearman(ranks, accuracy, signed=True), "low": low, "high": high}


def _with_population_scores(examples: Examples) -> Examples:
    """Add the scores that compare the networks of a cell, where the proxies that they read are there."""
    table = pd.concat([examples.features, examples.labels], axis=1)
    found = {name: make(table) for name, (make, parts) in POPULATION.items() if {*parts} <= {*table}}
    return dataclasses.replace(examples, features=examples.features.assign(**found))


def bootstrap_interval(
    ranks: NDArray[np.float64], accuracy: NDArray[np.float64], draws: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of Spearman's correlation over the resamples."""
    x, y = (rankdata(values[draws], axis=1) for values in (ranks, accuracy))
    x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    found = (x * y).sum(axis=1)[scale > 0] / scale[scale > 0]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def compare_with_paper(correlations: pd.DataFrame, space: str, dataset: str) -> pd.DataFrame:
    """Return one cell beside GreenFactory's Tables 5 and 8.

    Returns:
        proxy, spearman, low, high, n, failed, paper (absolute), inside (whether the absolute interval holds
        the paper's value); sorted by the absolute correlation.
    """
    paper = read_table("5", "8").query("metric == 'abs_spearman'")
    paper = paper[(paper["space"] == space) & (paper["dataset"] == dataset)]
    values = paper.assign(proxy=paper["name"].map(COLUMNS)).set_index("proxy")["value"].astype(float)
    mine = correlations[(correlations["space"] == space) & (correlations["dataset"] == dataset)]
    both = mine.drop(columns=CELL).assign(paper=mine["proxy"].map(values))
    flipped = both["spearman"] < 0
    low = both["low"].where(~flipped, -both["high"])
    high = both["high"].where(~flipped, -both["low"])
    both["inside"] = ((low <= both["paper"]) & (both["paper"] <= high)).astype(object)
    both.loc[both["paper"].isna(), "inside"] = None
    return both.sort_values("spearman", key=abs, ascending=False)


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare correlations computed now with the deposited ones.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    same = live.dropna(subset="spearman")
    counts = ["n", "failed"]
    return agree(same, deposit, "correlations", keys=KEYS, measured=["spearman"], exact=counts)

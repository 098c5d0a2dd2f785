"""What proxies add to a predictor, a search and one another: sizes with intervals, not signs.

An interval is a bootstrap over the seeds of a study, its repetitions: training sets, searches, halves. The
architectures are the same in all of them, so it says nothing of other architectures.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from zcp.analysis.bootstrap import interval
from zcp.statistics.seeding import seed_for
from zcp.study.results import Deposit

RESAMPLES = 1000
CELL = ["space", "dataset"]
#: What the post cites: percent of a predictor's correlation, and how many times fewer queries, at least.
CITED_GAIN, CITED_SPEEDUP = 20.0, 3.0


class Size(NamedTuple):
    """A size with its interval of 95 percent over seeds."""

    value: float
    low: float
    high: float

    def write(self, form: str = "{:.2f}") -> str:
        """Return `value [low, high]`."""
        value, low, high = (form.format(number) for number in self)
        return f"{value} [{low}, {high}]"


def predictor_gain(predictor: Deposit, size: int) -> Size:
    """Return what all proxies add to the encoding, percent of its correlation, mean of datasets."""
    runs = predictor.tables["runs"].query("size == @size")
    both = [_by_seed(runs[runs["features"] == name], ["dataset"]) for name in ("encoding", "+ all proxies")]

    def gain(drawn: np.ndarray) -> float:
        base, helped = (table[drawn].mean(axis=0) for table in both)
        return float((100 * (helped - base) / base).mean())

    return _bootstrap(len(both[0]), gain)


def pair_gain(combination: Deposit) -> Size:
    """Return the correlation of a chosen pair less that of the chosen single proxy, mean of cells."""
    halves = combination.tables["halves"]
    pair, single = (_by_seed(halves[halves["kind"] == kind], CELL) for kind in ("pair", "single"))
    return _bootstrap(len(pair), lambda drawn: float((pair - single)[drawn].mean()))


def search_speedup(search: Deposit) -> Size:
    """Return how many times fewer queries the best search with proxies needs than the one without.

    The ratio is that of medians, mean of datasets. The strategy is chosen on the seeds of a resample and
    measured on those that were not drawn: the best of many on the same searches would flatter.
    """
    runs = search.tables["runs"]
    names = list(runs[["strategy", "proxy"]].drop_duplicates().itertuples(index=False, name=None))
    mixed = [i for i, (strategy, _) in enumerate(names) if strategy in ("warm", "filter")]
    tables = [_by_seed(part, ["dataset"], "queries") for part in (_of(runs, *name) for name in names)]
    queries = np.stack(tables, axis=-1)  # (seeds, datasets, strategies)
    plain = names.index(("tpe", ""))

    def ratio(drawn: np.ndarray) -> float:
        left = np.setdiff1d(np.arange(len(queries)), drawn)
        if not len(left):
            return float("nan")
        best = min(mixed, key=lambda i: np.median(queries[drawn, :, i], axis=0).mean())
        medians = np.median(queries[left], axis=0)
        return float((medians[:, plain] / medians[:, best]).mean())

    found = _resample(len(queries), ratio)
    return Size(float(np.nanmean(found)), *interval(found[np.isfinite(found)]))


def _of(runs: pd.DataFrame, strategy: str, proxy: str) -> pd.DataFrame:
    return runs[(runs["strategy"] == strategy) & (runs["proxy"] == proxy)]


def _by_seed(rows: pd.DataFrame, cell: list[str], value: str = "spearman") -> np.ndarray:
    """Return values as an array, a row a seed and a column a cell."""
    table: np.ndarray = rows.pivot(index="seed", columns=cell, values=value).to_numpy(float)
    return table


def _bootstrap(seeds: int, measure: Callable[[np.ndarray], float]) -> Size:
    return Size(measure(np.arange(seeds)), *interval(_resample(seeds, measure)))


def _resample(seeds: int, measure: Callable[[np.ndarray], float]) -> np.ndarray:
    source = np.random.default_rng(seed_for("promise", seeds))
    return np.array([measure(source.integers(0, seeds, seeds)) for _ in range(RESAMPLES)])

"""Figure 1: how accuracies are spread over the complete spaces, as counts that may be published."""

import time

import numpy as np
import pandas as pd

from zcp import benchmarks
from zcp.data.datasets import DATASETS
from zcp.ensemble.examples import SPACES
from zcp.study.agreement import agree
from zcp.study.results import Deposit
from zcp.versions import versions

WIDTH = 2.0  # percent


def count_accuracies(space: str, dataset: str, target: str) -> pd.DataFrame:
    """Return the histogram of one cell over the complete space: space, dataset, low (percent), count."""
    accuracy = benchmarks.load(space).accuracy(dataset, target).dropna()
    counts, edges = np.histogram(accuracy, np.arange(0, 100 + WIDTH, WIDTH))
    return pd.DataFrame({"space": space, "dataset": dataset, "low": edges[:-1], "count": counts})


def study(target: str) -> Deposit:
    """Return the deposit of all cells of a target."""
    start = time.perf_counter()
    cells = [count_accuracies(space, dataset, target) for space in SPACES[target] for dataset in DATASETS]
    provenance = {
        "sources": {space: benchmarks.load(space).source for space in SPACES[target]},
        "versions": versions(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    settings = {"target": target, "width": WIDTH}
    return Deposit(
        f"histograms-{target}", settings, {"counts": pd.concat(cells, ignore_index=True)}, provenance
    )


def check(deposit: Deposit) -> pd.DataFrame:
    """Count anew and compare with the deposit, every bin.

    Raises:
        DisagreementError: if a count differs.
    """
    live = study(deposit.settings["target"]).tables["counts"]
    return agree(live, deposit, "counts", keys=["space", "dataset", "low"], exact=["count"])

"""Rows as a reason: correlation and error under the paper's protocol against the number of rows.

A subset of the networks is drawn, nested in the larger ones, with all of their rows; then the whole protocol
runs on it: it is split, the ensemble is fitted, and measured on its own test rows. Where rows are split at
random, more networks also bring more twins of test rows into training; so the split without leaks is beside
it. What a page says about more rows is what these curves show between their ends, and nothing beyond.
"""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from zcp.analysis.metrics import kendall, rmse
from zcp.ensemble.examples import Examples
from zcp.ensemble.splits import split
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.figures import panels, styled
from zcp.study.greenfactory.evaluation import CELL, Ensemble
from zcp.study.greenfactory.fits import run_plan
from zcp.study.results import Deposit

#: Shares of the networks.
SHARES = (0.125, 0.25, 0.5, 1.0)
METRICS = ("kendall", "rmse")
SCHEMES = ("isomorphic", "random")


def draw_networks(examples: Examples, share: float, seed: int) -> Examples:
    """Return all rows of this share of the networks; a smaller share is a part of a larger one."""
    names = examples.architectures.unique()
    order = np.random.default_rng(seed_for("growing rows", seed)).permutation(names)
    chosen = order[: round(share * len(names))]
    return examples.take(np.flatnonzero(examples.architectures.isin(chosen)))


def measure_share(
    examples: Examples, ensemble: Ensemble, scheme: str, share: float, seed: int
) -> pd.DataFrame:
    """Run the protocol on a share of the networks.

    Returns:
        scheme, share, seed, rows (of all networks of the share), space, dataset, n (test rows), kendall
        (signed), rmse (percent).
    """
    part = draw_networks(examples, share, seed)
    parts = split(part, scheme, seed)
    test = part.take(parts.test)
    predicted = ensemble.predict(ensemble.fit(part, parts.train, seed), test)
    accuracy, found = test.accuracy.to_numpy(), []
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        at = cell.index.to_numpy()
        row = {"scheme": scheme, "share": share, "seed": seed, "rows": len(part)}
        row |= {"space": space, "dataset": dataset}
        row |= {"n": len(at), "kendall": kendall(predicted[at], accuracy[at])}
        found.append(row | {"rmse": rmse(predicted[at], accuracy[at])})
    return pd.DataFrame(found)


def study(
    examples: Examples,
    ensemble: Ensemble,
    seeds: Sequence[int],
    *,
    shares: Sequence[float] = SHARES,
    jobs: int = 1,
) -> Deposit:
    """Measure every scheme, share and seed; the deposit `rows-<target>` holds `points` and `summary`."""
    start = time.perf_counter()
    plan = [(ensemble, scheme, share, seed) for scheme in SCHEMES for share in shares for seed in seeds]
    points = pd.concat(run_plan(measure_share, examples, plan, jobs=jobs), ignore_index=True)
    settings = {"target": examples.target, "seeds": list(seeds), "ensemble": ensemble._asdict()}
    tables = {"points": points, "summary": summarise(points)}
    return Deposit(
        f"rows-{examples.target}", settings, tables, examples.provenance(time.perf_counter() - start)
    )


def summarise(points: pd.DataFrame) -> pd.DataFrame:
    """Return, per scheme and share, rows and the mean over cells of each metric, with its deviation."""
    keys = ["scheme", "share"]
    seeds = points.groupby([*keys, "seed"])[["rows", *METRICS]].mean()
    means = seeds.groupby(keys).mean()
    return means.join(seeds.groupby(keys)[list(METRICS)].std().add_suffix("_std")).reset_index()


def check(examples: Examples, deposit: Deposit) -> pd.DataFrame:
    """Run the protocols on the smallest share anew, with the first seed, and compare.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    made, share = deposit.settings, float(deposit.tables["points"]["share"].min())
    ensemble, seed = Ensemble(**made["ensemble"]), made["seeds"][0]
    live = pd.concat([measure_share(examples, ensemble, scheme, share, seed) for scheme in SCHEMES])
    keys = ["scheme", "share", "seed", *CELL]
    return agree(
        live.reset_index(drop=True), deposit, "points", keys=keys, measured=METRICS, exact=["n", "rows"]
    )


@styled
def plot_rows(summary: pd.DataFrame) -> Figure:
    """Draw both metrics against the number of rows, with one deviation over the seeds."""
    figure, axes = panels(2, 2, (4, 2.8), sharex=True)
    labels = ("Kendall correlation", "RMSE (percentage points)")
    for axis, metric, label in zip(axes, METRICS, labels, strict=True):
        for scheme, mine in summary.groupby("scheme"):
            spread = mine[f"{metric}_std"].astype(float).fillna(0)
            axis.errorbar(mine["rows"], mine[metric], yerr=spread, fmt="o-", capsize=2, label=scheme)
        axis.set(xscale="log", xlabel="rows", ylabel=label)
    axes[0].legend()
    return figure

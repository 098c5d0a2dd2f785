"""Sample efficiency: how many trained architectures of one cell a predictor needs.

In each cell the test rows of a leak-free split are held out; of the rest, nested random subsets are the
trained architectures. A point of a curve is one fit, kept under what it depends on: more seeds or sizes
fit only what is new, and the fit with all networks serves every size that exceeds them.
"""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from zcp.analysis.metrics import kendall
from zcp.ensemble.candidates import CANDIDATES
from zcp.ensemble.examples import Examples
from zcp.ensemble.features import ONE_HOT
from zcp.ensemble.splits import split
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.greenfactory.architectures import choose_columns
from zcp.study.greenfactory.fits import run_plan
from zcp.study.results import Deposit

CELL = ["space", "dataset"]
SIZES = (10, 30, 100, 300, 1_000, 2_000, 5_000)
KINDS = ("proxies", "encoding", "both")
SETTINGS = {"max_features": 0.5, "min_samples_leaf": 1, "bootstrap": False}


def sizes_for(available: int, sizes: Sequence[int] = SIZES) -> list[int]:
    """Return the sizes below `available`, and `available` itself."""
    return [size for size in sizes if size < available] + [available]


def choose_rows(examples: Examples, space: str, dataset: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the test rows of a cell, and its other rows in random order; the first k are the k trained."""
    parts = split(examples, "isomorphic", seed)
    cell = (examples.labels["space"].eq(space) & examples.labels["dataset"].eq(dataset)).to_numpy()
    pool = np.concatenate([parts.train, parts.validation])
    rng = np.random.default_rng(seed_for("learning curve", space, dataset, seed))
    return parts.test[cell[parts.test]], rng.permutation(np.sort(pool[cell[pool]]))


def measure_point(examples: Examples, space: str, dataset: str, seed: int, size: int) -> pd.DataFrame:
    """Fit on `size` networks of a cell and measure on its test rows.

    Returns:
        space, dataset, seed, size, n (test rows), model (`proxies`, `encoding`, `both`, or `best proxy`: the
        one that correlates most with the same networks' accuracies), kendall (signed).
    """
    test, order = choose_rows(examples, space, dataset, seed)
    train, accuracy = order[:size], examples.accuracy.to_numpy()
    found = {}
    for kind in KINDS:
        features = choose_columns(examples.take(np.concatenate([train, test])), kind).to_numpy()
        model = make_pipeline(*CANDIDATES["extra trees"].build(SETTINGS, seed))
        model.fit(features[:size], accuracy[train])
        found[kind] = kendall(model.predict(features[size:]), accuracy[test])
    found["best proxy"] = _best_proxy(examples, train, test)
    key = {"space": space, "dataset": dataset, "seed": seed, "size": size, "n": len(test)}
    return pd.DataFrame([{**key, "model": name, "kendall": tau} for name, tau in found.items()])


def _best_proxy(examples: Examples, train: np.ndarray, test: np.ndarray) -> float:
    accuracy, features = examples.accuracy.to_numpy(), examples.features.drop(columns=ONE_HOT)
    taus = {c: kendall(features[c].to_numpy()[train], accuracy[train]) for c in features}
    best = max(taus, key=lambda name: np.nan_to_num(abs(taus[name])))
    sign = -1.0 if taus[best] < 0 else 1.0
    return sign * kendall(features[best].to_numpy()[test], accuracy[test])


def study(
    examples: Examples, seeds: Sequence[int], *, sizes: Sequence[int] = SIZES, jobs: int = 1
) -> Deposit:
    """Measure every curve; the deposit `learning_curves-<target>` holds `points` and `summary`."""
    start = time.perf_counter()
    cells = examples.labels[CELL].drop_duplicates().itertuples(index=False, name=None)
    plan = [
        (space, dataset, seed, size)
        for space, dataset in cells
        for seed in seeds
        for size in sizes_for(len(choose_rows(examples, space, dataset, seed)[1]), sizes)
    ]
    points = pd.concat(run_plan(measure_point, examples, plan, jobs=jobs), ignore_index=True)
    points["all"] = points["size"] == points.groupby([*CELL, "seed"])["size"].transform("max")
    settings = {"target": examples.target, "seeds": list(seeds), "sizes": list(sizes), **SETTINGS}
    tables = {"points": points, "summary": summarise(points)}
    provenance = examples.provenance(time.perf_counter() - start)
    return Deposit(f"learning_curves-{examples.target}", settings, tables, provenance)


def summarise(points: pd.DataFrame) -> pd.DataFrame:
    """Return mean and deviation over seeds per cell, model and size; all networks count as one size.

    Returns:
        space, dataset, model, size, all, kendall, std, seeds, n.
    """
    whole = points.groupby(CELL)["size"].transform("max")
    aligned = points.assign(size=points["size"].where(~points["all"], whole))
    groups = aligned.groupby([*CELL, "model", "size", "all"])
    aims = {"kendall": ("kendall", "mean"), "std": ("kendall", "std"), "n": ("n", "mean")}
    return groups.agg(**aims, seeds=("seed", "nunique")).reset_index()


def find_overtaking(summary: pd.DataFrame, model: str, other: str) -> pd.DataFrame:
    """Return where one mean curve lies above another.

    Returns:
        space, dataset, `first`: smallest size from which `model` stays above `other` to the end (NaN: it
        does not at the end), `ahead`: the sizes at which it is above, as text.
    """
    wide = summary.pivot(index=[*CELL, "size"], columns="model", values="kendall").reset_index()
    rows = []
    for (space, dataset), curve in wide.sort_values("size").groupby(CELL):
        above = (curve[model] > curve[other]).to_numpy()
        stays = np.logical_and.accumulate(above[::-1])[::-1]
        first = float(curve["size"][stays].iloc[0]) if stays.any() else float("nan")
        ahead = ", ".join(str(size) for size in curve["size"][above]) or "none"
        rows.append({"space": space, "dataset": dataset, "first": first, "ahead": ahead})
    return pd.DataFrame(rows)


def check(examples: Examples, deposit: Deposit, size: int = 100) -> pd.DataFrame:
    """Measure one point of every curve anew with the deposit's first seed, and compare.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    seed = deposit.settings["seeds"][0]
    cells = examples.labels[CELL].drop_duplicates().itertuples(index=False, name=None)
    points = [measure_point(examples, space, dataset, seed, size) for space, dataset in cells]
    live = pd.concat(points, ignore_index=True)
    keys = [*CELL, "seed", "size", "model"]
    return agree(live, deposit, "points", keys=keys, measured=["kendall"], exact=["n"], by=["model"])

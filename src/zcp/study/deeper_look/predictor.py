"""Proxies as features of a model-based predictor: what they add to the encoding of an architecture.

The predictor is a random forest, as elsewhere in this study, on the topology space; the encoding says for
each edge of the cell which operation it has.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from zcp.analysis.metrics import spearman
from zcp.analysis.scores import turn
from zcp.ensemble.examples import Examples
from zcp.ensemble.regressors import build_forest
from zcp.errors import InputError
from zcp.spaces import get_space
from zcp.spaces.cells import OPERATIONS
from zcp.spaces.tss import parse_cell
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.deeper_look.combination import MEMBERS
from zcp.study.results import Deposit

#: Name of a set of features -> the proxies that join the encoding; None: no encoding, proxies only.
SETS: Mapping[str, tuple[str, ...] | None] = {
    "encoding": (),
    "+ jacob_cov": ("jacob_cov",),
    "+ params, flops": ("params", "flops"),
    "+ all proxies": MEMBERS,
    "proxies only": None,
}
SIZES = (10, 20, 50, 100, 200, 400)
#: Networks that are tested on, at least; a size that leaves fewer is skipped.
LEAST_TEST = 50
KEYS = ["dataset", "seed", "size", "features"]


def encode_cells(indices: Sequence[int]) -> pd.DataFrame:
    """Return the one-hot encoding of cells: a row an architecture, six edges times five operations."""
    cells = [parse_cell(get_space("tss").arch(int(index))) for index in indices]
    columns = [f"{edge}={name}" for edge in range(6) for name in OPERATIONS]
    values = [[float(cell[edge] == name) for edge in range(6) for name in OPERATIONS] for cell in cells]
    return pd.DataFrame(values, columns=columns)


def evaluate(examples: Examples, dataset: str, seed: int, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """Fit each set of features on the first `size` networks of a random order and rank those of the rest.

    The test networks are the same for all sizes: what remains after the largest.

    Returns:
        dataset, seed, size, features, spearman (signed), n (test networks).

    Raises:
        InputError: if there are too few networks for any size.
    """
    rows = np.flatnonzero((examples.labels["space"] == "tss") & (examples.labels["dataset"] == dataset))
    usable_sizes = [size for size in sizes if len(rows) - size >= LEAST_TEST]
    if not usable_sizes:
        raise InputError(f"{len(rows)} networks of tss on {dataset} are too few to train and test on")
    part = examples.take(np.random.default_rng(seed_for("predictor", dataset, seed)).permutation(rows))
    encoding = encode_cells(part.labels["index"].tolist())
    proxies = turn(part.features[[m for m in MEMBERS if m in part.features]]).reset_index(drop=True)
    accuracy, found = part.accuracy.to_numpy(float), []
    test = slice(max(usable_sizes), None)
    for name, added in SETS.items():
        chosen = proxies if added is None else proxies[[p for p in added if p in proxies]]
        features = chosen if added is None else pd.concat([encoding, chosen], axis=1)
        for size in usable_sizes:
            model = build_forest(seed, max_features=1 / 3).fit(features[:size], accuracy[:size])
            value = spearman(model.predict(features[test]), accuracy[test])
            found.append((dataset, seed, size, name, value, len(accuracy[test])))
    return pd.DataFrame(found, columns=[*KEYS, "spearman", "n"])


def study(examples: Examples, seeds: Sequence[int], jobs: int = 1) -> Deposit:
    """Return the deposit `predictor-<target>`: `runs` (see `evaluate`) and `gains` (see `gains`)."""
    start = time.perf_counter()
    datasets = examples.labels.loc[examples.labels["space"] == "tss", "dataset"].unique()
    plan = [(dataset, seed) for dataset in datasets for seed in seeds]
    parts = Parallel(n_jobs=jobs)(delayed(evaluate)(examples, *each) for each in plan)
    runs = pd.concat(parts, ignore_index=True)
    settings = {"target": examples.target, "seeds": list(seeds)}
    made = examples.provenance(time.perf_counter() - start)
    return Deposit(f"predictor-{examples.target}", settings, {"runs": runs, "gains": gains(runs)}, made)


def gains(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what proxies add: dataset, size, features, mean, std, gain, gain_std, seeds.

    The gain is in percent of the mean correlation of the encoding alone; its deviation is over seeds, paired.
    """
    keyed = runs.set_index(KEYS)["spearman"].unstack("features")
    found = []
    for (dataset, size), part in keyed.groupby(["dataset", "size"], sort=False):
        base = part["encoding"].mean()
        for name in (name for name in SETS if name in part):
            extra = 100 * (part[name] - part["encoding"]) / base
            row = {"dataset": dataset, "size": size, "features": name, "mean": part[name].mean()}
            row |= {"std": part[name].std(), "gain": extra.mean(), "gain_std": extra.std()}
            found.append(row | {"seeds": len(part)})
    return pd.DataFrame(found)


def check(examples: Examples, deposit: Deposit, dataset: str) -> pd.DataFrame:
    """Compare the runs of the first seed on one dataset with the deposited ones.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    live = evaluate(examples, dataset, deposit.settings["seeds"][0], SIZES)
    return agree(live, deposit, "runs", keys=KEYS, measured=["spearman"], exact=["n"], by=["size"])

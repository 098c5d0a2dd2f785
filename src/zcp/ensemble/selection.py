"""Which regressor: GreenFactory's Table 2, regressors x treatments of the data x random seeds."""

import time
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from zcp.ensemble.examples import Examples
from zcp.ensemble.published import read_table
from zcp.ensemble.regressors import NEEDS_SCALING, REGRESSORS, build_regressor
from zcp.ensemble.splits import Split, split
from zcp.metrics import rmse
from zcp.results import RELATIVE, Deposit, agree

# Treatment -> (scheme of the split, features standardised?). The first three are the paper's columns.
TREATMENTS = {
    "none": ("random", False),
    "stratified": ("stratified", False),
    "standardized": ("random", True),
    "stratified_after": ("stratified_after", False),
}
KEYS = ["regressor", "data", "seed"]


def compare_regressors(
    examples: Examples, seeds: Iterable[int], *, regressors: Sequence[str] = tuple(REGRESSORS), jobs: int = 1
) -> pd.DataFrame:
    """Fit every regressor under every treatment and seed; the seed sets the split and the regressor.

    Returns:
        One row a fit: regressor, data (the treatment), seed, rmse (percent, on the validation rows: the
        test rows are kept for the evaluation), n (validation rows), converged.
    """
    plan = [(data, seed) for seed in seeds for data in TREATMENTS]
    rows = Parallel(n_jobs=jobs)(
        delayed(_fit_treatment)(examples, data, seed, regressors) for data, seed in plan
    )
    return pd.DataFrame([row for block in rows for row in block])


def study(examples: Examples, seeds: Sequence[int], *, jobs: int = 1) -> Deposit:
    """Return the section's deposit: the table `fits` and, over seeds, its `summary`."""
    start = time.perf_counter()
    fits = compare_regressors(examples, seeds, jobs=jobs)
    return Deposit(
        f"model_selection-{examples.target}",
        {"target": examples.target, "seeds": list(seeds), "treatments": TREATMENTS},
        {"fits": fits, "summary": summarise(fits)},
        examples.provenance(time.perf_counter() - start),
    )


def summarise(fits: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation of the RMSE over seeds: regressor, data, mean, std, seeds, n."""
    groups = fits.groupby(["regressor", "data"], sort=False)
    return groups.agg(
        mean=("rmse", "mean"), std=("rmse", "std"), seeds=("seed", "nunique"), n=("n", "first")
    ).reset_index()


def compare_with_paper(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the summary beside the paper's mean and standard deviation, and the difference of the means."""
    paper = read_table("2").pivot(index=["name", "data"], columns="metric", values="value").astype(float)
    paper = paper.rename(columns={"rmse_mean": "paper_mean", "rmse_std": "paper_std"}).reset_index()
    both = summary.merge(paper.rename(columns={"name": "regressor"}), on=["regressor", "data"], how="left")
    return both.assign(difference=both["mean"] - both["paper_mean"])


def _fit_treatment(
    examples: Examples, data: str, seed: int, regressors: Sequence[str]
) -> list[dict[str, object]]:
    scheme, standardize = TREATMENTS[data]
    parts = split(examples, scheme, seed)
    names = [name for name in regressors if standardize or name not in NEEDS_SCALING]
    return [
        {"regressor": n, "data": data, "seed": seed, **_fit(examples, parts, n, seed, standardize)}
        for n in names
    ]


def _fit(examples: Examples, parts: Split, name: str, seed: int, standardize: bool) -> dict[str, object]:
    train, held = examples.take(parts.train), examples.take(parts.validation)
    model = build_regressor(name, seed, standardize=standardize)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train.features, train.accuracy)
    converged = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
    return {"rmse": rmse(model.predict(held.features), held.accuracy), "n": len(held), "converged": converged}


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare live fits with the deposited ones of the same regressor, treatment and seed.

    Two percent of the error is allowed, or one standard deviation over seeds where that is more: raw
    features span thirty orders of magnitude, so that least squares without scaling depends on the linear
    algebra library.

    Raises:
        DisagreementError: if one differs by more, or no seed is common.
    """
    live = live[live["seed"].isin(deposit.settings["seeds"])].reset_index(drop=True)
    spread = live.merge(deposit.tables["summary"], on=["regressor", "data"], how="left")["std"].fillna(0.0)
    allowed = np.maximum(RELATIVE * live["rmse"], spread.astype(float))
    return agree(live, deposit.tables["fits"], keys=KEYS, tolerances={"rmse": allowed, "n": 0})

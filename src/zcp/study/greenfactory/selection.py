"""Which regressor: GreenFactory's Table 2, regressors x treatments of the data x random seeds."""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from zcp.analysis.bootstrap import RESAMPLES, Resamples, interval, resampled_rmse
from zcp.analysis.metrics import rmse
from zcp.ensemble.examples import Examples
from zcp.ensemble.regressors import NEEDS_SCALING, REGRESSORS, build_regressor
from zcp.ensemble.splits import split
from zcp.study.agreement import FACTOR, agree, largest_tolerance, name_groups, read_spreads
from zcp.study.greenfactory.fits import run_plan
from zcp.study.results import Deposit

# Treatment -> (scheme of the split, features standardised?). The first three are the paper's columns.
TREATMENTS = {
    "none": ("random", False),
    "stratified": ("stratified", False),
    "standardized": ("random", True),
    "stratified_after": ("stratified_after", False),
}
PUBLISHED = ("none", "stratified", "standardized")
OWN_SEEDS = 5  # at most, of the treatment that the paper has not
KEYS = ["regressor", "data", "seed"]


def compare_regressors(
    examples: Examples,
    seeds: Sequence[int],
    *,
    regressors: Sequence[str] = tuple(REGRESSORS),
    treatments: Sequence[str] = tuple(TREATMENTS),
    jobs: int = 1,
    keep: bool = False,
) -> pd.DataFrame:
    """Fit every regressor under every treatment and seed; the seed sets the split and the regressor.

    Args:
        examples: the rows.
        seeds: one fit each; our own treatment gets the first five only.
        regressors: names.
        treatments: names.
        jobs: processes.
        keep: whether single fits are kept, so that a killed run goes on where it stopped.

    Returns:
        One row a fit: regressor, data (the treatment), seed, rmse (percent, on the validation rows), n
        (validation rows), converged, resampled (the RMSE in each resample of the architectures).
    """
    plan = [
        (name, data, seed)
        for name in sorted(regressors, key=list(REGRESSORS).index)
        for data in treatments
        for seed in (seeds if data in PUBLISHED else seeds[:OWN_SEEDS])
        if TREATMENTS[data][1] or name not in NEEDS_SCALING
    ]
    fits = run_plan(_fit, examples, plan, jobs=jobs, keep=keep)
    return pd.DataFrame(
        [dict(zip(KEYS, item, strict=True)) | fit for item, fit in zip(plan, fits, strict=True)]
    )


def study(examples: Examples, seeds: Sequence[int], *, jobs: int = 1) -> Deposit:
    """Return the section's deposit: the table `fits` and, over seeds, its `summary`.

    Args:
        examples: the rows.
        seeds: of splits and regressors.
        jobs: processes.
    """
    start = time.perf_counter()
    fits = compare_regressors(examples, seeds, jobs=jobs, keep=True)
    tables = {"fits": fits.drop(columns="resampled"), "summary": summarise(fits)}
    settings: dict[str, Any] = {"target": examples.target, "seeds": list(seeds), "treatments": TREATMENTS}
    settings |= {"features": list(examples.features), "resamples": RESAMPLES}
    # Fits that an earlier run kept took their time, too.
    seconds = max(time.perf_counter() - start, float(fits["seconds"].sum()) / jobs)
    provenance = examples.provenance(seconds)
    return Deposit(f"model_selection-{examples.target}", settings, tables, provenance)


def summarise(fits: pd.DataFrame) -> pd.DataFrame:
    """Return mean and deviation of the RMSE over seeds, and the interval of the mean over architectures.

    Returns:
        regressor, data, mean, std, low, high, seeds, n.
    """
    rows = []
    for (regressor, data), mine in fits.groupby(["regressor", "data"], sort=False):
        low, high = interval(np.mean(mine["resampled"].tolist(), axis=0))
        row = {"regressor": regressor, "data": data, "mean": mine["rmse"].mean(), "std": mine["rmse"].std()}
        rows.append(row | {"low": low, "high": high, "seeds": len(mine), "n": mine["n"].iloc[0]})
    return pd.DataFrame(rows)


def _fit(examples: Examples, name: str, data: str, seed: int) -> dict[str, object]:
    start = time.perf_counter()
    scheme, standardize = TREATMENTS[data]
    parts = split(examples, scheme, seed)
    train, held = examples.take(parts.train), examples.take(parts.validation)
    model = build_regressor(name, seed, standardize=standardize)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train.features, train.accuracy)
    predicted, measured = model.predict(held.features), held.accuracy.to_numpy()
    resampled = resampled_rmse(
        predicted, measured, Resamples(examples.architectures).weigh(held.architectures)
    )
    return {
        "rmse": rmse(predicted, measured),
        "n": len(held),
        "converged": not any(issubclass(w.category, ConvergenceWarning) for w in caught),
        "seconds": round(time.perf_counter() - start, 3),
        "resampled": resampled.round(5).tolist(),
    }


def tabulate_spreads(deposit: Deposit) -> pd.DataFrame:
    """Return what rounding does to the first seed's errors, see `zcp.study.agreement`.

    Returns:
        regressor, data, rmse (deposited), spread (percentage points), perturbations, settings, compared
        (whether a live value is compared at all); NaN where no spread was measured.
    """
    fits = deposit.tables["fits"]
    first = fits[fits["seed"] == deposit.settings["seeds"][0]].assign(
        group=lambda t: name_groups(t, KEYS[:2])
    )
    known = read_spreads()
    known = known[known["deposit"].eq(deposit.name) & known["quantity"].eq("rmse")]
    both = first.merge(known[["group", "spread", "perturbations", "settings"]], on="group", how="left")
    most = largest_tolerance("rmse", both["rmse"].to_numpy(float))
    compared = (FACTOR * both["spread"].fillna(0.0) <= most).map({True: "yes", False: "no"})
    columns = [*KEYS[:2], "rmse", "spread", "perturbations", "settings"]
    found: pd.DataFrame = both[columns].assign(compared=compared)
    return found


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare live fits with the deposited ones of the same regressor, treatment and seed.

    Raw features span thirty orders of magnitude. Where the singular values of a linear model do as well, its
    small ones are rounding errors of the linear algebra library, and so is the fit: `zcp.study.agreement`
    lists what is decided so and does not compare it.

    Raises:
        DisagreementError: if an error differs by more than its measured tolerance, or no seed is common.
    """
    live = live[live["seed"].isin(deposit.settings["seeds"])].reset_index(drop=True)
    return agree(live, deposit, "fits", keys=KEYS, measured=["rmse"], exact=["n"], by=KEYS[:2])

import dataclasses
from itertools import product

import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.study.greenfactory import fits, leaks
from zcp.study.greenfactory.evaluation import Ensemble
from zcp.study.results import Deposit, DisagreementError

ENSEMBLE = Ensemble(
    ["dataset=cifar10", "params", "zico"],
    {"n_estimators": 10, "max_features": 2, "min_samples_leaf": 1},
)


@pytest.fixture(scope="module")
def deposit():
    rows = make_examples(30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MEMORY", Memory(None))
        return leaks.study(rows, ENSEMBLE, [0, 1])


def test_each_scheme_takes_its_leak_away(deposit):
    shares = deposit.tables["cells"].groupby("scheme")[["exposed", "copied"]].mean()
    assert shares.loc["stratified", "copied"] > 0.1
    assert (shares.drop(index="stratified")["copied"] == 0).all()
    assert shares.loc["random", "exposed"] > 0.5
    assert shares.loc["isomorphic", "exposed"] == shares.loc["stratified_isomorphic", "exposed"] == 0


def test_effects_are_differences_under_one_seed(deposit):
    cells, effects = deposit.tables["cells"], deposit.tables["effects"]
    at = cells.query("space == 'tss' and dataset == 'cifar100'").pivot(
        index="seed", columns="scheme", values="kendall"
    )
    gain = at["grouped"] - at["isomorphic"]
    row = effects.query("leak == 'isomorphic cells' and metric == 'kendall' and space == 'tss'")
    row = row[row["dataset"] == "cifar100"].iloc[0]
    assert row["mean"] == pytest.approx(gain.mean()) and row["std"] == pytest.approx(gain.std())
    whole = effects.query("metric == 'rmse'").groupby(["space", "dataset"])["mean"].sum()
    ends = cells.groupby(["scheme", "space", "dataset"])["rmse"].mean()
    assert np.allclose(whole, ends["stratified"] - ends["isomorphic"])


def test_leaks_and_mixture_are_told_apart():
    values = {"stratified": 0.9, "stratified_after": 0.8, "random": 0.78, "grouped": 0.75, "isomorphic": 0.7}
    rows = [
        {"scheme": scheme, "seed": seed, "space": "tss", "dataset": dataset, "kendall": tau, "rmse": 10 * tau}
        for (scheme, tau), seed, dataset in product(values.items(), (0, 1, 2), ("cifar10", "cifar100"))
    ]
    cells = pd.DataFrame(rows)
    shift = np.where(cells["scheme"] == "stratified", 0.01 * cells["seed"], 0.0)
    found = leaks.decompose(cells.assign(kendall=cells["kendall"] + shift))
    worth = found[found["metric"] == "kendall"].set_index("leak")
    assert worth["mean"].round(6).to_dict() == {
        "copies of a row": 0.11, leaks.MIXTURE: 0.02, "other datasets": 0.03, "isomorphic cells": 0.05,
        "all leaks": 0.19,
    }  # fmt: skip
    assert worth.index[~worth["is_leak"].to_numpy(bool)].tolist() == [leaks.MIXTURE]
    half = 4.302653 * 0.01 * np.sqrt(1 / 3 + 15 / 70)  # Student's t of two degrees of freedom; splits overlap
    assert worth.loc["copies of a row", ["low", "high"]].tolist() == pytest.approx([0.11 - half, 0.11 + half])
    whole = worth.loc["all leaks", "mean"] + worth.loc[leaks.MIXTURE, "mean"]
    assert whole == pytest.approx(0.91 - 0.7)


def test_a_live_slice_is_compared(deposit):
    rows = make_examples(30)
    assert len(leaks.check(rows, deposit)) == 6
    for column in leaks.METRICS:
        wrong = deposit.tables["cells"].assign(**{column: lambda t, c=column: 0.98 * t[c]})
        with pytest.raises(DisagreementError, match=column):
            leaks.check(rows, Deposit("d", deposit.settings, {"cells": wrong}))
    shuffled = rows.features["zico"].sample(frac=1, random_state=0).to_numpy()
    other = dataclasses.replace(rows, features=rows.features.assign(zico=shuffled, params=shuffled))
    with pytest.raises(DisagreementError):
        leaks.check(other, deposit)
    assert isinstance(deposit.tables["summary"], pd.DataFrame)

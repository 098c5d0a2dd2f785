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


def test_a_live_slice_is_compared(deposit):
    rows = make_examples(30)
    assert len(leaks.check(rows, deposit)) == 6
    wrong = deposit.tables["cells"].assign(rmse=lambda t: 1.01 * t["rmse"])
    with pytest.raises(DisagreementError, match="rmse"):
        leaks.check(rows, Deposit("d", deposit.settings, {"cells": wrong}))
    assert isinstance(deposit.tables["summary"], pd.DataFrame)

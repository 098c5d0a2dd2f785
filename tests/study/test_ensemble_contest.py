import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.ensemble.candidates import CANDIDATES, build_released
from zcp.ensemble.per_dataset import PerDataset
from zcp.ensemble.splits import split
from zcp.ensemble.transforms import accuracy_from, log_error, signed_log
from zcp.errors import InputError
from zcp.study.greenfactory import contest, fits
from zcp.study.greenfactory.populations import mean_of_ranks, vote
from zcp.study.results import Deposit, DisagreementError

MODELS = ["random forest", "nearest neighbours", "extra trees", "stacking (untuned)"]


@pytest.fixture(scope="module")
def rows():
    return make_examples(25)


@pytest.fixture(scope="module")
def deposit(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MEMORY", Memory(None))
        patch.setattr(contest, "RESAMPLES", 10)
        patch.setattr("zcp.ensemble.candidates.TREES", 10)
        return contest.study(rows, [0, 1], 2, models=MODELS)


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_learns(rows, name, monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    predicted, found, _ = contest.predict_test(rows, name, 1, 0)
    truth = rows.accuracy.to_numpy()[split(rows, "isomorphic", 0).test]
    assert np.corrcoef(predicted, truth)[0, 1] > 0.6 and isinstance(found, dict)


def test_unknown_models_are_named(rows):
    with pytest.raises(InputError, match="unknown model 'TabPFN'"):
        contest.predict_test(rows, "TabPFN", 1, 0)
    with pytest.raises(InputError, match="cannot be shipped"):
        build_released("random forest, encoding", {}, 0)


def test_released_models_have_no_small_leaf():
    model = build_released("extra trees", {"min_samples_leaf": 1, "max_features": 0.5}, 0)
    assert model[-1].min_samples_leaf == 5
    assert build_released("XGBoost", {"min_child_weight": 9}, 0)[-1].min_child_weight == 9


def test_summary_compares_with_the_forest(deposit):
    summary = deposit.tables["summary"].set_index(["model", "space", "dataset"])
    cells = deposit.tables["cells"]
    forest = summary.loc["random forest"]
    assert (forest[["difference", "low", "high"]] == 0).all(axis=None)
    row = summary.loc[("extra trees", "tss", "cifar10")]
    assert row["difference"] == pytest.approx(row["kendall"] - forest.loc[("tss", "cifar10"), "kendall"])
    assert row["low"] <= row["high"] and row["seeds"] == 2
    assert summary.loc[("extra trees", "all", "all"), "kendall"] == pytest.approx(
        cells[cells["model"] == "extra trees"]["kendall"].mean()
    )
    assert summary.loc["params", "rmse"].isna().all() and summary.loc["params", "kendall"].min() > 0.5


def test_the_default_must_win_in_two_thirds_of_the_cells():
    def summary(gains):
        rows = [
            {"model": m, "space": "s", "dataset": str(i), "difference": g * (m == "XGBoost"), "kendall": 0.0}
            for m in ("random forest", "XGBoost")
            for i, g in enumerate(gains)
        ]
        best = [{"model": m, "space": "all", "dataset": "all", "kendall": float(m == "XGBoost")}
                for m in ("random forest", "XGBoost")]  # fmt: skip
        return pd.DataFrame(rows + best)

    assert contest.choose_default(summary([1, 1, 1, 1, -1, -1]))["default"] == "XGBoost"
    lost = contest.choose_default(summary([5, 5, 5, -1, -1, -1]))
    assert lost["default"] == "random forest" and lost["best"] == "XGBoost" and lost["wins"] == 3


def test_a_live_slice_is_compared(rows, deposit):
    assert len(contest.check(rows, deposit)) == 6
    wrong = deposit.tables["cells"].assign(kendall=lambda t: 0.99 * t["kendall"])
    with pytest.raises(DisagreementError, match="kendall"):
        contest.check(rows, Deposit("d", deposit.settings, {"cells": wrong}))


def test_transforms_have_their_inverse():
    accuracy = np.array([0.0, 10.0, 99.0, 100.0])
    assert accuracy_from(log_error(accuracy)) == pytest.approx(accuracy)
    assert (np.diff(log_error(accuracy)) > 0).all()
    assert signed_log(np.array([-1.0, 0.0, 1.0])) == pytest.approx([-np.log(2), 0, np.log(2)])


def test_targets_per_dataset_keep_the_level_of_each():
    X = pd.DataFrame({"dataset=a": [1, 1, 0, 0], "dataset=b": [0, 0, 1, 1], "x": [0, 1, 0, 1]}, dtype=float)
    y = np.array([90.0, 92.0, 40.0, 50.0])
    from sklearn.linear_model import LinearRegression

    model = PerDataset(LinearRegression()).fit(X, y)
    assert model.predict(X) == pytest.approx(y)


def test_ranks_of_a_population():
    rows = make_examples(10)
    assert vote(rows) is None
    means = mean_of_ranks(rows)
    assert means.between(0, 1).all() and means.corr(rows.features["zico"]) > 0

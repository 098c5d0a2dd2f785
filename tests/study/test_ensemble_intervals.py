import dataclasses

import numpy as np
import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.ensemble.candidates import build_released
from zcp.study.greenfactory import fits, intervals
from zcp.study.results import Deposit, DisagreementError

FOUND = {"max_features": 0.8, "min_samples_leaf": 1}


def choose(rows):
    return {"features": list(rows.features), "model": "extra trees", "hyperparameters": FOUND}


@pytest.fixture(scope="module")
def rows():
    return make_examples(120)


@pytest.fixture(scope="module")
def deposit(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MEMORY", Memory(None))
        patch.setattr("zcp.ensemble.candidates.TREES", 10)
        return intervals.study(rows, {0: choose(rows), 1: choose(rows)})


def test_coverage_is_what_was_promised(monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    # Of few networks the coverage is far from the promise by chance: some 130 rows may be off by .1.
    many = make_examples(1_500)
    found = intervals.evaluate(many, choose(many), 0)
    for (_, level), cells in found.groupby(["method", "level"]):
        tested = cells["n"].sum()
        # Both the test rows and the calibration residuals are a sample.
        error = np.sqrt(level * (1 - level) * (1 / tested + 1 / (len(many) - tested)))
        assert np.average(cells["coverage"], weights=cells["n"]) == pytest.approx(level, abs=3 * error)


def test_a_higher_level_is_wider(deposit):
    summary = deposit.tables["summary"]
    assert len(summary) == 3 * 3 * 6
    wide = summary.pivot_table(index="method", columns="level", values="width")
    assert (wide.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


def test_residuals_are_out_of_fold(rows, monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    model = build_released("extra trees", FOUND, 0)
    out = intervals.residuals_out_of_fold(model, rows)
    inside = rows.accuracy - model.fit(rows.features, rows.accuracy).predict(rows.features)
    assert np.sqrt(np.mean(out**2)) > 1.05 * np.sqrt(np.mean(inside**2))


def test_widths_are_quantiles_of_each_cell(rows):
    rng = np.random.default_rng(0)
    scale = np.where(rows.labels["space"] == "tss", 3.0, 1.0)
    found = intervals.widths(rng.uniform(-1, 1, len(rows)) * scale, rows.labels)
    assert len(found) == 6 * 3
    at = found.query("level == 0.9").groupby("space")["width"].mean()
    assert at["sss"] == pytest.approx(0.9, abs=0.08) and at["tss"] == pytest.approx(2.7, abs=0.25)


def test_a_row_says_nothing_about_its_own_difficulty(rows):
    residuals = np.random.default_rng(0).normal(size=len(rows))
    before, _ = intervals.estimate_difficulty(residuals, rows, rows)
    classes = intervals.name_classes(rows.labels).to_numpy()
    residuals[classes == classes[7]] *= 1_000
    after, asked = intervals.estimate_difficulty(residuals, rows, rows)
    assert (after[classes == classes[7]] == before[classes == classes[7]]).all()
    assert (after != before).any()  # other rows have it as a neighbour
    assert asked[7] > 10 * after[7]  # as a test row asks, the row itself is its nearest neighbour


def test_difficulty_is_the_mean_error_of_neighbours(rows, monkeypatch):
    monkeypatch.setattr(intervals, "NEIGHBOURS", 1)
    residuals = np.arange(len(rows)) - 300.0
    _, asked = intervals.estimate_difficulty(residuals, rows, rows)
    assert asked == pytest.approx(np.abs(residuals) + intervals.LEAST)


def test_a_model_that_is_worse_gets_wider_intervals(rows, deposit, monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    blind = dataclasses.replace(rows, features=rows.features[["naswot"]])
    found = intervals.evaluate(blind, choose(blind), 0)
    keys = ["method", "level", "space", "dataset"]
    widths = found.set_index(keys)["width"], deposit.tables["summary"].set_index(keys)["width"]
    assert (widths[0] > 1.5 * widths[1]).mean() > 0.9


def test_a_live_slice_is_compared(rows, deposit, monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    assert len(intervals.check(rows, deposit)) == 54
    for column in ("coverage", "width"):
        wrong = deposit.tables["cells"].assign(**{column: lambda t, c=column: 0.98 * t[c]})
        with pytest.raises(DisagreementError, match=column):
            intervals.check(rows, Deposit("d", deposit.settings, {"cells": wrong}))
    features = rows.features.assign(zico=rows.features["zico"].sample(frac=1, random_state=0).to_numpy())
    with pytest.raises(DisagreementError):
        intervals.check(dataclasses.replace(rows, features=features), deposit)

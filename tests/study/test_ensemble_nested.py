"""Nested evaluation: what is measured took no part in any choice, and what learns nothing is seen to."""

import dataclasses

import numpy as np
import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.analysis.over_splits import interval_over_splits
from zcp.ensemble.candidates import CANDIDATES
from zcp.study.cost.costs import Costs
from zcp.study.greenfactory import fits, nested
from zcp.study.results import Deposit, DisagreementError

COSTS = Costs({name: cost for cost, name in enumerate(("params", "flops", "zico", "naswot"), 1)},
              {name: [name] for name in ("params", "flops", "zico", "naswot")})  # fmt: skip
ORDER = ["params", "flops", "zico", "naswot"]
CELL = ["space", "dataset"]


@pytest.fixture(scope="module")
def rows():
    return make_examples(60)


@pytest.fixture(scope="module")
def deposit(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MEMORY", Memory(None))
        patch.setattr("zcp.ensemble.candidates.TREES", 10)
        return nested.study(rows, COSTS, 2, 2, keep=False)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)


def test_no_choice_depends_on_the_outer_test_rows(rows):
    test = nested.outer(rows, 0)[1]
    changed = rows.accuracy.copy()
    changed.iloc[test] = changed.iloc[test].to_numpy()[::-1] / 2
    other = dataclasses.replace(rows, accuracy=changed)
    for name in nested.ENSEMBLES:
        found = [nested.choose_in(each, name, ORDER, 2, 0) | {"seconds": 0} for each in (rows, other)]
        assert found[0] == found[1]
    changed.iloc[nested.outer(rows, 0)[0]] /= 2
    assert nested.choose_in(other, name, ORDER, 2, 0)["trials"] != found[0]["trials"]


@pytest.mark.parametrize("model", CANDIDATES)
def test_every_candidate_orders_the_networks_of_a_cell(rows, model):
    features = sorted([*ORDER, *(name for name in rows.features if "=" in name)])
    leaf = {"min_samples_leaf": 5}
    chosen = {"features": features, "model": model, "hyperparameters": leaf}
    cells = nested.measure_in(rows, "GreenFactory", chosen, 0, calibrate=False)["cells"]
    assert np.mean([cell["kendall"] for cell in cells]) > 0.6
    blind = chosen | {"features": [name for name in features if "=" in name]}
    without = nested.measure_in(rows, "GreenFactory", blind, 0, calibrate=False)["cells"]
    assert np.abs(np.nan_to_num([cell["kendall"] for cell in without])).mean() < 0.3


def test_the_mean_of_a_cell_has_no_order_and_baselines_have(deposit):
    whole = deposit.tables["summary"].query("space == 'all'").set_index("name")
    assert np.isnan(whole.loc["mean of the cell", "kendall"])
    assert whole.loc["GreenFactory", "rmse"] < 0.6 * whole.loc["mean of the cell", "rmse"]
    assert whole.loc["best proxy", "kendall"] > 0.6 and whole["splits"].eq(2).all()


def test_a_live_slice_is_compared_and_a_shuffled_column_noticed(rows, deposit):
    assert [len(table) for table in nested.check(rows, deposit)][1] == 2
    wrong = deposit.tables["cells"].assign(kendall=lambda t: t["kendall"].to_numpy()[::-1])
    with pytest.raises(DisagreementError, match="kendall"):
        nested.check(rows, Deposit("d", deposit.settings, {**deposit.tables, "cells": wrong}))
    shuffled = rows.features.assign(params=rows.features["params"].to_numpy()[::-1])
    with pytest.raises(DisagreementError):
        nested.check(dataclasses.replace(rows, features=shuffled), deposit)


def test_the_interval_is_wider_than_that_of_independent_values():
    low, high = interval_over_splits([0.7, 0.8], 0.0, -1, 1)
    wide = interval_over_splits([0.7, 0.8], 0.2, -1, 1)
    assert wide[0] < low < 0.75 < high and wide[1] == 1.0
    assert np.isnan(interval_over_splits([0.7], 0.2)).all()

"""The error of a forest of any size, against forests that are really grown."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from zcp.study.greenfactory import growth as growing
from zcp.study.greenfactory.growth import FIRST, PRECISION, Growth, Shape

SETTING = {
    "n_estimators": 300,
    "max_features": "sqrt",
    "min_samples_split": 2,
    "min_samples_leaf": 1,
    "max_depth": 100,
    "bootstrap": True,
}


def make_data():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(700, 6))
    target = 3 * values[:, 0] + values[:, 1] ** 2 + rng.normal(size=700)
    return (values[:500], target[:500]), (values[500:], target[500:])


DATA = make_data()


def forest_error(setting, seed=0):
    (x, y), (held, measured) = DATA
    forest = RandomForestRegressor(**setting, random_state=seed).fit(x, y)
    return np.sqrt(np.mean((forest.predict(held) - measured) ** 2))


@pytest.mark.parametrize("change", [{}, {"bootstrap": False}, {"min_samples_leaf": 8}])
def test_small_forests_are_measured_and_large_ones_estimated(change, monkeypatch):
    growth = Growth(*DATA, 0)
    setting = {**SETTING, **change}
    for trees in (1, 5, 16):
        small = {**setting, "n_estimators": trees}
        assert growth.rmse(small) == pytest.approx(forest_error(small), rel=1e-5)
    monkeypatch.setattr(growing, "MOST", 512)
    large = {**setting, "n_estimators": 1000}
    assert Growth(*DATA, 0).rmse(large) == pytest.approx(forest_error(large), rel=3 * PRECISION)


CUTS = [
    {"max_depth": 4},
    {"max_depth": 1},
    {"min_samples_split": 32},
    {"min_samples_split": 60, "max_depth": 6},
]


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_tree_is_the_one_that_was_never_grown_so_far(cut):
    # With all features as candidates and all rows, nothing of a tree is random.
    setting = {**SETTING, "n_estimators": 1, "max_features": 6, "bootstrap": False, **cut}
    assert Growth(*DATA, 0).rmse(setting) == pytest.approx(forest_error(setting), rel=1e-5)


@pytest.mark.parametrize("cut", [{"max_depth": 4}, {"min_samples_split": 32}])
def test_a_cut_forest_is_a_forest_of_that_setting(cut, monkeypatch):
    setting = {**SETTING, "n_estimators": 500, **cut}
    monkeypatch.setattr(growing, "MOST", 512)
    assert Growth(*DATA, 0).rmse(setting) == pytest.approx(forest_error(setting), rel=3 * PRECISION)


def test_what_is_clearly_worse_is_not_grown():
    bad = {**SETTING, "max_features": 1, "min_samples_leaf": 30}
    alone, beside = Growth(*DATA, 0), Growth(*DATA, 0, reference=SETTING)
    assert len(beside.curve(bad).prefix) == FIRST < len(alone.curve(bad).prefix)
    assert beside.rmse(bad) > 1.2 * beside.rmse(SETTING)
    assert beside.rmse(SETTING) == alone.rmse(SETTING)


def count_growths(growth, monkeypatch):
    grown = []
    grow = growth._grow
    monkeypatch.setattr(growth, "_grow", lambda shape: grown.append(shape) or grow(shape))
    return grown


def test_settings_that_cut_the_same_trees_share_them(monkeypatch):
    growth = Growth(*DATA, 0)
    grown = count_growths(growth, monkeypatch)
    same = [{}, {"max_depth": 60}, {"max_features": 2}, {"max_features": "log2"}]
    assert len({growth.rmse({**SETTING, **change}) for change in same}) == 1
    others = [{"n_estimators": 10}, {"max_depth": 5}, {"min_samples_split": 12}]
    assert len({growth.rmse({**SETTING, **change}) for change in [{}, *others]}) == 4
    assert len(grown) == 1
    leaf = {**SETTING, "min_samples_leaf": 10}
    assert growth.rmse(leaf) == growth.rmse({**leaf, "min_samples_split": 20})
    assert len(grown) == 2


def test_a_value_does_not_depend_on_the_trials_before():
    settings = [
        {**SETTING, "max_depth": depth, "max_features": m} for depth in (5, 12, 14, 40) for m in (1, 3)
    ]
    forwards, backwards = Growth(*DATA, 0), Growth(*DATA, 0)
    values = {str(s): forwards.rmse(s) for s in settings}
    for setting in settings[::-1]:
        assert backwards.rmse(setting) == values[str(setting)]


def test_a_shape_never_asks_for_more_features_than_there_are():
    assert Shape.of({**SETTING, "max_features": 10}, 3).max_features == 3
    assert Shape.of({**SETTING, "max_features": "log2"}, 1).max_features == 1

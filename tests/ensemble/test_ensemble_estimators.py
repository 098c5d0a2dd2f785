import json

import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from zcp.ensemble import estimators
from zcp.ensemble.estimators import LEAST_LEAF, GreenFactory, GreenFactoryFast, fast_features
from zcp.ensemble.features import ONE_HOT
from zcp.ensemble.transforms import build_pipeline
from zcp.errors import InputError
from zcp.paths import MODELS

SMALL = build_pipeline(ExtraTreesRegressor(10, min_samples_leaf=2, random_state=0))


@parametrize_with_checks(
    [GreenFactory(SMALL), GreenFactoryFast(SMALL)],
    expected_failed_checks=lambda estimator: {
        "check_dataframe_column_names_consistency": "columns are known by name: their order does not matter"
    },
)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def rows():
    return make_examples(20)


def test_default_learns_and_has_no_small_leaf(rows):
    model = GreenFactory().fit(rows.features, rows.accuracy)
    forest = model.regressor_[-1]
    left = rows.accuracy - rows.accuracy.groupby([rows.labels["space"], rows.labels["dataset"]]).transform(
        "mean"
    )
    errors = model.predict(rows.features) - rows.accuracy
    # A model that knows the mean of each cell, and no proxy, errs by what is left.
    assert np.sqrt(np.mean(errors**2)) < 0.5 * np.sqrt(np.mean(left**2))
    for tree in forest.estimators_[:20]:
        leaves = tree.tree_.children_left == -1
        assert tree.tree_.n_node_samples[leaves].min() >= LEAST_LEAF


def test_order_of_columns_does_not_matter(rows):
    model = GreenFactory(SMALL).fit(rows.features, rows.accuracy)
    turned = rows.features[rows.features.columns[::-1]]
    assert np.array_equal(model.predict(turned), model.predict(rows.features))
    again = clone(model).fit(turned, rows.accuracy)
    assert np.array_equal(again.predict(rows.features), model.predict(rows.features))
    assert list(model.feature_names_in_) == sorted(rows.features)


def test_further_columns_are_ignored_and_missing_ones_named(rows):
    model = GreenFactory(SMALL).fit(rows.features, rows.accuracy)
    more = rows.features.assign(another=1.0)
    assert np.array_equal(model.predict(more), model.predict(rows.features))
    with pytest.raises(InputError, match="lack zico"):
        model.predict(rows.features.drop(columns="zico"))
    with pytest.raises(InputError, match="hold zico twice"):
        model.fit(pd.concat([rows.features, rows.features[["zico"]]], axis=1), rows.accuracy)
    with pytest.raises(InputError, match="by name"):
        GreenFactory(features=["a"]).fit(rows.features.to_numpy(), rows.accuracy)


def test_scores_may_be_nan_or_infinite_but_accuracies_not(rows):
    holes = rows.features.copy()
    holes.loc[holes.index[:10], "zico"] = np.nan
    holes.loc[holes.index[10:20], "params"] = np.inf
    model = GreenFactory(SMALL).fit(holes, rows.accuracy)
    assert np.isfinite(model.predict(holes)).all()
    with pytest.raises(ValueError, match="NaN"):
        GreenFactory(SMALL).fit(holes, rows.accuracy.where(rows.accuracy > rows.accuracy.median()))


def test_shipped_models_tell_the_datasets_apart():
    for card in MODELS.glob("*.json"):  # two columns tell three apart
        assert len({*json.loads(card.read_text())["features"]} & {*ONE_HOT}) >= 2, card


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """What a shipped GreenFactoryFast may see."""
    wanted = tuple(sorted((*ONE_HOT, "eznas", "params")))
    (tmp_path / "GreenFactoryFast-test.json").write_text(json.dumps({"features": wanted}))
    monkeypatch.setattr(estimators, "MODELS", tmp_path)
    fast_features.cache_clear()
    yield wanted
    fast_features.cache_clear()


def test_fast_means_the_shipped_model_s_proxies_and_every_dataset(rows, shipped):
    wanted = fast_features()
    assert wanted == shipped
    named = rows.features.assign(eznas=rows.features["zico"])
    model = GreenFactoryFast(SMALL).fit(named, rows.accuracy)
    assert tuple(model.feature_names_in_) == wanted
    assert np.array_equal(model.predict(named.assign(zico=0.0)), model.predict(named))
    one_each = named.iloc[[0] * 3].assign(**dict(zip(ONE_HOT, np.eye(3), strict=True)))
    assert len({*model.predict(one_each)}) == 3
    with pytest.raises(InputError, match="lack eznas"):
        GreenFactoryFast(SMALL).fit(rows.features, rows.accuracy)


def test_without_a_shipped_model_fast_says_to_name_the_features(rows, shipped):
    fast_features.cache_clear()
    (estimators.MODELS / "GreenFactoryFast-test.json").unlink()
    with pytest.raises(InputError, match=r"no GreenFactoryFast ships .* features=\[...\]"):
        GreenFactoryFast(SMALL).fit(rows.features, rows.accuracy)
    named = GreenFactoryFast(SMALL, ["zico"]).fit(rows.features, rows.accuracy)
    assert list(named.feature_names_in_) == ["zico"]

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.pipeline import make_pipeline

from zcp.ensemble.lean import lean
from zcp.ensemble.transforms import accuracy_from, build_pipeline, log_error

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(300, 4)) * 10 ** RNG.uniform(-3, 6, (300, 1)), RNG.uniform(0, 100, 300)


@pytest.mark.parametrize("forest", [ExtraTreesRegressor, RandomForestRegressor])
@pytest.mark.parametrize(
    "around",
    [
        build_pipeline,
        lambda f: TransformedTargetRegressor(make_pipeline(f), func=log_error, inverse_func=accuracy_from),
    ],
)
def test_predictions_are_the_same_to_the_last_bit(forest, around):
    model = around(forest(10, random_state=0, min_samples_leaf=2)).fit(X, Y)
    slim = lean(model)
    new = np.concatenate([X, RNG.normal(size=(3000, 4)) * 10 ** RNG.uniform(-3, 6, (3000, 1))])
    assert np.array_equal(slim.predict(new), model.predict(new))


def test_the_thresholds_decide_the_same_at_the_threshold_itself():
    model = ExtraTreesRegressor(20, random_state=0).fit(X, Y)
    cuts = np.concatenate([tree.tree_.threshold for tree in model.estimators_]).astype(np.float32)
    near = np.concatenate(
        [cuts, np.nextafter(cuts, np.float32(np.inf)), np.nextafter(cuts, np.float32(-np.inf))]
    )
    for column in range(4):
        new = np.tile(X[:1].astype(np.float32), (len(near), 1))
        new[:, column] = near
        assert np.array_equal(lean(model).predict(new), model.predict(new))


def test_what_no_prediction_reads_is_gone_and_the_original_is_whole():
    model = ExtraTreesRegressor(3, random_state=0, min_samples_leaf=5).fit(X, Y)
    slim = lean(model)
    for before, after in zip(model.estimators_, slim.estimators_, strict=True):
        tree, thin = before.tree_, after.tree_
        is_leaf = tree.children_left < 0
        assert tree.impurity.any() and not thin.impurity.any() and not thin.value[~is_leaf].any()
        assert np.array_equal(thin.n_node_samples[is_leaf], tree.n_node_samples[is_leaf])

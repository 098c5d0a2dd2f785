import numpy as np
import pandas as pd
import pytest
from ensembles import PROXIES, make_examples, make_scores
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from zcp.ensemble import examples
from zcp.ensemble.features import LARGEST, ONE_HOT, FiniteFeatures, encode, proxy_columns
from zcp.ensemble.regressors import build_forest
from zcp.errors import InputError


def test_features_are_the_proxies_found_and_the_dataset():
    scores = make_scores().drop(columns="accuracy")
    assert proxy_columns(scores) == PROXIES
    features = encode(scores)
    assert list(features) == [*PROXIES, *ONE_HOT]
    assert (features[ONE_HOT].sum(axis=1) == 1).all()
    assert (features["dataset=cifar100"] == scores["dataset"].eq("cifar100")).all()


def test_the_order_of_columns_and_rows_does_not_matter():
    scores = make_scores()
    measured = scores[["space", "index", "dataset", "accuracy"]]
    scores = scores.drop(columns="accuracy")
    shuffled = scores[scores.columns[::-1]].sample(frac=1, random_state=1)
    one, other = (examples.join(s, measured, "test") for s in (scores, shuffled))
    pd.testing.assert_frame_equal(one.features, other.features)
    pd.testing.assert_series_equal(one.accuracy, other.accuracy)
    models = [build_forest(0, n_estimators=5).fit(e.features, e.accuracy) for e in (one, other)]
    assert (models[0].predict(one.features) == models[1].predict(other.features)).all()


def faults():
    scores = make_scores(12).drop(columns="accuracy")
    yield scores.drop(columns="index"), None, "lack the column index"
    yield pd.concat([scores, scores.iloc[:1]]), None, "occur twice.*'dataset': 'cifar10'"
    yield scores.replace({"dataset": {"cifar10": "mnist"}}), None, "unknown dataset 'mnist'"
    yield scores, ["params", "grasp"], "no proxy grasp"
    yield scores.drop(columns=[*PROXIES, "seconds_params", "seconds_zico"]), None, "no proxy at all"
    yield scores.assign(params="many"), None, "not numeric"


@pytest.mark.parametrize(("scores", "proxies", "message"), list(faults()))
def test_bad_scores_are_named(scores, proxies, message):
    with pytest.raises(InputError, match=message):
        encode(scores, proxies)


def test_bad_targets_are_named():
    scores = make_scores(12)
    keys, scores = scores[["space", "index", "dataset"]], scores.drop(columns="accuracy")
    with pytest.raises(InputError, match=r"constant \(7"):
        examples.join(scores, keys.assign(accuracy=7.0), "test")
    with pytest.raises(InputError, match="none of the scored networks"):
        examples.join(scores, keys.assign(accuracy=np.nan), "test")
    with pytest.raises(InputError, match="unknown target 'loss'"):
        examples.available_target("loss")


def test_networks_without_accuracy_are_left_out():
    scores = make_scores(12)
    measured = scores[["space", "index", "dataset", "accuracy"]].iloc[5:]
    assert len(examples.join(scores.drop(columns="accuracy"), measured, "test")) == len(scores) - 5


def test_failures_are_put_beside_the_training_range():
    train = np.array([[1.0, 5.0, np.nan], [3.0, 5.0, np.inf], [np.nan, 5.0, -np.inf]])
    filler = FiniteFeatures().fit(train)
    assert filler.transform([[np.nan, np.nan, np.nan]]).tolist() == [[-1.0, 4.0, 0.0]]
    assert filler.transform([[-np.inf, np.inf, np.inf]]).tolist() == [[-1.0, 6.0, 0.0]]
    assert filler.transform([[np.inf, 9.0, 2.0]]).tolist() == [[5.0, 9.0, 2.0]]


def test_the_test_rows_have_no_say():
    filler = FiniteFeatures().fit([[0.0], [1.0]])
    alone = filler.transform([[np.nan]])
    assert filler.transform([[np.nan], [-1e9]])[0] == alone[0] == -1.0


def test_single_precision_is_not_left():
    values = FiniteFeatures().fit([[1e300], [-1e300], [0.0]]).transform([[1e300], [np.nan], [np.inf]])
    assert np.isfinite(values.astype(np.float32)).all()
    assert values[0, 0] == LARGEST


def test_filler_is_a_scikit_learn_transformer():
    check_estimator(FiniteFeatures(), on_skip=None)
    fitted = FiniteFeatures().fit(make_examples(12).features)
    assert list(fitted.get_feature_names_out()) == [*PROXIES, *ONE_HOT]
    assert not hasattr(clone(fitted), "lowest_")


def test_features_in_another_order_are_refused_by_a_fitted_pipeline():
    rows = make_examples(12)
    model = build_forest(0, n_estimators=3).fit(rows.features, rows.accuracy)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(rows.features[rows.features.columns[::-1]])

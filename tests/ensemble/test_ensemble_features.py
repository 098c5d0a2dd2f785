import numpy as np
import pandas as pd
import pytest
from ensembles import PROXIES, make_examples, make_scores
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from zcp.data.datasets import DATASETS
from zcp.ensemble import examples
from zcp.ensemble.features import LARGEST, ONE_HOT, FiniteFeatures, encode, proxy_columns
from zcp.ensemble.regressors import build_forest
from zcp.ensemble.splits import split
from zcp.errors import InputError
from zcp.study.greenfactory.published import PROXIES as PROTOCOL


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


def az_nas_scores():
    scores = make_scores(15).drop(columns="accuracy")
    rng = np.random.default_rng(1)
    parts = {name: rng.normal(size=len(scores)) for name in ("expressivity", "progressivity", "trainability")}
    return scores.assign(**parts)


def test_az_nas_ranks_each_space_and_dataset_apart_and_its_size_is_noted():
    scores = az_nas_scores()
    found, sizes = examples.with_az_nas(scores)
    assert sizes == {f"{space} {dataset}": 15 for space in ("sss", "tss") for dataset in DATASETS}
    cell = scores.query("space == 'tss' and dataset == 'cifar100'")
    ranks = cell[["expressivity", "progressivity", "trainability", "flops"]].rank() / 15
    expected = np.log(ranks).sum(axis=1)
    pd.testing.assert_series_equal(found.loc[cell.index, "az_nas"], expected, check_names=False)


def test_az_nas_is_left_out_where_a_part_is_missing():
    scores = az_nas_scores().drop(columns="trainability")
    found, sizes = examples.with_az_nas(scores)
    assert "az_nas" not in found and sizes == {}
    measured = make_scores(15)[["space", "index", "dataset", "accuracy"]]
    with pytest.raises(InputError, match="no proxy az_nas; collect it first"):
        examples.join(found, measured, "test", proxies=["params", "az_nas"])


def test_chosen_proxies_in_any_order_are_the_only_features():
    scores = make_scores(12)
    keys = ["space", "index", "dataset", "accuracy"]
    rows = [
        examples.join(scores.drop(columns="accuracy"), scores[keys], "test", proxies=names)
        for names in (["zico", "params"], ["params", "zico"])
    ]
    assert list(rows[0].features) == ["params", "zico", *ONE_HOT]
    pd.testing.assert_frame_equal(rows[0].features, rows[1].features)
    assert rows[0].fingerprint() == rows[1].fingerprint() != rows[0].without("zico").fingerprint()


def test_rows_too_few_for_three_parts_are_refused():
    rows = make_examples(12)
    with pytest.raises(InputError, match="5 networks are too few for a 70-15-15 split; at least 10"):
        split(rows.take(np.arange(5)), "random", 0)


def test_the_protocol_refuses_scores_that_lack_its_proxies():
    scores = make_scores(12)
    keys = ["space", "index", "dataset", "accuracy"]
    with pytest.raises(InputError, match=r"hold no proxy az_nas, .*greenmachine_a"):
        examples.join(scores.drop(columns="accuracy"), scores[keys], "test", proxies=PROTOCOL)


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

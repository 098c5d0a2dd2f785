import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.study.greenfactory import fits
from zcp.study.greenfactory import learning_curves as curves
from zcp.study.results import Deposit, DisagreementError


@pytest.fixture(scope="module")
def deposit():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MEMORY", Memory(None))
        patch.setattr("zcp.ensemble.candidates.TREES", 10)
        return curves.study(make_examples(40), [0, 1], sizes=[10, 20])


def test_training_rows_are_nested_and_never_tested():
    rows = make_examples(40)
    test, order = curves.choose_rows(rows, "tss", "cifar10", 0)
    again, same = curves.choose_rows(rows, "tss", "cifar10", 0)
    assert np.array_equal(test, again) and np.array_equal(order, same)
    assert not set(test) & set(order) and len(test) + len(order) == 40
    assert set(rows.labels["dataset"].iloc[order]) == {"cifar10"}


def test_sizes_end_with_all():
    assert curves.sizes_for(34, [10, 20, 50]) == [10, 20, 34]
    assert curves.sizes_for(10, [10, 20]) == [10]


def test_curves_cover_every_cell(deposit):
    points, summary = deposit.tables["points"], deposit.tables["summary"]
    assert len(points) == 6 * 2 * 3 * 4 and points["all"].sum() == 6 * 2 * 4
    assert set(summary["model"]) == {"proxies", "encoding", "both", "best proxy"}
    assert (summary["seeds"] == 2).all()
    proxy = summary[summary["model"] == "best proxy"]["kendall"]
    assert proxy.mean() > 0.6


def test_overtaking():
    table = pd.DataFrame({"space": "tss", "dataset": "d", "size": [10, 20, 30]})
    low, high = table.assign(model="b", kendall=0.5), table.assign(model="a", kendall=[0.6, 0.4, 0.7])
    found = curves.find_overtaking(pd.concat([low, high]), "a", "b").iloc[0]
    assert found["first"] == 30 and found["ahead"] == "10, 30"
    assert np.isnan(curves.find_overtaking(pd.concat([low, high]), "b", "a").iloc[0]["first"])


def test_a_live_slice_is_compared(deposit, monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    rows = make_examples(40)
    assert len(curves.check(rows, deposit, 10)) == 6 * 4
    wrong = deposit.tables["points"].assign(kendall=lambda t: 0.99 * t["kendall"])
    with pytest.raises(DisagreementError, match="kendall"):
        curves.check(rows, Deposit("d", deposit.settings, {"points": wrong}), 10)

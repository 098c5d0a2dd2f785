import dataclasses

import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.study.greenfactory import fits, growing
from zcp.study.greenfactory.evaluation import Ensemble
from zcp.study.results import Deposit, DisagreementError

ENSEMBLE = Ensemble(["params", "zico"], {"n_estimators": 10, "max_features": 2, "min_samples_leaf": 1})


@pytest.fixture(scope="module")
def rows():
    return make_examples(60)


@pytest.fixture(scope="module")
def deposit(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MEMORY", Memory(None))
        return growing.study(rows, ENSEMBLE, [0, 1], shares=[0.25, 1.0])


def test_networks_are_nested_and_whole(rows):
    few, many = (growing.draw_networks(rows, share, 0) for share in (0.25, 0.5))
    assert set(few.architectures) < set(many.architectures) and len(few) == 0.25 * len(rows)
    assert (few.architectures.value_counts() == 3).all()
    assert len(growing.draw_networks(rows, 1.0, 0)) == len(rows)


def test_the_curve_is_the_mean_of_its_points(deposit):
    points, summary = deposit.tables["points"], deposit.tables["summary"]
    assert set(points["scheme"]) == set(growing.SCHEMES)
    points, summary = (t[t["scheme"] == "random"] for t in (points, summary))
    summary = summary.set_index("share")
    assert summary["rows"].to_dict() == {0.25: 90, 1.0: 360}
    mine = points[points["share"] == 1.0].groupby("seed")["kendall"].mean()
    assert summary.loc[1.0, "kendall"] == pytest.approx(mine.mean())
    assert summary.loc[1.0, "kendall_std"] == pytest.approx(mine.std())
    assert len(growing.plot_rows(deposit.tables["summary"]).axes) == 2


def test_a_live_slice_is_compared(rows, deposit):
    assert len(growing.check(rows, deposit)) == 12
    for column in ("kendall", "rmse", "rows"):
        wrong = deposit.tables["points"].assign(**{column: lambda t, c=column: 0.98 * t[c]})
        with pytest.raises(DisagreementError, match=column):
            growing.check(rows, Deposit("d", deposit.settings, {"points": wrong}))
    shuffled = pd.Series(np.random.default_rng(0).permutation(rows.features["zico"]))
    other = dataclasses.replace(rows, features=rows.features.assign(zico=shuffled, params=shuffled))
    with pytest.raises(DisagreementError):
        growing.check(other, deposit)

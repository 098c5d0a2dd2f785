import math

import numpy as np
import pandas as pd
import pytest

from zcp.study import agreement
from zcp.study.agreement import FACTOR, RESOLUTION, agree, tabulate
from zcp.study.results import Deposit, DisagreementError

ROWS = pd.DataFrame({"name": ["a", "b"], "rmse": [1.0, 2.0], "n": [3, 4]})
DEPOSIT = Deposit("section-test", {}, {"fits": ROWS})


@pytest.fixture
def spreads(monkeypatch):
    def measured(**spread):
        facts = {"deposit": "section-test", "table": "fits", "quantity": "rmse"}
        rows = [
            {**facts, "group": g, "spread": s, "perturbations": 5, "settings": 2} for g, s in spread.items()
        ]
        table = pd.DataFrame(rows, columns=agreement.SPREADS)
        monkeypatch.setattr(agreement, "read_spreads", lambda: table)

    measured()
    return measured


def compare(by=(), **columns):
    live = ROWS.assign(**columns)
    return agree(live, DEPOSIT, "fits", keys=["name"], measured=["rmse"], exact=["n"], by=by)


def test_values_agree_within_a_measured_spread(spreads):
    spreads(**{"": 0.001})
    both = compare(rmse=[1.0, 2.003])
    assert both["rmse_difference"].tolist() == pytest.approx([0.0, 0.003])
    assert both["rmse_tolerance"].tolist() == pytest.approx([FACTOR * 0.001 + RESOLUTION] * 2)
    assert both["rmse_agrees"].tolist() == [True, True]
    assert "5 perturbations, 2 settings" in both["rmse_basis"][0]
    table = tabulate(both)
    assert list(table.columns) == ["name", "quantity", "live", *agreement.PARTS] and len(table) == 4


def test_without_a_spread_only_the_resolution_is_allowed(spreads):
    assert len(compare(rmse=[1.0, 2.0 + 0.9e-8])) == 2
    with pytest.raises(DisagreementError, match=r"'b'.*no spread was measured"):
        compare(rmse=[1.0, 2.0 + 2e-8])


def test_what_rounding_decides_is_listed_and_not_compared(spreads):
    spreads(a=0.01, b=0.0)
    both = compare(by=["name"], rmse=[1.03, 2.0])
    assert both["rmse_agrees"].tolist() == [None, True] and both["rmse_difference"][0] == pytest.approx(0.03)
    with pytest.raises(DisagreementError, match="'b'") as caught:
        compare(by=["name"], rmse=[1.03, 2.02])
    table = caught.value.table.set_index(["quantity", "name"])
    assert table.loc[("rmse", "a"), "agrees"] is None and table.loc[("rmse", "b"), "agrees"] is False
    assert table.loc[("rmse", "b"), ["live", "deposited"]].tolist() == [2.02, 2.0]
    for wrong in (math.nan, 40.0):
        with pytest.raises(DisagreementError, match="'a'"):
            compare(by=["name"], rmse=[wrong, 2.0])
    spreads(a=1.0, b=math.inf)
    with pytest.raises(DisagreementError, match="nothing was compared"):
        agree(ROWS, DEPOSIT, "fits", keys=["name"], measured=["rmse"], by=["name"])


def test_no_tolerance_accepts_an_error_of_more_than_its_cap(spreads):
    values = np.array([1.0, 30.0])
    assert agreement.largest_tolerance("rmse", values).tolist() == [0.01, 0.3]
    assert agreement.largest_tolerance("kendall", values).tolist() == [0.005, 0.005]
    spreads(a=0.0024, b=0.0026)
    assert compare(by=["name"], rmse=[1.009, 2.009])["rmse_agrees"].tolist() == [True, True]
    spreads(a=0.0026, b=0.0)
    assert compare(by=["name"], rmse=[1.0102, 2.0])["rmse_agrees"].tolist() == [None, True]


@pytest.mark.parametrize(
    ("live", "message"),
    [
        ({"rmse": [1.0, 2.1]}, r"'b'.*2\.1 live but 2 in the deposit"),
        ({"rmse": [math.nan, 2.0]}, "'a'"),
        ({"rmse": [1.0, math.inf]}, "'b'"),
        ({"n": [3, 5]}, "n of {'name': 'b'} is 5 live but 4.*exact"),
        ({"name": ["a", "c"]}, "never deposited, first {'name': 'c'}"),
    ],
)
def test_disagreement_is_loud(spreads, live, message):
    with pytest.raises(DisagreementError, match=message) as caught:
        compare(**live)
    assert len(caught.value.table) == 4


def test_a_row_that_was_never_deposited_has_no_deposited_value(spreads):
    with pytest.raises(DisagreementError) as caught:
        compare(name=["a", "c"])
    missing = caught.value.table.query("name == 'c'")
    assert missing["deposited"].isna().all() and not missing["agrees"].any()


def test_an_empty_slice_compares_nothing():
    with pytest.raises(DisagreementError, match="nothing was compared"):
        agree(ROWS.iloc[:0], DEPOSIT, "fits", keys=["name"], exact=["n"])


def test_nan_and_equal_infinities_agree(spreads):
    table = ROWS.assign(rmse=[math.nan, math.inf])
    deposit = Deposit("section-test", {}, {"fits": table})
    both = agree(table, deposit, "fits", keys=["name"], measured=["rmse"])
    assert both["rmse_agrees"].tolist() == [True, True]


def test_what_rounding_decides_may_not_be_anything():
    live, deposited = np.array([1.0, 1.4, 9.0, np.nan]), np.ones(4)
    allowed, comparable = np.full(4, 0.5), np.zeros(4, bool)
    _, agrees = agreement.judge(live, deposited, allowed, comparable)
    assert agrees.tolist() == [None, None, False, False]

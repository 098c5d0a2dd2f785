"""The verdicts follow their rules, whatever the numbers are."""

import numpy as np
import pandas as pd
import pytest

from zcp.study.deeper_look import conclusions
from zcp.study.deeper_look.comparison import POST
from zcp.study.deeper_look.published import post_tables
from zcp.study.results import Deposit


def comparison(table):
    return Deposit("comparison-test", {}, {"correlations": table})


def ordered(best):
    """Twenty tasks on which the proxies have one order, `best` first."""
    order = [best, *(p for p in POST if p != best)]
    rows = [("s", f"t{t}", p, 0.9 - 0.1 * i) for t in range(20) for i, p in enumerate(order)]
    return pd.DataFrame(rows, columns=["space", "task", "proxy", "spearman"])


def cases(gain=30.0, tpe=40.0, warm=20.0, pair=0.9):
    gains = pd.DataFrame({"features": "+ all proxies", "size": [10, 400], "gain": [gain, gain / 2]})
    predictor = Deposit("p", {}, {"gains": gains.assign(gain_std=1.0, seeds=4)})
    rows = [("d", "tpe", "", tpe), ("d", "warm", "a", warm), ("d", "warm", "b", np.nan)]
    summary = pd.DataFrame(rows, columns=["dataset", "strategy", "proxy", "median"])
    search = Deposit("s", {"budget": 100}, {"summary": summary})
    halves = pd.DataFrame({"kind": ["single", "pair"], "spearman": [0.8, pair]})
    return predictor, search, Deposit("c", {}, {"halves": halves})


def test_the_posts_own_tables_confirm_its_first_two_conclusions():
    theirs = comparison(post_tables())
    found = conclusions.no_single_best(theirs)
    assert found.verdict == "confirmed" and found.post == found.ours and "8 of 8 on 12 tasks" in found.ours
    assert conclusions.baselines_compete(theirs).verdict == "confirmed"


def test_an_order_without_exception_refines_or_contradicts():
    found = conclusions.no_single_best(comparison(ordered("snip")))
    # 20 tasks give a critical difference of 2.35 ranks: the best three are tied.
    assert found.verdict == "refined" and found.ours.startswith("3 of 8 on 20 tasks, best `snip`")
    assert conclusions.baselines_compete(comparison(ordered("snip"))).verdict == "contradicted"
    assert conclusions.baselines_compete(comparison(ordered("params"))).verdict == "refined"
    assert conclusions.independent_ones_vary(comparison(ordered("snip"))).verdict == "contradicted"
    varied = ordered("snip")
    varied.loc[(varied["proxy"] == "synflow") & (varied["task"] == "t0"), "spearman"] = -0.9
    found = conclusions.independent_ones_vary(comparison(varied))
    assert found.verdict == "refined" and "`synflow` -0.90 to" in found.ours


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "confirmed"),
        ({"gain": 0.1}, "refined"),
        ({"warm": 50.0}, "refined"),
        ({"pair": 0.7}, "refined"),
        ({"gain": -5.0, "warm": 50.0, "pair": 0.7}, "contradicted"),
    ],
)
def test_promise_needs_all_three_cases(change, verdict):
    assert conclusions.promise_together(*cases(**change)).verdict == verdict


def test_the_best_search_is_one_for_all_datasets_and_failures_cost_the_budget():
    found = conclusions.search_medians(cases()[1])
    assert found.loc["d", ["tpe", "best", "strategy", "proxy"]].tolist() == [40, 20, "warm", "a"]
    rows = [("d", "tpe", "", 40.0), ("d", "warm", "b", np.nan)]
    table = pd.DataFrame(rows, columns=["dataset", "strategy", "proxy", "median"])
    assert conclusions.search_medians(Deposit("s", {"budget": 100}, {"summary": table}))["best"]["d"] == 100


def test_the_summary_has_a_row_a_claim():
    predictor, search, combination = cases()
    table = conclusions.summarise(comparison(post_tables()), predictor, search, combination)
    assert list(table) == ["claim", "measure", "post", "ours", "verdict"] and len(table) == 4

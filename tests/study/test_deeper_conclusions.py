"""The verdicts follow their rules, whatever the numbers are."""

import numpy as np
import pandas as pd
import pytest

from zcp.study.deeper_look import conclusions, promise
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


def cases(gain=30.0, tpe=90.0, warm=20.0, pair=0.9):
    """Four repetitions of a predictor, a search and halves, on one dataset, that differ little."""
    seeds, datasets = range(4), ["d"]
    runs = [
        {"dataset": "d", "seed": s, "size": size, "features": name, "spearman": 0.5 * (1 + extra / 100)}
        for s in seeds
        for size in (10, 400)
        for name, extra in (("encoding", 0.01 * s), ("+ all proxies", gain + 0.01 * s))
    ]
    predictor = Deposit("p", {}, {"runs": pd.DataFrame(runs)})
    names = {("tpe", ""): tpe, ("warm", "a"): warm, ("warm", "b"): 101}
    queries = [(d, *name, s, q + s / 10) for d in datasets for name, q in names.items() for s in seeds]
    searches = pd.DataFrame(queries, columns=["dataset", "strategy", "proxy", "seed", "queries"])
    medians = [("d", "tpe", "", tpe), ("d", "warm", "a", warm), ("d", "warm", "b", np.nan)]
    summary = pd.DataFrame(medians, columns=["dataset", "strategy", "proxy", "median"])
    search = Deposit("s", {"budget": 100}, {"summary": summary, "runs": searches})
    both = [("t", "d", kind, s, v) for kind, v in (("single", 0.8), ("pair", pair)) for s in seeds]
    halves = pd.DataFrame(both, columns=["space", "dataset", "kind", "seed", "spearman"])
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
        ({"warm": 62.0}, "refined"),  # fewer queries, but not three times fewer
        ({"gain": 10.0, "warm": 62.0}, "refined"),
        ({"pair": 0.7}, "refined"),
        ({"gain": -5.0, "warm": 95.0, "pair": 0.7}, "contradicted"),
    ],
)
def test_promise_needs_the_cited_sizes(change, verdict):
    assert conclusions.promise_together(*cases(**change)).verdict == verdict


def test_sizes_come_with_their_intervals():
    predictor, search, combination = cases()
    gain = promise.predictor_gain(predictor, 400)
    assert gain.low <= gain.value <= gain.high and gain.value == pytest.approx(30, abs=0.1)
    faster = promise.search_speedup(search)
    assert 1 < faster.low <= faster.value <= faster.high == pytest.approx(90 / 20, rel=0.01)
    assert promise.pair_gain(combination) == pytest.approx((0.1, 0.1, 0.1))
    assert promise.Size(1.44, 0.7, 2.1).write("{:.1f}") == "1.4 [0.7, 2.1]"


def test_a_strategy_is_not_measured_on_the_searches_that_chose_it():
    """Of many strategies that are all chance, the best on the same seeds would look faster."""
    source, seeds = np.random.default_rng(0), range(10)
    names = [("tpe", ""), *(("warm", str(i)) for i in range(40))]
    rows = [("d", *name, seed, source.lognormal(4, 0.5)) for name in names for seed in seeds]
    runs = pd.DataFrame(rows, columns=["dataset", "strategy", "proxy", "seed", "queries"])
    medians = runs.groupby(["strategy", "proxy"])["queries"].median()
    flattered = medians["tpe", ""] / medians["warm"].min()
    found = promise.search_speedup(Deposit("s", {}, {"runs": runs}))
    assert found.low < 1 < found.high and found.value < flattered


def test_the_best_search_is_one_for_all_datasets_and_failures_cost_the_budget():
    found = conclusions.search_medians(cases()[1])
    assert found.loc["d", ["tpe", "best", "strategy", "proxy"]].tolist() == [90, 20, "warm", "a"]
    rows = [("d", "tpe", "", 40.0), ("d", "warm", "b", np.nan)]
    table = pd.DataFrame(rows, columns=["dataset", "strategy", "proxy", "median"])
    assert conclusions.search_medians(Deposit("s", {"budget": 100}, {"summary": table}))["best"]["d"] == 100


def test_the_summary_has_a_row_a_claim():
    predictor, search, combination = cases()
    table = conclusions.summarise(comparison(post_tables()), predictor, search, combination)
    assert list(table) == ["claim", "measure", "post", "ours", "verdict"] and len(table) == 4

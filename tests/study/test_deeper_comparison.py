"""Average ranks, performance profiles and heat maps: the post's own values, and input that is not whole."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from zcp.analysis.scores import turn
from zcp.errors import InputError
from zcp.study.deeper_look import comparison, heatmaps, profiles, ranks
from zcp.study.deeper_look.published import SPACE_NAMES, post_tables

SWAPPED = [("DARTS", "grasp"), ("DARTS", "jacob_cov"), ("Overall", "grasp"), ("Overall", "jacob_cov")]


@pytest.fixture(scope="module")
def table():
    return post_tables()


def recomputed(table):
    found = ranks.average_ranks(table)
    return found.assign(space=found["space"].replace(SPACE_NAMES)).set_index(["space", "proxy"])["rank"]


def test_average_ranks_are_the_posts_but_for_the_swapped_entries(table):
    printed = comparison.post_ranks().set_index(["space", "proxy"])["rank"]
    found = recomputed(table)
    same = printed.index.difference(SWAPPED)
    assert found[same].to_numpy() == pytest.approx(printed[same].to_numpy(), abs=0.006)
    corrected = [found[key] for key in SWAPPED]
    assert corrected == pytest.approx([4.8, 4.6, 4.75, 5.42], abs=0.006)
    # Printed the other way round.
    assert list(printed[SWAPPED[:2]]) == [4.6, 4.8]


def test_ranks_share_ties_and_leave_out_what_is_undefined():
    rows = [("s", "t", "a", 0.5), ("s", "t", "b", 0.5), ("s", "t", "c", 0.9), ("s", "u", "a", 0.1),
            ("s", "u", "b", np.nan)]  # fmt: skip
    small = pd.DataFrame(rows, columns=["space", "task", "proxy", "spearman"])
    found = ranks.average_ranks(small).query("space == 's'").set_index("proxy")
    assert found["rank"].to_dict() == {"a": (2.5 + 1) / 2, "b": 2.5, "c": 1.0}
    assert found["tasks"].to_dict() == {"a": 2, "b": 1, "c": 1}
    assert found["left_out"].to_dict() == {"a": 0, "b": 1, "c": 1}
    wide = ranks.arrange(ranks.average_ranks(small))
    assert list(wide.index) == ["s", "Overall"] and list(wide) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="task"), "task"),
        (lambda t: pd.concat([t, t.head(1)]), "two correlations"),
        (lambda t: t.assign(spearman=2.0), "not a correlation"),
        (lambda t: t.assign(spearman=np.nan), "nothing to compare"),
    ],
)
def test_a_faulty_table_is_named(table, change, message):
    with pytest.raises(InputError, match=message):
        ranks.average_ranks(change(table))


def test_the_posts_example_is_1_46_suboptimal(table):
    tau = profiles.suboptimality(table).set_index(["space", "task", "proxy"])["tau"]
    assert tau["darts", "scifar100", "snip"] == pytest.approx(1.46, abs=0.005)
    assert tau["darts", "scifar100", "fisher"] == 1.0


def test_profiles_jump_at_their_own_tau_and_not_before(table):
    darts = table[table["space"] == "darts"]
    tau = profiles.suboptimality(darts)
    mine = tau[tau["proxy"] == "snip"]["tau"].sort_values().to_numpy()
    found = profiles.profile(darts, [mine[0] - 1e-9, mine[0], mine[0] + 1e-9, mine[-1]])["snip"]
    assert list(found) == [0.0, 0.2, 0.2, 1.0]
    drawn = profiles.steps(darts)
    assert drawn.index[0] == 1.0 and drawn.index.is_monotonic_increasing
    assert (np.diff(drawn.to_numpy(), axis=0) >= 0).all() and (drawn.iloc[-1] == 1).all()
    # At 1 each task is won by one proxy, ties aside.
    assert drawn.iloc[0].sum() == pytest.approx(1.0)


def test_a_perfect_or_missing_proxy_in_a_profile():
    rows = [("s", "t", "a", 1.0), ("s", "t", "b", 0.5), ("s", "u", "a", np.nan), ("s", "u", "b", 0.2)]
    small = pd.DataFrame(rows, columns=["space", "task", "proxy", "spearman"])
    found = profiles.steps(small)
    assert list(found.index) == [1.0] and found.loc[1.0].to_dict() == {"a": 0.5, "b": 0.5}
    assert profiles.profile(small, [1e9]).iloc[0].to_dict() == {"a": 0.5, "b": 0.5}


def test_pairs_leave_out_failures_and_say_how_many():
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(size=40)
    scores = pd.DataFrame({"a": accuracy + rng.normal(0, 0.2, 40), "b": rng.normal(size=40), "flat": 1.0})
    scores.loc[:4, "a"] = [-1e8, np.nan, np.inf, -np.inf, -1e8]
    found = heatmaps.correlate_pairs(scores, accuracy).set_index(["a", "b"])
    expected = spearmanr(scores["a"][5:], accuracy[5:]).statistic
    assert found.loc[("a", "gt"), "spearman"] == pytest.approx(expected)
    assert found.loc[("a", "gt"), ["n", "left_out"]].tolist() == [35, 5]
    assert found.loc[("b", "gt"), ["n", "left_out"]].tolist() == [40, 0]
    assert np.isnan(found.loc[("flat", "gt"), "spearman"])
    matrix = heatmaps.to_matrix(found.reset_index())
    assert list(matrix) == ["a", "b", "flat", "gt"] and matrix.loc["gt", "a"] == matrix.loc["a", "gt"]
    with pytest.raises(InputError, match="39 accuracies"):
        heatmaps.correlate_pairs(scores, accuracy[1:])


def test_averages_of_pairs_count_their_tasks():
    rows = [("s", "t", "a", "b", 0.2), ("s", "u", "a", "b", np.nan), ("r", "t", "a", "b", 0.6)]
    pairs = pd.DataFrame(rows, columns=["space", "task", "a", "b", "spearman"])
    found = heatmaps.average_pairs(pairs).set_index("space")
    assert found["spearman"].to_dict() == pytest.approx({"s": 0.2, "r": 0.6, "Overall": 0.4})
    assert found["tasks"].to_dict() == {"s": 1, "r": 1, "Overall": 2}


def test_scores_are_turned_and_failures_hidden():
    turned = turn(pd.DataFrame({"ntk_cond": [1.0, -1e8], "flops": [2.0, 3.0]}))
    assert turned["ntk_cond"].tolist()[0] == -1.0 and np.isnan(turned["ntk_cond"][1])
    assert turned["flops"].tolist() == [2.0, 3.0]


def test_a_study_deposits_and_compares_its_tasks():
    rng = np.random.default_rng(0)
    accuracy = pd.Series(rng.uniform(size=50))
    scores = pd.DataFrame({p: accuracy + rng.normal(0, 0.1 * k, 50) for k, p in enumerate(comparison.POST)})
    task = comparison.Scored("ours", "tss", "made_up", scores, accuracy)
    pairs, values = comparison.correlate(task)
    found = values.set_index("proxy")
    assert found["spearman"]["fisher"] == pytest.approx(1.0) and found["n"].eq(50).all()
    assert (found["low"] <= found["spearman"] + 1e-9).all() and len(pairs) == 9 * 10 / 2
    summary = comparison.summarise(pairs, values)
    assert ranks.arrange(summary["ranks"]).loc["tss", "fisher"] == 1.0
    assert summary["profiles"].query("proxy == 'fisher'")["fraction"].eq(1.0).all()
    with pytest.raises(InputError, match="unknown target"):
        list(comparison.our_tasks("nats-b16", "train"))


def test_friedman_and_the_critical_difference(table):
    found = ranks.compare(table)
    assert (found.tasks, found.left_out) == (12, 0)
    # Demsar's table has q = 3.031 for eight; 3.031 * sqrt(8 * 9 / (6 * 12)).
    assert found.critical == pytest.approx(3.031, abs=0.002)
    assert found.ranks["flops"] == pytest.approx(4.0) and found.ranks.index[0] == "flops"
    # The post's first conclusion, tested on its own numbers: none stands out.
    assert found.p > 0.05 and len(found.tied) == 8
    certain = table.assign(spearman=table["proxy"].map(table["proxy"].drop_duplicates().reset_index(drop=True)
                           .reset_index().set_index("proxy")["index"]) / 10)  # fmt: skip
    assert ranks.compare(certain).p < 1e-6 and ranks.compare(certain).tied[0] == "params"
    with pytest.raises(InputError, match="two tasks and three proxies"):
        ranks.compare(table.head(8))


def test_the_post_and_ours_side_by_side(table):
    ours = table[table["task"] == "ninapro"].assign(low=-0.1, high=0.1, origin="suite")
    wide = comparison.beside_post(ours).set_index("proxy")
    assert list(wide) == ["darts ninapro"] and wide.loc["flops", "darts ninapro"].startswith(
        "-0.11 / -0.11 ["
    )

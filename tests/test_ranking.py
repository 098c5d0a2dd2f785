import math

from zcp.ranking import ranks, table
from zcp.scoring import Scores


def scores(reasons=None, **values):
    found = Scores()
    found.update(values)
    found.reasons.update(reasons or {})
    return found


def test_ranks_follow_the_direction_of_the_proxy():
    assert ranks("snip", [1.0, 3.0, 2.0]) == [3, 1, 2]
    assert ranks("ntk_cond", [1.0, 3.0, 2.0]) == [1, 3, 2]
    assert ranks("formula_1", [1.0, 3.0, 2.0]) == [3, 1, 2]


def test_equal_values_share_a_rank_and_nan_has_none():
    assert ranks("snip", [2.0, math.nan, 2.0, -math.inf, math.inf]) == [2, None, 2, 4, 1]


def test_one_network_gets_a_line_a_proxy_with_its_reason():
    lines = list(table({"0": scores({"zico": "too dead"}, params=0.5, zico=math.nan)}))
    assert [line.split(maxsplit=2) for line in lines] == [["params", "0.5"], ["zico", "nan", "too dead"]]


def test_several_are_compared():
    found = table(
        {"0": scores(params=0.5, ntk_cond=3.0), "1": scores({"params": "why"}, params=math.nan, ntk_cond=1.0)}
    )
    assert [line.split() for line in found] == [
        ["proxy", "better", "0", "(rank)", "1", "(rank)"],
        ["params", "larger", "0.5", "(1)", "nan"],
        ["ntk_cond", "smaller", "3", "(2)", "1", "(1)"],
        ["1,", "params:", "why"],
    ]


def test_long_names_are_numbered():
    lines = list(table({"a" * 30: scores(params=1.0), "b": scores(params=2.0)}))
    assert lines[:2] == ["#1   " + "a" * 30, "#2   b"] and "#1 (rank)" in lines[2] and len(lines) == 4

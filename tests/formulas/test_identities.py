"""Formulas rewritten into others of the same value."""

import math

import pytest
import torch

from zcp.formulas import Evaluation, Program, parse
from zcp.formulas.identities import simplified

NAMES = {"a", "b"}
VALUES = {
    "random": [0.3, -1.2, 2.0, 0.0],
    "equal": [0.5] * 4,
    "zero": [0.0] * 4,
    "a NaN": [1.0, math.nan, 2.0, 3.0],
    "an infinity": [1.0, math.inf, 2.0, 3.0],
    "one element": [1.5],
}


def value(tree, values):
    program = Program([tree])
    run = Evaluation(program, {"a": (len(values),), "b": (2,)}, torch.empty(0), lambda _, s: torch.zeros(s))
    run.offer("a", torch.tensor(values))
    run.offer("b", torch.tensor([1.0, 2.0]))
    return run.results[0]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("less_than_zero(greater_than(a, b))", "zeros_like(greater_than(a, b))"),
        ("frobenius_norm(normalize(a))", "standardised_norm(a, range(a))"),
        ("deviation(heaviside(a))", "deviation_of_tests(heaviside(a), normalized_sum(heaviside(a)))"),
        (
            "sum(b, sigmoid(frobenius_norm(normalize(a))))",
            "sum(b, sigmoid(standardised_norm(a, range(a))))",
        ),
    ],
)
def test_the_value_stays(text, expected, values):
    tree = parse(text, NAMES)
    assert str(simplified(tree)) == expected
    assert value(simplified(tree), values) == pytest.approx(value(tree, values), rel=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        "less_than_zero(abs(a))",
        "less_than_zero(a)",
        "frobenius_norm(standardise(a, normalized_sum(b), deviation(a)))",
        "frobenius_norm(standardise(a, deviation(a), normalized_sum(a)))",
        "gaussian_init(less_than_zero(heaviside(a)))",
    ],
)
def test_others_stay_as_they_are(text):
    tree = parse(text, NAMES)
    assert simplified(tree) == tree


def test_what_need_not_be_read_is_not():
    program = Program([simplified(parse("less_than_zero(greater_than(a, b))", NAMES))])
    plan = program.plan({"a": (4,), "b": (4,)})
    assert [plan.counts[program.features[name]] for name in "ab"] == [0, 0]

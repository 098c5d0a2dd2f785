"""Which operators of a program are one step where kernels run."""

import subprocess
import sys

import pytest
import torch

from zcp import kernels
from zcp.formulas import Program, parse

NAMES = {"a", "b", "c"}
SHAPES = {"a": (4, 3), "b": (4, 3), "c": (5,)}


def parts(*texts):
    """Return {head: (expression, ending, leaves, elements)} as text, and the plan."""
    program = Program([parse(text, NAMES) for text in texts])
    plan = program.plan({name: SHAPES[name] for name in program.features}, fused=True)
    found = {
        str(program.nodes[head]): (
            str(part.expression),
            part.ending,
            [str(program.nodes[i]) for i in part.leaves],
            part.elements,
        )
        for head, part in plan.fused.items()
    }
    return found, plan


@pytest.mark.parametrize(
    ("text", "expression", "ending", "leaves", "elements"),
    [
        ("min(abs(a), c)", "min(abs(x0), x1)", "mean", ["a", "c"], 5),
        ("frobenius_norm(relu(a))", "relu(x0)", "norm", ["a"], 12),
        ("normalized_sum(sum(a, a))", "sum(x0, x0)", "mean", ["a"], 12),
        ("abs(sum(l1_norm(a), b))", "abs(sum(x0, x1))", "mean", ["l1_norm(a)", "b"], 12),
        ("abs(softmax(a))", "abs(x0)", "mean", ["softmax(a)"], 12),
    ],
)
def test_a_formula_is_one_part(text, expression, ending, leaves, elements):
    found, plan = parts(text)
    assert found == {text: (expression, ending, leaves, elements)}
    (head,) = plan.fused
    assert sorted(plan.reads[head]) == sorted(plan.fused[head].leaves)


def test_softmax_and_matrices_divide_a_formula():
    found, _ = parts("relu(softmax(abs(power(a))))")
    assert {head: part[1] for head, part in found.items()} == {
        "abs(power(a))": "", "relu(softmax(abs(power(a))))": "mean"
    }  # fmt: skip


def test_what_two_parts_read_is_a_part_of_its_own():
    found, _ = parts("min(relu(abs(a)), c)", "max(relu(abs(a)), b)")
    assert found["relu(abs(a))"][1:3] == ("", ["a"])
    assert found["max(relu(abs(a)), b)"][:3] == ("max(x0, x1)", "mean", ["relu(abs(a))", "b"])


def test_what_one_part_reads_twice_is_computed_in_it():
    found, _ = parts("sum(abs(a), relu(abs(a)))")
    assert found["sum(abs(a), relu(abs(a)))"][0] == "sum(abs(x0), relu(abs(x0)))"


def test_a_norm_of_what_is_there_already_is_no_part():
    assert parts("frobenius_norm(a)")[0] == {}
    assert parts("sum(frobenius_norm(a), l1_norm(b))", "softmax(abs(a))")[0].keys() == {
        "sum(frobenius_norm(a), l1_norm(b))"
    }


def test_a_missing_feature_takes_its_formula_along():
    program = Program([parse("abs(relu(a))", NAMES), parse("abs(relu(b))", NAMES)])
    plan = program.plan({"b": (3,)}, fused=True)
    assert [str(program.nodes[head]) for head in plan.fused] == ["abs(relu(b))"]


def test_a_cpu_uses_the_eager_twins_and_never_triton():
    assert not kernels.usable(torch.zeros(1))
    code = (
        "import sys, torch; from zcp import kernels; x = torch.ones(2, 3, 3); "
        "kernels.agreements(x), kernels.batched_determinant(x); assert 'triton' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_kernels_can_be_disabled():
    class OnGpu:
        is_cuda = True

    usable = kernels.usable(OnGpu())
    with kernels.disabled():
        assert not kernels.usable(OnGpu())
    assert kernels.usable(OnGpu()) == usable

"""Formulas rewritten to views of features keep their values."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_expressions import NAMES, SHAPES, tensors, trees

from zcp.formulas import Evaluation, Program, parse, read_formulas, views
from zcp.statistics.formula_layers import FEATURES

IMAGE = (2, 3, 4, 4)


def mean(tree, features, memory_format=None):
    """Return the mean of a formula, through views in a memory format or without."""
    shapes = {name: tuple(value.shape) for name, value in features.items()}
    if memory_format is None:
        program, given_shapes = Program([tree]), shapes
    else:
        program = Program(views.rewrite(Program([tree]), shapes))
        bases = {name: views.base_of(name) for name in program.features}
        given_shapes = {name: views.view_shape(name, shapes[base]) for name, base in bases.items()}
    run = Evaluation(
        program, given_shapes, torch.empty(0, dtype=torch.float64), lambda _, shape: torch.zeros(shape)
    )
    for name in program.features:
        value = features[views.base_of(name)]
        if memory_format is not None:
            value = views.read(name, value, run.needs(name), memory_format)
        run.offer(name, value)
    (found,) = run.results
    return found


def rewritten(text, **shapes):
    (tree,) = views.rewrite(Program([parse(text, NAMES)]), shapes)
    return str(tree)


@given(
    trees,
    st.lists(st.sampled_from([IMAGE, IMAGE, *SHAPES]), min_size=3, max_size=3),
    st.sampled_from([torch.channels_last, torch.contiguous_format]),
)
def test_any_formula_keeps_its_value(tree, shapes, memory_format):
    features = {
        name: tensors(shape, seed) for seed, (name, shape) in enumerate(zip("abc", shapes, strict=True))
    }
    found, expected = mean(tree, features, memory_format), mean(tree, features)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("frobenius_norm(greater_than(a, b))", "frobenius_norm(greater_than(a@rows, b@rows))"),
        ("abs(a)", "abs(a@rows)"),
        ("sum(a, c)", "sum(a, c)"),
        ("softmax(a)", "softmax(a)"),
        ("min(l1_norm(a), c)", "min(l1_norm(a@rows), c)"),
        ("min(normalize(a), c)", "min(standardise(a, normalized_sum(a@rows), deviation(a@rows)), c)"),
        ("max(mat_mul(c, subtract(a, b)), c)", "max(mat_mul(c, subtract(a@columns6, b@columns6)), c)"),
        ("numel(a)", "numel(a)"),
    ],
)
def test_what_is_read_how(text, expected):
    assert rewritten(text, a=IMAGE, b=IMAGE, c=(3, 2)) == expected


def test_of_a_row_times_a_matrix_the_first_columns_are_read():
    found = rewritten("max(mat_mul(c, subtract(a, b)), c)", a=IMAGE, b=IMAGE, c=(3,))
    assert found == "max(mat_mul(c, subtract(a@columns3, b@columns3)), c)"


@pytest.mark.parametrize("label", read_formulas("greenmachine"))
def test_the_printed_formulas_keep_their_values(label):
    tree = parse(read_formulas("greenmachine")[label], FEATURES)
    kinds = {"fwd_input": (6, 4, 5, 5), "fwd_output": (6, 4, 5, 5), "wt": (4, 4, 3, 3)}
    kinds |= {"bwd_input": kinds["fwd_input"], "bwd_output": kinds["fwd_output"], "grad": kinds["wt"]}
    features = {
        name: tensors(kinds[FEATURES[name][1]], seed) for seed, name in enumerate(sorted(tree.features))
    }
    found = mean(tree, features, torch.channels_last)
    assert math.isfinite(found)
    assert found == pytest.approx(mean(tree, features), rel=1e-9)


def test_rows_correspond_whatever_the_layout_of_a_tensor():
    image = torch.arange(96.0).reshape(IMAGE)
    other = image.contiguous(memory_format=torch.channels_last)
    for memory_format in (torch.channels_last, torch.contiguous_format):
        rows = [views.read("a@rows", tensor, 96, memory_format) for tensor in (image, other)]
        assert torch.equal(*rows)
        assert sorted(rows[0].tolist()) == image.flatten().tolist()


def test_columns_are_the_first_elements_of_each_sample():
    image = torch.arange(96.0).reshape(IMAGE).contiguous(memory_format=torch.channels_last)
    found = views.read("a@columns20", image, 30, torch.channels_last)
    assert found.tolist() == [*range(20), *range(48, 58)]

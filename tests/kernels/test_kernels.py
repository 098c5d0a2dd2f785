"""Triton kernels against their eager twins: on a GPU where there is one, else in Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch

from zcp import kernels
from zcp.formulas import OPERATORS, Evaluation, Expression, Program, parse, read_formulas
from zcp.formulas.fusion import Part, one_by_one
from zcp.formulas.source import source
from zcp.kernels import eager
from zcp.optional import why_missing
from zcp.paths import PROJECT
from zcp.statistics.formula_layers import FEATURES

if missing := why_missing("triton"):
    pytest.skip(missing, allow_module_level=True)

from zcp.kernels import determinants, elementwise, gram

# NumPy, which interprets, warns of what a GPU computes in silence.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SPECIAL = [0.0, -0.0, 0.5, 1.5, -2.5, 1.0, -1.0, torch.nan, torch.inf, -torch.inf, 1e-30, -3e30]
BOTH = [name for name, operator in OPERATORS.items() if operator.elementwise]


def random(*shape, seed=0, dtype=torch.float32):
    """Normal values, a third of them exact zeros."""
    source = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=source)
    return values.where(values.abs() > 0.4, 0.0).to(DEVICE, dtype)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (70, 3, 5, 5), (64, 1030), (3, 0), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agreements_are_counted_exactly(shape, dtype):
    values = random(*shape, dtype=dtype)
    assert torch.equal(gram.agreements(values), eager.agreements(values))


def test_agreements_do_not_depend_on_the_layout():
    values = random(6, 5, 4, 3)
    expected = eager.agreements(values)
    assert torch.equal(gram.agreements(values.to(memory_format=torch.channels_last)), expected)
    assert torch.equal(gram.agreements(values.transpose(1, 2)), expected)


def test_agreements_count_nan_as_not_positive():
    values = torch.tensor(SPECIAL, device=DEVICE).repeat(3, 2)
    values[1] *= -1
    assert torch.equal(gram.agreements(values), eager.agreements(values))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 8, 16, 31, 32])
def test_determinants_of_signs(side):
    matrices = random(9 if side <= 16 else 2, side, side, seed=side).sign()
    exact = eager.determinants(matrices.double())
    found = determinants.determinants(matrices.double())
    # Hadamard's bound on a determinant of signs is the scale of its rounding error.
    assert torch.allclose(found, exact, rtol=1e-11, atol=1e-13 * side ** (side / 2))
    if side <= 16:
        assert torch.equal(found.round(), exact.round())


def test_determinants_of_singular_matrices_and_permutations():
    equal_rows = torch.ones(4, 4)
    zero_column = torch.eye(4).index_fill(1, torch.tensor([0]), 0.0)
    exchanged = torch.eye(4)[[1, 0, 2, 3]]
    rotated = torch.eye(4)[[1, 2, 0, 3]]
    matrices = torch.stack([equal_rows, zero_column, torch.zeros(4, 4), exchanged, rotated]).to(DEVICE)
    assert determinants.determinants(matrices).tolist() == [0.0, 0.0, 0.0, -1.0, 1.0]


def test_determinants_of_views_and_of_none():
    matrices = random(5, 6, 9, seed=1, dtype=torch.float64)[:, :, :6].mT
    assert torch.allclose(determinants.determinants(matrices), eager.determinants(matrices), rtol=1e-12)
    assert determinants.determinants(random(0, 3, 3)).shape == (0,)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_bad_entry_spoils_its_own_determinant_only(bad):
    matrices = random(3, 5, 5, seed=2, dtype=torch.float64)
    matrices += torch.eye(5, device=DEVICE)
    spoiled = matrices.clone()
    spoiled[1, 2, 3] = bad
    found = determinants.determinants(spoiled)
    assert not found[1].isfinite()
    assert torch.equal(found[::2], determinants.determinants(matrices)[::2])


def test_there_is_a_function_for_every_elementwise_operator():
    assert set(elementwise.FUNCTIONS) == set(BOTH)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_equal_their_eager_twins(name, dtype):
    """On special and on random values, each of an operand against each of the others."""
    values = torch.tensor(SPECIAL, device=DEVICE, dtype=dtype)
    values = torch.cat([values, random(11, seed=3, dtype=dtype)])
    arity = OPERATORS[name].arity
    given = [operand.reshape(1, -1) for operand in torch.meshgrid([values] * arity, indexing="ij")]
    count = given[0].shape[1]
    tree = Expression(name, tuple(Expression(f"x{place}") for place in range(arity)))
    found = elementwise.evaluate(source(tree, ""), "", given, count)
    expected = OPERATORS[name].compute(given, [(count,)] * arity, count, None)
    tolerance = 0.0 if name not in ("exp", "log", "abslog", "signed_log", "sigmoid") else 1e-6
    assert torch.allclose(found, expected, rtol=tolerance, atol=0.0, equal_nan=True)
    assert found.dtype == dtype


def test_leaves_are_repeated_and_cut():
    """One leaf for all layers, one number for all elements, one expanded, one longer than is read."""
    leaves = [
        random(1, 2050),
        random(3, 1, seed=1),
        random(3, 1, seed=2).expand(3, 2049),
        random(3, 2100, seed=3),
    ]
    tree = parse("max(sum(x0, x1), element_wise_product(x2, x3))", {"x0", "x1", "x2", "x3"})
    a, b, c, d = (leaf[:, :2049] for leaf in leaves)
    expected = torch.maximum(a + b, c * d)
    assert torch.equal(elementwise.evaluate(source(tree, ""), "", leaves, 2049), expected)
    mean, norm = (
        elementwise.evaluate(source(tree, ending), ending, leaves, 2049) for ending in ("mean", "norm")
    )
    assert torch.allclose(mean, expected.mean(1, keepdim=True), rtol=1e-5)
    assert torch.allclose(norm, expected.norm(dim=1, keepdim=True), rtol=1e-5)


def test_no_elements_and_no_layers():
    tree = parse("abs(x0)", {"x0"})
    assert elementwise.evaluate(source(tree, ""), "", [random(2, 0)], 0).shape == (2, 0)
    assert elementwise.evaluate(source(tree, "mean"), "mean", [random(2, 0)], 0).isnan().all()
    assert elementwise.evaluate(source(tree, "norm"), "norm", [random(0, 5)], 5).shape == (0, 1)


FORMULAS = [
    *read_formulas("greenmachine").values(),
    "element_wise_product(abs(pass_grad), abs(pass_grad))",
    "sum(frobenius_norm(abs(pass_wt)), normalized_sum(round(element_wise_invert(pass_fwd_input))))",
    "sum(abs(relu(pass_grad)), frobenius_norm(abs(relu(pass_grad))))",
    "frobenius_norm(sigmoid(logdet(sign(pass_bwd_input))))",
    "sum(min(random_wt, l1_norm(pass_grad)), normalized_sum(max(pass_wt, softmax(relu(pass_wt)))))",
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_programs_with_kernels_equal_those_without(monkeypatch, dtype):
    """All formulas over two layers of odd shapes."""
    program = Program([parse(text, FEATURES) for text in FORMULAS])
    kinds = {"fwd_input": (3, 2, 5, 5), "fwd_output": (3, 4, 5, 5), "wt": (4, 2, 3, 3)}
    kinds |= {"bwd_input": kinds["fwd_input"], "bwd_output": kinds["fwd_output"], "grad": kinds["wt"]}
    shapes = {name: kinds[FEATURES[name][1]] for name in program.features}
    values = {name: random(2, *shape, seed=i, dtype=dtype) for i, (name, shape) in enumerate(shapes.items())}

    def run():
        normals = [lambda text, shape, seed=seed: random(*shape, seed=seed + len(text)) for seed in (8, 9)]
        found = Evaluation(program, shapes, torch.empty(0, dtype=dtype, device=DEVICE), *normals)
        for name, value in values.items():
            found.offer(name, *value)
        assert not found._values
        return torch.tensor(found.by_layer(), dtype=torch.float64)

    with kernels.disabled():
        expected = run()
    monkeypatch.setattr(kernels, "usable", lambda tensor: True)
    launched = []
    launch = elementwise.evaluate
    monkeypatch.setattr(elementwise, "evaluate", lambda *given: launched.append(given[1]) or launch(*given))
    found = run()
    assert set(launched) == {"", "mean", "norm"}
    assert torch.allclose(found, expected, rtol=1e-5 if dtype == torch.float32 else 1e-12, equal_nan=True)


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from zcp.formulas import parse
from zcp.formulas.source import source
from zcp.kernels import determinants, elementwise, gram

def build(kernel, types, **constants):
    signature = dict(zip(kernel.arg_names, types.split())) | dict.fromkeys(constants, "constexpr")
    tree = triton.compiler.ASTSource(kernel, signature, constexprs=constants)
    for capability in (80, 90):
        print(len(triton.compile(tree, target=GPUTarget("cuda", capability, 32)).asm["ptx"]) > 1000)

build(gram._correlate, "*fp32 *i32 i32 i32 i32", TILE=gram.TILE, DEPTH=gram.DEPTH, STEPS=gram.STEPS)
build(determinants._eliminate, "*fp32 *fp32 i32 i32 i32 i32", side=7, TOGETHER=16, SIDE=8)
unary = "x0"
for name in {unary!r}:
    unary = f"{{name}}({{unary}})"
tree = parse(f"max(min(subtract(sum({{unary}}, x1), element_wise_product(x0, x1)), less_than(x0, x1)), "
             "sum(greater_than(x0, x1), equal(x0, x1)))", {{"x0", "x1"}})
for ending, type in (("", "fp32"), ("norm", "fp64"), ("", "fp16"), ("mean", "bf16")):
    kernel = elementwise.kernel(source(tree, ending))
    build(kernel, f"*{{type}} i32 i32 *{{type}} i32 i32 *{{type}} i32", BLOCK=1024)
"""


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_that_is_not_here():
    """The interpreter accepts what the compiler would refuse."""
    unary = [name for name in BOTH if OPERATORS[name].arity == 1]
    printed = subprocess.run(
        [sys.executable, "-c", COMPILE.format(unary=unary)],
        env={**os.environ, "TRITON_INTERPRET": "0"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.stdout.split() == ["True"] * 12, printed.stderr


HALF = "exp(element_wise_product(sigmoid(log(x0)), element_wise_invert(x1)))"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype):
    """Triton refuses the exponential of 16 bits; sums of squares would overflow them."""
    leaves = [random(2, 40, seed=4, dtype=dtype).abs() + 0.5, random(2, 40, seed=5, dtype=dtype).abs() + 60]
    tree = parse(HALF, {"x0", "x1"})
    part = Part(tree, "", (0, 1), 40)
    wide = one_by_one(part, [leaf.float() for leaf in leaves])
    found = elementwise.evaluate(source(tree, ""), "", leaves, 40)
    assert found.dtype == dtype
    assert torch.allclose(found.float(), wide, rtol=1e-2)
    norm = elementwise.evaluate(source(parse("x0", {"x0"}), "norm"), "norm", leaves[1:], 40)
    assert norm.dtype == dtype
    assert torch.allclose(norm.float(), leaves[1].float().norm(dim=1, keepdim=True), rtol=1e-2)


@pytest.mark.parametrize("ending", ["", "mean", "norm"])
def test_the_twin_of_a_fused_part(ending):
    """One leaf for all layers, one number for all elements, one longer than is read."""
    leaves = [random(1, 30), random(3, 1, seed=1), random(3, 33, seed=2)]
    tree = parse("max(sum(x0, x1), element_wise_product(x2, abs(x1)))", {"x0", "x1", "x2"})
    found = one_by_one(Part(tree, ending, (0, 1, 2), 30), leaves)
    expected = elementwise.evaluate(source(tree, ending), ending, leaves, 30)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=1e-6)


def test_a_kernel_that_cannot_be_built_is_replaced_once_and_for_all(monkeypatch):
    tried = []

    def fail(*_given):
        tried.append(1)
        raise NotImplementedError("no such instruction")

    monkeypatch.setattr(kernels, "usable", lambda _tensor: True)
    monkeypatch.setattr(kernels, "refused", {})
    monkeypatch.setattr(elementwise, "evaluate", fail)
    monkeypatch.setattr(gram, "agreements", fail)
    values = random(3, 5)
    with pytest.warns(RuntimeWarning, match="no such instruction"):
        assert kernels.fused("text", "", [values], 5, lambda: values + 1).equal(values + 1)
        assert kernels.agreements(values).equal(eager.agreements(values))
    assert kernels.fused("text", "", [values], 5, lambda: values + 2).equal(values + 2)
    assert len(tried) == 2
    assert kernels.refused["text"] == "NotImplementedError: no such instruction"
    monkeypatch.setattr(elementwise, "evaluate", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("")))
    with pytest.raises(torch.OutOfMemoryError):
        kernels.fused("other", "", [values], 5, lambda: values)

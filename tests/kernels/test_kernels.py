"""The Triton kernel against its eager twin: on a GPU where there is one, else in Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch

from zcp import kernels
from zcp.formulas import Evaluation, Program, parse
from zcp.kernels import eager
from zcp.optional import why_missing
from zcp.paths import PROJECT

if missing := why_missing("triton"):
    pytest.skip(missing, allow_module_level=True)

from zcp.kernels import determinants

# NumPy, which interprets, warns of what a GPU computes in silence.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def random(*shape, seed=0, dtype=torch.float32):
    """Normal values, a third of them exact zeros."""
    source = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=source)
    return values.where(values.abs() > 0.4, 0.0).to(DEVICE, dtype)


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


FORMULAS = [
    "sigmoid(determinant_literal(sign(a)))",
    "sum(determinant_literal(a), frobenius_norm(determinant_literal(min(a, b))))",
    # What only the host decides waits for it.
    "abs(logdet(sign(b)))",
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_formulas_with_the_kernel_equal_those_without(monkeypatch, dtype):
    """Over two layers, and the host fetches at the end what waits for it."""
    program = Program([parse(text, {"a", "b"}) for text in FORMULAS])
    values = {name: random(2, 3, 4, 5, 5, seed=seed, dtype=dtype) for seed, name in enumerate("ab")}
    shapes = {name: value.shape[1:] for name, value in values.items()}

    def run():
        found = Evaluation(program, shapes, torch.empty(0, dtype=dtype, device=DEVICE), *[None] * 2)
        for name, value in values.items():
            found.offer(name, *value)
        found.resume([waiting.cpu() for waiting in found.pending])
        assert not found._values
        return torch.tensor(found.by_layer(), dtype=torch.float64)

    with kernels.disabled():
        expected = run()
    launched = []
    launch = determinants.determinants
    monkeypatch.setattr(kernels, "usable", lambda tensor: tensor.device.type == DEVICE)
    monkeypatch.setattr(determinants, "determinants", lambda m: launched.append(m.shape) or launch(m))
    found = run()
    assert launched == [(24, 5, 5)] * 3
    assert torch.allclose(found, expected, rtol=1e-5 if dtype == torch.float32 else 1e-11)


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from zcp.kernels import determinants

kernel = determinants._eliminate
types = "*fp32 *fp32 i32 i32 i32 i32".split()
constants = dict(side=7, TOGETHER=16, SIDE=8)
signature = dict(zip(kernel.arg_names, types)) | dict.fromkeys(constants, "constexpr")
tree = triton.compiler.ASTSource(kernel, signature, constexprs=constants)
for capability in (80, 90):
    print(len(triton.compile(tree, target=GPUTarget("cuda", capability, 32)).asm["ptx"]) > 1000)
"""


@pytest.mark.slow
def test_the_kernel_compiles_for_a_gpu_that_is_not_here():
    """The interpreter accepts what the compiler would refuse."""
    printed = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env={**os.environ, "TRITON_INTERPRET": "0"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.stdout.split() == ["True"] * 2, printed.stderr


def test_a_kernel_that_cannot_be_built_is_replaced_once_and_for_all(monkeypatch):
    tried = []

    def fail(matrices):
        tried.append(matrices.shape[1])
        raise NotImplementedError("no such instruction")

    monkeypatch.setattr(kernels, "usable", lambda _tensor: True)
    monkeypatch.setattr(kernels, "refused", {})
    monkeypatch.setattr(determinants, "determinants", fail)
    matrices = random(4, 3, 3)
    with pytest.warns(RuntimeWarning, match="no such instruction"):
        assert kernels.batched_determinant(matrices).equal(eager.determinants(matrices))
    assert kernels.batched_determinant(matrices + 1).equal(eager.determinants(matrices + 1))
    assert tried == [3]
    assert kernels.refused == {"determinants of side 3": "NotImplementedError: no such instruction"}

    def no_memory(_matrices):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(determinants, "determinants", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        kernels.batched_determinant(random(4, 5, 5))
    assert len(kernels.refused) == 1


def test_what_does_not_fit_the_registers_is_left_to_the_twin(monkeypatch):
    monkeypatch.setattr(kernels, "usable", lambda _tensor: True)
    monkeypatch.setattr(determinants, "determinants", lambda _matrices: pytest.fail("launched"))
    for side in (0, determinants.LARGEST + 1):
        matrices = random(2, side, side)
        assert kernels.batched_determinant(matrices).equal(eager.determinants(matrices))

"""Products of matrices: multiply-accumulates and weights of all spellings."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zcp import flops, score
from zcp.statistics.recorder import Recorder


class Runs(nn.Module):
    """A function of inputs and of parameters of these shapes."""

    def __init__(self, run, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(2)
        self.run = run
        self.weights = nn.ParameterList(torch.randn(shape, generator=source) for shape in shapes)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(*inputs, *self.weights)


B, T, I, O = 5, 4, 7, 3  # noqa: E741 - inputs and outputs
#: (function, shapes of inputs, of parameters, multiply-accumulates by hand, whether PyTorch counts them).
PRODUCTS = {
    "matmul": (torch.matmul, [(B, T, I)], [(I, O)], B * T * I * O, True),
    "matmul, weight first": (lambda x, w: w @ x.mT, [(B, T, I)], [(O, I)], B * T * I * O, True),
    "of activations": (torch.matmul, [(B, T, I), (B, I, T)], [], B * T * I * T, True),
    "heads": (torch.matmul, [(B, 2, T, I)], [(2, I, O)], B * 2 * T * I * O, True),
    "mm": (torch.mm, [(B, I)], [(I, O)], B * I * O, True),
    "bmm": (torch.bmm, [(B, T, I)], [(B, I, O)], B * T * I * O, True),
    "mv": (lambda x, w: torch.mv(x, w[0]), [(B, I)], [(1, I)], B * I, False),
    "mv of the weight": (lambda x, w: torch.mv(w, x), [(I,)], [(O, I)], I * O, False),
    "vector": (lambda x, w: x @ w, [(I,)], [(I, O)], I * O, True),
    "addmm": (lambda x, w: torch.addmm(x[:, :1], x, w), [(B, I)], [(I, O)], B * I * O, True),
    "addmm_": (lambda x, w: x.new_zeros(B, O).addmm_(x, w), [(B, I)], [(I, O)], B * I * O, False),
    "addmv": (lambda x, w: torch.addmv(x[:, 0], x, w[0]), [(B, I)], [(1, I)], B * I, False),
    "addbmm": (lambda x, w: torch.addbmm(x[0, 0, 0], x, w), [(B, T, I)], [(B, I, O)], B * T * I * O, False),
    "baddbmm": (
        lambda x, w: torch.baddbmm(x[:1, :1, :1], x, w, alpha=2),
        [(B, T, I)], [(B, I, O)], B * T * I * O, True,
    ),
    "bilinear": (F.bilinear, [(B, I), (B, T)], [(O, I, T)], B * O * I * T, False),
    "tensordot": (lambda x, w: torch.tensordot(x, w, 1), [(B, T, I)], [(I, O)], B * T * I * O, True),
    "tensordot of two": (
        lambda x, w: torch.tensordot(x, w, dims=([2, 1], [0, 1])),
        [(B, T, I)], [(I, T, O)], B * T * I * O, True,
    ),
    "inner": (torch.inner, [(B, T, I)], [(O, I)], B * T * I * O, True),
    "multi_dot": (
        lambda *m: torch.linalg.multi_dot(m), [(2, I)], [(I, O), (O, 6)], 2 * I * O + 2 * O * 6, True,
    ),
    "multi_dot, weights first": (
        lambda *m: torch.linalg.multi_dot(m), [(50, I)], [(I, O), (O, 2)], I * O * 2 + 50 * I * 2, True,
    ),
    "chain_matmul": (
        lambda x, a, b: torch.chain_matmul(b, a, x.T), [(B, I)], [(O, I), (2, O)],
        min(2 * O * I + 2 * I * B, O * I * B + 2 * O * B), True,
    ),
    "einsum of three": (
        lambda *m: torch.einsum("bi,ij,jk->kb", *m), [(B, I)], [(I, O), (O, 2)], B * I * O + B * O * 2, True,
    ),
    "einsum of three, weights first": (
        lambda x, a, b: torch.einsum("ij,jk,bi", a, b, x),
        [(B, I)], [(I, O), (O, 2)], I * O * 2 + B * I * 2, True,
    ),
    "einsum of three in a list": (
        lambda *m: torch.einsum("...i,ji,kj->...k", [*m]), [(B, T, I)], [(O, I), (2, O)],
        B * T * I * O + B * T * O * 2, True,
    ),
    "einsum of four": (
        lambda *m: torch.einsum("bi,ij,jk,bk->b", *m[:1], *m[2:], m[1]), [(B, I), (B, 2)], [(I, O), (O, 2)],
        B * I * O + B * O * 2 + B * 2, True,
    ),
    "einsum, sublists": (
        lambda x, w: torch.einsum(x, [0, 1, 2], w, [3, 2], [0, 3, 1]),
        [(B, T, I)], [(O, I)], B * T * I * O, True,
    ),
    "einsum, alone": (lambda x, w: torch.einsum("bti,oi->bo", x, w), [(B, T, I)], [(O, I)], B * I * O, True),
    "einsum, element-wise": (lambda x, w: torch.einsum("bi,oi->boi", x, w), [(B, I)], [(O, I)], 0, True),
    "einsum, grouped": (
        lambda x, w: torch.einsum("btgi,goi->btgo", x, w),
        [(B, T, 2, I)], [(2, O, I)], B * T * 2 * I * O, True,
    ),
    "einsum, diagonal": (
        lambda x, w: torch.einsum("btt,to->bo", x, w),
        [(B, T, T)], [(T, O)], B * T * O, True,
    ),
    "einsum, broadcast": (
        lambda x, w: torch.einsum("bti,boi->bto", x, w), [(B, T, I)], [(1, O, I)], B * T * I * O, True,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:torch.chain_matmul")
@pytest.mark.parametrize("how", PRODUCTS)
def test_multiply_accumulates_of_products(how):
    run, inputs, shapes, macs, is_counted = PRODUCTS[how]
    net, given = Runs(run, *shapes), [torch.randn(shape) for shape in inputs]
    with FlopCounterMode(display=False) as counter:
        expected = net(*given)
    assert counter.get_total_flops() / 2 == (macs if is_counted else 0)
    assert flops(net, given).total == macs
    with Recorder(own_inputs=True, copies=True) as recorder:
        found = net(*given)
    torch.testing.assert_close(found, expected)
    weights = [call.weight for call in recorder.calls if call.kind == "linear"]
    seen = sum(weight.numel() for weight in weights)
    assert macs == 0 or not shapes or seen >= min(math.prod(shape) for shape in shapes)
    gradients = torch.autograd.grad(found.square().sum(), net.weights, allow_unused=True) if shapes else ()
    plain = torch.autograd.grad(net(*given).square().sum(), net.weights) if shapes else ()
    for mine, theirs in zip(gradients, plain, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_bilinear_layer_is_a_linear_one_of_all_pairs():
    class Pairs(nn.Module):
        def __init__(self, module: bool) -> None:
            super().__init__()
            self.layer = nn.Bilinear(3, 4, 6) if module else nn.Linear(12, 6)
            self.head = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            one, other = x[:, :3], x[:, 3:]
            if isinstance(self.layer, nn.Bilinear):
                return self.head(self.layer(one, other).relu())
            return self.head(self.layer((one[:, :, None] * other[:, None]).flatten(1)).relu())

    one, other = Pairs(True).double(), Pairs(False).double()
    with torch.no_grad():
        for mine, theirs in zip(other.parameters(), one.parameters(), strict=True):
            mine.copy_(theirs.flatten(1) if theirs.ndim == 3 else theirs)
    source = torch.Generator().manual_seed(0)
    batches = [(torch.randn(6, 7, generator=source).double(), torch.arange(6) % 3) for _ in range(2)]
    names = ["grad_norm", "snip", "grasp", "zico", "fisher", "flops", "synflow", "naswot", "zen", "ntk_cond"]
    found, expected = (score(net, batches, names, init="keep") for net in (one, other))
    assert dict(found) == pytest.approx(dict(expected), rel=1e-7)


def test_heads_with_a_bias_of_their_own():
    """The bias (heads, width) of a projection that is written as one einsum is a bias."""

    class Heads(nn.Module):
        def __init__(self, module: bool) -> None:
            super().__init__()
            self.layer, self.head, self.module = nn.Linear(7, 6), nn.Linear(6, 3), module

        def forward(self, x: Tensor) -> Tensor:
            if self.module:
                y = self.layer(x)
            else:
                weight, bias = self.layer.weight.view(2, 3, 7), self.layer.bias.view(2, 3)
                y = (torch.einsum("bti,hwi->bhtw", x, weight) + bias[:, None]).transpose(1, 2).flatten(2)
            return self.head(y.relu().mean(1))

    one, other = Heads(True).double(), Heads(False).double()
    other.load_state_dict(one.state_dict())
    source = torch.Generator().manual_seed(0)
    batches = [(torch.randn(6, 4, 7, generator=source).double(), torch.arange(6) % 3) for _ in range(2)]
    names = ["grad_norm", "fisher", "flops", "naswot", "zen", "greenmachine_f", "greenmachine_d"]
    found, expected = (score(net, batches, names, init="keep") for net in (other, one))
    assert dict(found) == pytest.approx(dict(expected), rel=1e-7)

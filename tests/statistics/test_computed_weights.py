"""Weights that are computed from parameters on the way to their layer, in any way."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zcp import flops, score

CLASSES, IN = 3, 7
NAMES = ["grad_norm", "snip", "grasp", "nasi", "zico", "l2_norm", "naswot", "fisher", "flops", "zen"]


class Sign(torch.autograd.Function):
    """The sign, with the gradient of what it is the sign of."""

    @staticmethod
    def forward(_ctx, w):
        return w.sign()

    @staticmethod
    def backward(_ctx, gradient):
        return gradient


class Folding(nn.Module):
    """One hidden layer whose weight is computed, multiplied by `F.linear` or an operator."""

    def __init__(self, fold, *shapes: tuple[int, ...], operator: bool = False) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(5)
        self.fold, self.operator = fold, operator
        for number, shape in enumerate(shapes):
            values = torch.randn(shape, generator=source, dtype=torch.float64)
            self.register_parameter(f"p{number}", nn.Parameter(values))
        self.register_buffer("mask", (torch.arange(4 * IN).view(4, IN) % 3 > 0).double())
        self.head = nn.Linear(4, CLASSES, dtype=torch.float64)
        with torch.no_grad():
            for number, parameter in enumerate(self.head.parameters()):
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter) + number)

    @property
    def weight(self) -> Tensor:
        return self.fold(self, *(p for name, p in self.named_parameters(recurse=False)))

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        return self.head((x @ w.t() if self.operator else F.linear(x, w)).relu())


#: How a weight is computed -> (of what; of which parameters it is a weight).
FOLDS = {
    "scaled": (lambda _, w, g: w * g, [(4, IN), (4, 1)], [0]),
    "scaled by zero": (lambda _, w, g: w * (g * torch.tensor(0.0)), [(4, IN), (4, 1)], [0]),
    "centred": (lambda _, w: w - w.mean(1, keepdim=True), [(4, IN)], [0]),
    "standardised": (
        lambda _, w: F.batch_norm(w.reshape(1, 4, -1), None, None, training=True).reshape_as(w),
        [(4, IN)],
        [0],
    ),
    "normalised": (lambda _, w: F.layer_norm(F.normalize(w), (IN,)), [(4, IN)], [0]),
    "transposed": (lambda _, w: w.t(), [(IN, 4)], [0]),
    "joined": (lambda _, a, b: torch.cat([a, b]), [(1, IN), (3, IN)], [0, 1]),
    "stacked": (lambda _, a, b, c, d: torch.stack([a[0], b[0], c[0], d[0]]), [(1, IN)] * 4, [0, 1, 2, 3]),
    "reshaped": (lambda _, w: w.reshape(4, IN), [(IN, 4)], [0]),
    "low rank": (lambda _, w, a, b: w + 0.5 * (a @ b), [(4, IN), (4, 2), (2, IN)], [0, 1, 2]),
    "rank one": (lambda _, w, a, b: torch.addmm(w, a, b), [(4, IN), (4, 1), (1, IN)], [0, 1, 2]),
    "factors": (lambda _, a, b: torch.einsum("or,ri->oi", a, b), [(4, 2), (2, IN)], [0, 1]),
    "masked": (lambda s, w: w * s.mask, [(4, IN)], [0]),
    "masked by a view": (lambda s, w: w * s.mask.T.mT.to(w.dtype), [(4, IN)], [0]),
    "activated": (lambda _, w: torch.tanh(w), [(4, IN)], [0]),
    "a function of one's own": (lambda _, w: Sign.apply(w) * 0.1, [(4, IN)], [0]),
    "written into": (lambda _, w: torch.zeros(4, IN, dtype=w.dtype).add_(w), [(4, IN)], [0]),
    "sliced": (lambda _, w: w[1:5, :IN], [(6, 9)], [0]),
    "noisy": (lambda _, w: w + 0 * torch.randn_like(w), [(4, IN)], [0]),
}


def data(size: int = 6):
    source = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, IN, generator=source, dtype=torch.float64), torch.arange(size) % CLASSES)
        for _ in range(2)
    ]


@pytest.mark.parametrize("operator", [False, True])
@pytest.mark.parametrize("how", FOLDS)
def test_the_leaves_of_a_computed_weight_are_weights(how, operator):
    fold, shapes, of = FOLDS[how]
    net = Folding(fold, *shapes, operator=operator)
    found = score(net, data(), NAMES, init="keep")
    # By PyTorch alone.
    (x, y), (x2, y2) = data()
    leaves = [getattr(net, f"p{n}") for n in of] + [net.head.weight]
    gradients = torch.autograd.grad(F.cross_entropy(net(x), y), leaves, create_graph=True)
    others = torch.autograd.grad(F.cross_entropy(net(x2), y2), leaves)
    squares = sum(g.square().sum() for g in gradients)
    bends = [torch.zeros_like(w) for w in leaves]
    if squares.requires_grad:
        for bend, h in zip(bends, torch.autograd.grad(squares / 2, leaves, allow_unused=True), strict=True):
            bend += 0 if h is None else h
    expected = {
        "grad_norm": sum(float(g.detach().norm()) for g in gradients),
        "snip": sum(float((w * g).detach().abs().sum()) for w, g in zip(leaves, gradients, strict=True)),
        "grasp": -sum(float((w * h).detach().sum()) for w, h in zip(leaves, bends, strict=True)),
        "nasi": float(squares.detach()),
        "l2_norm": sum(float(w.detach().norm()) for w in leaves),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-7, abs=1e-12), name
    assert len(others) == len(of) + 1
    # All that reads activations is that of the folded network, of two plain layers.
    folded = nn.Sequential(nn.Linear(IN, 4, bias=False), nn.ReLU(), nn.Linear(4, CLASSES)).double()
    with torch.no_grad():
        folded[0].weight.copy_(net.weight)
        folded[2].load_state_dict(net.head.state_dict())
    plain = score(folded, data(), ["naswot", "fisher", "flops", "zen"], init="keep")
    for name, value in plain.items():
        assert found[name] == pytest.approx(value, rel=1e-7, nan_ok=True), (name, found.reasons)


class Standardised(nn.Module):
    """Convolutions with centred weights, and one with a generated kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.base = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(4, 4, 1, 1))
        self.route, self.head = nn.Linear(4, 1), nn.Linear(4, CLASSES)
        self.token = nn.Parameter(torch.randn(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.w - self.w.mean((1, 2, 3), keepdim=True)).relu()
        gate = self.route(x.mean((0, 2, 3))).sigmoid()
        x = F.conv2d(x + self.token, self.base * gate).relu()
        return self.head(x.mean((2, 3)))


def test_a_weight_that_activations_take_part_in_ends_there():
    """The kernel counts, and what the gate was computed from by itself; the token does not."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Standardised()
    batches = [(torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)), torch.arange(4) % 3)]
    found = score(net, batches, ["grad_norm", "l2_norm"], init="keep")
    leaves = [net.w, net.base, net.route.weight, net.head.weight]
    gradients = torch.autograd.grad(F.cross_entropy(net(batches[0][0]), batches[0][1]), leaves)
    assert found["l2_norm"] == pytest.approx(sum(float(w.detach().norm()) for w in leaves), rel=1e-5)
    assert found["grad_norm"] == pytest.approx(sum(float(g.detach().norm()) for g in gradients), rel=1e-4)


def test_what_parameters_alone_give_a_layer_counts():
    """Learned queries through a linear layer are activations of it, and its weight is one."""

    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.queries, self.w = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.randn(7, 5))
            self.head = nn.Linear(2, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x @ F.linear(self.queries, self.w).T)

    net = Queries()
    x = torch.randn(6, 7)
    with FlopCounterMode(display=False) as counter:
        net(x)
    assert flops(net, x).total == counter.get_total_flops() / 2 == 2 * 5 * 7 + 6 * 7 * 2 + 6 * 2 * CLASSES
    found = score(net, [(x, torch.arange(6) % 3)], ["l2_norm"], init="keep")["l2_norm"]
    assert found == pytest.approx(float((net.w.norm() + net.head.weight.norm()).detach()), rel=1e-6)

"""Synflow of networks that make constants, drop, and mask."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from any_networks import CLASSES, batches, seeded
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from zcp import score

DATA = batches(shape=(4, 6))
NAMES = ["synflow", "synflow_bn", "log_synflow"]


def by_hand(net: nn.Module, shape=(1, 4, 6)) -> float:
    """Synflow of a network without norms, written for doubles: all |w dR/dw| of its linear layers."""
    own = copy.deepcopy(net).double().eval()
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.abs_()
    own(torch.ones(shape, dtype=torch.float64)).sum().backward()
    layers = [m.weight for m in own.modules() if isinstance(m, nn.Linear)]
    return sum(float((w.detach() * w.grad).abs().sum()) for w in layers)


class Attention(nn.Module):
    """Attention written out over 4 tokens of 6 features; what subclasses add is in single precision."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.value, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def extra(self, x: Tensor) -> Tensor:
        return x

    def mix(self, x: Tensor) -> Tensor:
        return (x @ self.key(x).mT / 6).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.extra(x)
        return self.head(self.mix(x) @ self.value(x))[:, -1]


@pytest.mark.parametrize("trivial", [True, False])
@pytest.mark.parametrize("way", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_weights_are_folded(way, trivial):
    def build(wrap):
        return nn.Sequential(wrap(nn.Linear(6, 8)), nn.ReLU(), nn.Flatten(), wrap(nn.Linear(32, CLASSES)))

    def wrap(layer):
        return parametrizations.orthogonal(layer, orthogonal_map=way, use_trivialization=trivial)

    net, folded = seeded(lambda: build(wrap)), seeded(lambda: build(lambda layer: layer))
    with torch.no_grad():
        for mine, theirs in ((folded[0], net[0]), (folded[3], net[3])):
            mine.weight.copy_(theirs.weight)
            mine.bias.copy_(theirs.bias)
    found = score(net, DATA, NAMES, init="keep")
    assert found["synflow"] == found["synflow_bn"] == pytest.approx(by_hand(folded), rel=1e-6)
    assert all(value > 0 for value in score(net, DATA, NAMES).values())
    assert score(net, DATA, NAMES, init="keep") == found


TABLE = torch.linspace(-1, 1, 24).reshape(4, 6)

# What is added or multiplied in single precision -> the same, whatever the precision.
CONSTANTS = {
    "ones": (lambda x: x @ torch.ones(6, 6), lambda x: x @ x.new_ones(6, 6)),
    "tensor": (lambda x: torch.addmm(torch.tensor(0.5), x[0], torch.eye(6))[None], lambda x: x + 0.5),
    "dtype": (lambda x: x @ torch.eye(6, dtype=torch.float32), lambda x: x),
    "cast": (lambda x: (x.float() * 1e30).float() @ torch.eye(6) * 1e30 / 1e60, lambda x: x),
    "to": (lambda x: x.to(torch.float32) @ torch.eye(6).to(torch.bfloat16).to(x), lambda x: x),
    "table": (lambda x: x + TABLE @ (TABLE.T @ x), lambda x: x + TABLE.to(x) @ (TABLE.T.to(x) @ x)),
    "list": (lambda x: torch.einsum("btc,cd->btd", x, torch.eye(6)), lambda x: x),
    "cat": (lambda x: torch.cat([x, torch.zeros(1, 1, 6)], 1)[:, :4], lambda x: x),
}  # fmt: skip


@pytest.mark.parametrize("how", CONSTANTS)
def test_constants_of_single_precision(how):
    class Made(Attention):
        def __init__(self, which: int) -> None:
            super().__init__()
            self.which = which

        def extra(self, x):
            return CONSTANTS[how][self.which](x)

    found = score(seeded(lambda: Made(0)), DATA, NAMES, init="keep")
    expected = by_hand(seeded(lambda: Made(1)))
    assert found["synflow"] == pytest.approx(expected, rel=1e-12 if how != "table" else 1e-7)
    assert found["synflow_bn"] == pytest.approx(expected, rel=1e-7)
    assert torch.get_default_dtype() == torch.float32


class Dropping(Attention):
    """Drops in one way or in none."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.dropout = how, nn.Dropout(0.4)

    def extra(self, x):
        if self.how == "module":
            return self.dropout(x)
        if self.how == "function":
            return F.dropout(x, 0.4)
        if self.how == "in place":
            return F.dropout(x * 1, p=0.4, training=True, inplace=True)
        if self.how == "channels":
            return F.dropout1d(x, 0.4, True)
        if self.how == "alpha":
            return torch.alpha_dropout(x, 0.4, True)
        if self.how == "depth" and self.training:
            return x * x.new_empty(len(x), 1, 1).bernoulli_(0.3) / 0.3
        return x

    def mix(self, x):
        if self.how != "attention":
            return super().mix(x)
        eye = torch.eye(x.shape[1]).expand(len(x), -1, -1)
        return F.scaled_dot_product_attention(x, self.key(x), eye, None, 0.4, scale=1 / 6)


@pytest.mark.parametrize("how", ["module", "function", "in place", "channels", "alpha", "depth", "attention"])
def test_nothing_is_dropped(how):
    expected = by_hand(seeded(lambda: Dropping("not")))
    for seed in (0, 1):
        found = score(seeded(lambda: Dropping(how)), DATA, NAMES, init="keep", seed=seed)
        assert found["synflow"] == pytest.approx(expected, rel=1e-12)
        assert found["synflow_bn"] == pytest.approx(expected, rel=1e-12)


class Masked(Attention):
    """Causal attention with the mask in a buffer, or made anew."""

    def __init__(self, value: float, buffer: bool) -> None:
        super().__init__()
        self.mask: Tensor | None
        self.register_buffer("mask", torch.full((4, 4), value).triu(1) if buffer else None)

    def mix(self, x):
        made = torch.full((4, 4), -math.inf, dtype=x.dtype).triu(1)
        scores = x @ self.key(x).mT / 6
        return (scores + (made if self.mask is None else self.mask)).softmax(-1)


@pytest.mark.parametrize("value", [-math.inf, -1e4, torch.finfo(torch.float32).min])
def test_a_mask_masks(value):
    found = score(seeded(lambda: Masked(value, True)), DATA, NAMES, init="keep")
    expected = by_hand(seeded(lambda: Masked(value, False)))
    assert found["synflow"] == pytest.approx(expected, rel=1e-12)
    assert found["log_synflow"] == pytest.approx(math.log(expected), rel=1e-12)


def test_other_buffers_are_absolute():
    class Shifted(Attention):
        def __init__(self, sign: float) -> None:
            super().__init__()
            self.register_buffer("shift", sign * torch.arange(6.0))

        def extra(self, x):
            return x + self.shift

    found = score(seeded(lambda: Shifted(-1.0)), DATA, NAMES, init="keep")
    assert found["synflow"] == pytest.approx(by_hand(seeded(lambda: Shifted(1.0))), rel=1e-12)


class Normed(nn.Module):
    """A batch norm as a module, or as a function that is told the mode of the network."""

    def __init__(self, function: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.function = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), function
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        x, norm = self.conv(x), self.norm
        if self.function:
            given = (norm.running_mean, norm.running_var, norm.weight, norm.bias, self.training)
            return self.head(F.relu(F.batch_norm(x, *given)).mean((2, 3)))
        return self.head(F.relu(norm(x)).mean((2, 3)))


@pytest.mark.parametrize("function", [True, False])
def test_norms_in_place_take_the_statistics_of_the_image(function):
    net = seeded(lambda: Normed(function))
    own = copy.deepcopy(net).double().train()
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.abs_()
    own(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum().backward()
    expected = sum(float((w.detach() * w.grad).abs().sum()) for w in (own.conv.weight, own.head.weight))
    found = score(net, batches(), ["synflow_bn"], init="keep")["synflow_bn"]
    assert found == pytest.approx(expected, rel=1e-9)
    assert net.training

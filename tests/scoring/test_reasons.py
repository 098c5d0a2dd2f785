"""Every reason is a sentence about the network and what to do, and not an error of something inside."""

import math

import pytest
import torch
import torch.nn.functional as F
from any_networks import CLASSES, batches, norms, seeded
from torch import nn

from zcp import score

DATA = batches()
FLAT = batches(shape=(8,))


def plain_words(scores) -> None:
    for name, reason in scores.reasons.items():
        assert "Error" not in reason and "'weight'" not in reason, (name, reason)


def test_targets_of_a_regression():
    data = [(x, torch.linspace(-1, 1, len(x))[:, None]) for x, _ in DATA]
    found = score(nn.Sequential(nn.Flatten(), nn.Linear(192, 1)), data, loss=F.mse_loss)
    assert "integer labels (B,), not torch.float32 (5, 1)" in found.reasons["epe_nas"]
    plain_words(found)


@pytest.mark.parametrize("net", [nn.Sequential(nn.Flatten(), nn.ReLU()), nn.Identity()])
def test_networks_without_parameters(net):
    found = score(net, batches(shape=(CLASSES,)))
    assert "no parameters" in found.reasons["grad_norm_l2"]
    assert "the network has no weights" in found.reasons["ntk_cond"]
    plain_words(found)


def test_a_gradient_that_is_the_same_for_all_inputs():
    found = score(nn.Identity(), batches(shape=(CLASSES,)), ["jacob_cov", "epe_nas"])
    for name in found:
        assert "the same for all of its inputs" in found.reasons[name]


class Stem(nn.Module):
    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, CLASSES)
        self.cut = cut

    def forward(self, x):
        with torch.set_grad_enabled(not self.cut):
            x = F.relu(self.stem(x))
        return self.head(F.relu(self.body(x)).mean((2, 3)))


def test_a_stem_without_gradients_takes_no_part():
    """By hand: what the other layers give."""
    cut, whole = seeded(lambda: Stem(True)), seeded(lambda: Stem(False))
    found, expected = score(cut, DATA, init="keep"), score(whole, DATA, init="keep")
    x, y = DATA[0]
    F.cross_entropy(whole(x), y).backward()
    others = [whole.body.weight, whole.head.weight]
    assert found["grad_norm"] == pytest.approx(sum(float(w.grad.norm()) for w in others), rel=1e-5)
    sensitivity = sum(float((w.detach() * w.grad).abs().sum()) for w in others)
    assert found["snip"] == pytest.approx(sensitivity, rel=1e-5)
    assert 0 < found["fisher"] < expected["fisher"]
    for name in ("naswot", "params", "flops", "zen", "l2_norm"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6)
    assert "no_grad" in found.reasons["jacob_cov"]
    plain_words(found)


def test_what_underflows_in_a_deep_network():
    """Each layer hands on gradients that are 1 / sqrt(3) of what it got: 1e-57 after 240."""
    net = nn.Sequential(*(nn.Linear(8, 8) for _ in range(240)), nn.Linear(8, CLASSES))
    names = ["jacob_cov", "epe_nas", "grad_norm"]
    found = score(net, FLAT, names)
    double = score(net.double(), [(x.double(), y) for x, y in FLAT], names)
    assert found["grad_norm"] == pytest.approx(double["grad_norm"], rel=1e-3)
    for name in ("jacob_cov", "epe_nas"):
        assert math.isfinite(double[name])
        assert f"underflow: what is undefined in torch.float32 is {double[name]:.3g}" in found.reasons[name]


class Raw(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(CLASSES, 8))

    def forward(self, x):
        return torch.relu(x @ self.first.T) @ self.second.T


def test_the_tangent_kernel_of_weights_of_any_name():
    net = seeded(Raw)
    found = score(net, FLAT, ["ntk_trace"], init="keep")["ntk_trace"]
    expected = 0.0
    for sample in FLAT[0][0]:
        given = torch.autograd.grad(net(sample[None]).sum(), [net.first, net.second])
        expected += sum(float(g.square().sum()) for g in given)
    assert found == pytest.approx(expected, rel=1e-5)


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = norms("batch")

    def forward(self, x):
        raise KeyError("no such thing")


def of_its_own(s):
    raise ValueError("too few weights")


def test_it_is_said_whose_code_failed():
    found = score(Fails(), DATA, ["grad_norm", "snip", of_its_own])
    for name in ("grad_norm", "snip"):
        assert found.reasons[name] == "the network's forward fails (KeyError: 'no such thing')"
    assert found.reasons["of_its_own"] == "the proxy fails (ValueError: too few weights)"

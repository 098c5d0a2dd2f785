"""Functions that no pattern of activations holds are named."""

import pytest
import torch
import torch.nn.functional as F
from any_networks import CLASSES, ResNet, ViT, batches, seeded
from torch import nn

from zcp import score

DATA = batches()


class Bend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        s = x.sigmoid()
        return gradient * s * (1 + x * (1 - s))


class Mixed(nn.Module):
    def __init__(self, *functions) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in functions)
        self.functions, self.head = functions, nn.Linear(3, CLASSES)

    def forward(self, x):
        for conv, function in zip(self.convs, self.functions, strict=True):
            x = function(conv(x))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("proxy", ["naswot", "linear_regions", "te_nas"])
def test_what_patterns_are_without(proxy):
    net = seeded(lambda: Mixed(F.relu, torch.sin, Bend.apply, lambda x: torch.erf(x) * x))
    assert score(net, DATA, [proxy]).unseen == ("Bend", "erf", "sin")
    # Who reads no patterns is not told of them.
    assert score(net, DATA, ["grad_norm", "grasp", "params"]).unseen == ()


def test_patterns_are_those_of_the_others():
    net = seeded(lambda: Mixed(F.relu, torch.sin))
    on = (net.convs[0](DATA[0][0]) > 0).flatten(1).double()
    kernel = on @ on.T + (1 - on) @ (1 - on).T
    found = score(net, DATA, ["naswot"], init="keep")
    assert found["naswot"] == pytest.approx(float(torch.linalg.slogdet(kernel)[1]), rel=1e-9)
    assert found.unseen == ("sin",)


@pytest.mark.parametrize("make", [ResNet, ViT, lambda: Mixed(F.relu, F.gelu, torch.tanh)])
def test_networks_of_known_activations_lack_none(make):
    assert score(seeded(make), DATA, ["naswot", "linear_regions", "te_nas", "grasp"]).unseen == ()

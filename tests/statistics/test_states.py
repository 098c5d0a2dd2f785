"""Networks that change their own buffers in a pass: no score depends on what else is asked for."""

import pytest
import torch
from any_networks import CLASSES, batches, seeded
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from zcp import score
from zcp.statistics.states import keep_states

NAMES = ["synflow", "fisher", "zen", "zico", "grasp", "naswot", "greenmachine_b", "greenmachine_g"]


class Averaging(nn.Module):
    """Moves one average by assignment and one in place, and reads both."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, CLASSES)
        self.register_buffer("assigned", torch.zeros(4))
        self.register_buffer("moved", torch.zeros(4))

    def forward(self, x):
        x = torch.relu(self.layer(x)).mean((2, 3)) - self.assigned
        if self.training:
            self.assigned = 0.9 * self.assigned + x.detach().mean(0)
            self.moved.mul_(0.9).add_(x.detach().mean(0))
        return self.head(x + self.moved)


def normed(norm) -> nn.Module:
    block = nn.Sequential(norm(nn.Conv2d(3, 3, 3, padding=1)), nn.BatchNorm2d(3), nn.ReLU())
    return nn.Sequential(block, block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES))


def wrapped() -> nn.Module:
    net = normed(nn.Identity)
    net[0][0] = nn.DataParallel(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    return net


NETWORKS = {
    "averaging": Averaging,
    "spectral": lambda: normed(parametrizations.spectral_norm),
    "older spectral": lambda: normed(spectral_norm),
    "wrapped": wrapped,
}


@pytest.mark.parametrize("init", ["keep", "paper"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_score_is_the_same_alone_and_among_others(name, init):
    net, data = seeded(NETWORKS[name]), batches()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    together = score(net, data, NAMES, init=init)
    alone = {each: score(net, data, each, init=init)[each] for each in NAMES}
    assert together == pytest.approx(alone, rel=1e-6)
    assert all(value.equal(before[key]) for key, value in net.state_dict().items())


def test_a_buffer_that_two_modules_share_stays_shared():
    net = nn.Sequential(nn.Module(), nn.Module(), nn.BatchNorm1d(2))
    for module in net[:2]:
        module.register_buffer("shared", torch.zeros(2))
    net[1].shared = net[0].shared
    put_back = keep_states(net)
    net[0].shared += 1
    net[2].running_mean += 1
    put_back()
    assert net[0].shared is net[1].shared and not net[0].shared.any() and net[2].running_mean.all()
    held = net[0].shared
    put_back()
    assert net[0].shared is held

"""Networks whose passes change what the next one reads: no score depends on what else is asked for."""

import pytest
from any_networks import CLASSES, batches, seeded
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from zcp import score

NAMES = ["synflow", "fisher", "zen", "zico", "grasp", "naswot", "greenmachine_b", "greenmachine_g"]


def normed(norm) -> nn.Module:
    block = nn.Sequential(norm(nn.Conv2d(3, 3, 3, padding=1)), nn.BatchNorm2d(3), nn.ReLU())
    return nn.Sequential(block, block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES))


def wrapped() -> nn.Module:
    net = normed(nn.Identity)
    net[0][0] = nn.DataParallel(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    return net


NETWORKS = {
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

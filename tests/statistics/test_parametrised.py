"""Layers whose weights are computed, and parameters that a reset leaves."""

import pytest
import torch
import torch.nn.functional as F
from any_networks import CLASSES, batches, seeded
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from zcp import InputError, flops, score

DATA = batches()


class LowRank(nn.Module):
    """Adds a product of its own to a weight, as adapters do."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(8, 2)), nn.Parameter(torch.randn(2, 8))

    def forward(self, weight):
        return weight + (2 * self.a) @ self.b


WRAPS = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "householder": lambda layer: parametrizations.orthogonal(layer, orthogonal_map="householder"),
    "own": lambda layer: parametrize.register_parametrization(layer, "weight", LowRank()),
    "older weight_norm": nn.utils.weight_norm,
    "older spectral_norm": nn.utils.spectral_norm,
}


def made(wrap=lambda layer: layer) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(wrap(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, CLASSES)),
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("how", WRAPS)
def test_operations_are_those_of_the_folded_network(how):
    net, folded = seeded(lambda: made(WRAPS[how])), seeded(made)
    x = DATA[0][0]
    expected = flops(folded, x)
    assert flops(net, x) == expected
    assert expected.by_module["4"] == len(x) * 64
    assert score(net, DATA, ["flops"])["flops"] == score(folded, DATA, ["flops"])["flops"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("how", WRAPS)
def test_activations_are_those_of_the_folded_network(how):
    net, folded = seeded(lambda: made(WRAPS[how])).train(), seeded(made)
    with torch.no_grad():
        net(DATA[0][0])
        for mine, theirs in zip((folded[0], folded[6]), (net[0], net[6]), strict=True):
            mine.load_state_dict(theirs.state_dict())
        folded[4].bias.copy_(net[4].bias)
        folded[4].weight.copy_(net.eval()[4].weight)
    names = ["naswot", "zen", "expressivity", "eznas", "greenmachine_b"]
    found, expected = score(net, DATA, names, init="keep"), score(folded, DATA, names, init="keep")
    # Each forward in training mode brings the vectors of spectral_norm nearer.
    rel = 0.2 if "spectral" in how else 1e-4
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=rel, nan_ok=True), name


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_spectral_norms_have_the_scores_of_their_draw():
    def build(wrap):
        convolutions = [wrap(nn.Conv2d(3, 8, 3, padding=1)), wrap(nn.ConvTranspose2d(8, 4, 3))]
        return nn.Sequential(*convolutions, nn.ReLU(), nn.Flatten(), wrap(nn.Linear(400, CLASSES)))

    names = ["snip", "grad_norm", "zen", "synflow", "expressivity"]
    older, newer = nn.utils.spectral_norm, parametrizations.spectral_norm
    one, other = (score(seeded(lambda: build(older), seed), DATA, names) for seed in (1, 2))
    assert one == other
    # A forward brings the vectors nearer, the one first here and the other there.
    expected = score(seeded(lambda: build(newer), 3), DATA, names)
    for name in names:
        assert one[name] == pytest.approx(expected[name], rel=1e-2), name


class Own(nn.Module):
    """Its reset draws the matrix, in the older way, and leaves the rest."""

    def __init__(self, argument: bool = False) -> None:
        super().__init__()
        self.matrix, self.table = nn.Parameter(torch.empty(8, 192)), nn.Parameter(torch.zeros(8, 8))
        self.zeroed = nn.Parameter(torch.ones(1, 8))
        self.scale, self.bias = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8))
        self.gain, self.temperature = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(()))
        self.table.data.normal_()
        self.head = nn.Linear(8, CLASSES)
        if argument:
            self.reset_parameters = self.wants
        else:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        self.matrix.data.uniform_(-0.1, 0.1)
        self.zeroed.data.zero_()

    def wants(self, deviation):
        self.matrix.data.normal_(0, deviation)

    def forward(self, x):
        x = F.relu((x.flatten(1) @ self.matrix.T) * self.scale + self.bias + self.zeroed)
        return self.head((x @ self.table) * self.gain * self.temperature)


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_what_a_reset_leaves_is_drawn_or_listed(engine):
    names = ["grad_norm", "naswot", "zen", "synflow", "ntk_cond", "l2_norm", "zico"]
    one, other = (score(seeded(Own, seed), DATA, names, engine=engine) for seed in (1, 2))
    assert one == other
    assert one.untouched == ("gain", "temperature")
    trained = seeded(Own, 1)
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter is not trained.temperature:
                parameter.add_(torch.rand_like(parameter))
    assert score(trained, DATA, names, engine=engine) == one


def test_a_reset_that_cannot_run_is_named():
    net = seeded(lambda: Own(argument=True))
    with pytest.raises(InputError, match=r"Own\.wants\(\) fails .* init=\"keep\""):
        score(net, DATA, ["grad_norm"])
    assert score(net, DATA, ["params"], init="keep")["params"] > 0

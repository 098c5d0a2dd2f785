"""Weights that a head shares with an embedding, and layers that are used twice."""

import copy

import pytest
import torch
import torch.nn.functional as F
from any_networks import Language, seeded
from torch import nn

from zcp import score
from zcp.statistics.initialisation import INITIALISATIONS, initialise

TOKENS = torch.arange(24).reshape(4, 6) % 11
TARGETS = TOKENS.roll(1, 1)
NAMES = [
    "grad_norm",
    "snip",
    "plain",
    "l2_norm",
    "nasi",
    "synflow",
    "zico",
    "grasp",
    "fisher",
    "naswot",
    "zen",
]
DATA = [(TOKENS, TARGETS), (TOKENS.flip(1), TARGETS)]


class Spelled(Language):
    """The tied head as a module, or as a product with the embedding's weight; before or behind it."""

    def __init__(self, how: str, tied: bool = True) -> None:
        super().__init__(tied=False)
        self.how = how
        head, words = self.head, self.words
        if tied:
            head.weight = words.weight
        if how == "first":
            del self.head, self.words
            self.head, self.words = head, words
        elif how in ("function", "product"):
            del self.head

    def forward(self, input_ids):
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        if self.how == "function":
            return F.linear(x, self.words.weight)
        return x @ self.words.weight.T if self.how == "product" else self.head(x)


def untied(net: Spelled) -> Spelled:
    """Return the same network with two tensors of equal values in the place of the shared one."""
    own = copy.deepcopy(net)
    own.head.weight = nn.Parameter(own.head.weight.detach().clone())
    own.words.weight = nn.Parameter(own.words.weight.detach().clone())
    return own


@pytest.mark.parametrize("how", ["module", "first"])
def test_a_tied_weight_counts_as_that_of_the_head(how):
    net = seeded(lambda: Spelled(how))
    found, expected = (score(each, DATA, NAMES, init="keep") for each in (net, untied(net)))
    assert not found.reasons
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], rel=1e-6), name
    # Once: the untied embedding is no weight, so that the sum of norms is that of linear layers alone.
    linear = {m.weight for m in net.modules() if isinstance(m, nn.Linear)}
    assert found["l2_norm"] == pytest.approx(sum(float(w.detach().norm()) for w in linear), rel=1e-6)


def test_by_hand():
    net = seeded(lambda: Spelled("module"))
    own = untied(net)
    F.cross_entropy(own(TOKENS).flatten(0, 1), TARGETS.flatten()).backward()
    weights = [m.weight for m in own.modules() if isinstance(m, nn.Linear)]
    expected = sum(float(w.grad.norm()) for w in weights)
    assert score(net, DATA, ["grad_norm"], init="keep")["grad_norm"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("how", ["function", "product"])
def test_a_head_without_a_module_counts_alike(how):
    plain, other = (seeded(lambda h=h: Spelled(h)) for h in ("module", how))
    found, expected = (score(each, DATA, NAMES, init="keep") for each in (other, plain))
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], rel=1e-5), name


@pytest.mark.parametrize("how", ["module", "first"])
@pytest.mark.parametrize("init", INITIALISATIONS)
def test_the_initialisation_is_that_of_the_head(how, init):
    tied, apart = (seeded(lambda t=t: Spelled(how, tied=t)) for t in (True, False))
    for net in (tied, apart):
        initialise(net, init, 0)
    for name, parameter in apart.named_parameters():
        if name != "words.weight":
            assert torch.equal(tied.state_dict()[name], parameter), name
    assert tied.words.weight is tied.head.weight


def test_modules_of_ones_own_do_not_draw_what_a_layer_has_drawn():
    class Sharing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 5)
            self.shared = self.layer.weight

        def forward(self, x):
            return self.layer(x) @ self.shared

    net, alone = Sharing(), nn.Sequential(nn.Linear(5, 5))
    for each in (net, alone):
        initialise(each, "default", 0)
    assert torch.equal(net.layer.weight, alone[0].weight)


class Twice(nn.Module):
    """A layer and its norm that run twice, under one name each."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(3, 5)

    def forward(self, x):
        for _ in range(2):
            x = torch.relu(self.norm(self.layer(x)))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_under_two_names_scores_as_one_that_runs_twice(dtype, engine):
    net = seeded(Twice).to(dtype)
    body = nn.Sequential(*[net.layer, net.norm, nn.ReLU()] * 2, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = [(torch.randn(4, 3, 8, 8, dtype=dtype), torch.arange(4)) for _ in range(2)]
    for init in ("keep", "paper"):
        found, expected = (
            score(each, images, init=init, engine=engine) for each in (nn.Sequential(*body, net.head), net)
        )
        assert found == pytest.approx(expected, rel=1e-5, nan_ok=True) and not found.reasons.get("zen")

"""AZ-NAS's parts: closed forms, the literal arithmetic, and networks that have no such parts."""

import math

import pytest
import torch
from tiny import CLASSES, batches, nats, network
from torch import nn

from zcp import build, get_proxy, list_proxies, score
from zcp.errors import Undefined
from zcp.golden import recipe_batches, recipe_weights
from zcp.proxies.aznas import gain_score
from zcp.proxies.registry import default_proxies
from zcp.statistics.blocks import find_blocks, run_blocks, spectral_entropy

SOURCE = torch.Generator().manual_seed(6)
PARTS = ["expressivity", "progressivity", "trainability"]


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=SOURCE)


def test_entropy_of_equal_variances_is_the_logarithm_of_the_channels():
    corners = torch.tensor([[a, b, c] for a in (-1.0, 1) for b in (-1.0, 1) for c in (-1.0, 1)])
    features = corners.T.reshape(1, 3, 2, 4)
    assert spectral_entropy(features) == pytest.approx(math.log(3), abs=1e-7)


def test_entropy_of_one_direction_is_zero_and_of_none_minus_infinity():
    line = normal(4, 1, 3, 3).expand(4, 5, 3, 3)
    assert spectral_entropy(line) == pytest.approx(0.0, abs=1e-6)
    for constant in (0.0, 0.1, 1e3):
        assert spectral_entropy(torch.full((4, 5, 3, 3), constant)) == -math.inf


def test_gain_of_a_scaled_identity():
    r = torch.where(normal(8, 1, 4, 4) > 0, 1.0, -1.0)
    assert gain_score(2 * r, r) == pytest.approx(2 - 2 - 1 / (2 + 1e-6))
    assert gain_score(r, r) == -math.inf
    assert gain_score(torch.zeros_like(r), r) == pytest.approx(2 - 1e6)


def test_gain_over_unequal_strides():
    r = torch.where(normal(2, 3, 2, 4) > 0, 1.0, -1.0)
    assert math.isfinite(gain_score(normal(2, 5, 6, 4), r))
    with pytest.raises(Undefined, match="no whole stride"):
        gain_score(normal(2, 5, 7, 4), r)
    with pytest.raises(Undefined, match="no whole stride"):
        gain_score(normal(2, 5, 1, 2), r)


def test_literal_arithmetic_loses_a_valid_network():
    """All edges skip: float32 rounding makes the reference -inf; float64 with a clamp has the value."""
    net = recipe_weights(build("tss", 1835))
    names = ["expressivity", "expressivity_literal", "progressivity_literal"]
    found = score(net, recipe_batches(), names, init="keep")
    assert math.isfinite(found["expressivity"])
    assert found["expressivity_literal"] == found["progressivity_literal"] == -math.inf
    assert found.reasons["expressivity_literal"]
    again = score(net.double(), recipe_batches(), names, init="keep")
    assert again["expressivity_literal"] == pytest.approx(again["expressivity"], rel=1e-9)


def test_one_forward_and_one_backward_for_all():
    found = score(network(), batches(), [*PARTS, "linear_regions"])
    assert found.passes["kaiming_fan_in"] == {"forward": 1, "backward": 1}
    assert "expressivity_literal" not in default_proxies()
    assert "expressivity_literal" in list_proxies()
    assert get_proxy("expressivity_literal").optional


def test_blocks_are_found_inside_a_wrapper():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, x):
            return self.body(x)

    wrapper = Wrapper()
    assert find_blocks(wrapper) == [wrapper.body.stem, *wrapper.body.cells]
    assert score(wrapper, batches(), PARTS) == pytest.approx(dict(score(network(), batches(), PARTS)))


def test_graphs_of_blocks_do_not_pile_up():
    class Watched(nn.Module):
        """Counts how many outputs of earlier cells still own a graph when the next one runs."""

        def forward(self, x):
            # What a cell gets is a copy of a leaf.
            ((before, _),) = x.grad_fn.next_functions
            alive.append(before.next_functions)
            return x * 2

    alive: list = []
    net = nats()
    net.cells = nn.ModuleList([Watched() for _ in range(3)])
    net.lastact = nn.Identity()
    net.classifier = nn.Linear(4, 5)
    run = run_blocks(net, normal(2, 3, 8, 8), lambda _name, shape: normal(*shape))
    assert alive == [()] * 3
    assert [f.grad_fn for f in run.features] == [None] * 4
    assert all(torch.equal(q, 2 * r) for q, r in zip(run.products, run.cotangents, strict=True))


def test_identity_cell_gives_minus_infinity():
    identity = nats(("none", "none", "none", "skip_connect", "none", "none"))
    found = score(identity, batches(dtype=torch.float64), ["trainability"])
    # x * 0 is added to the output, and its gradient to that of the skip: unchanged.
    assert found["trainability"] == -math.inf
    assert found.reasons["trainability"]


class _TwoWays(nn.Module):
    """There is a way around every module."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = (
            nn.Sequential(nn.Conv2d(3, CLASSES, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)) for _ in range(2)
        )

    def forward(self, x):
        return (self.one(x) + self.other(x)).flatten(1)


def test_network_without_blocks_says_so():
    found = score(_TwoWays(), batches(), [*PARTS, "linear_regions", "params"])
    for part in PARTS:
        assert math.isnan(found[part])
        assert "name them in blocks=" in found.reasons[part]
    assert found["linear_regions"] == 5
    assert math.isfinite(found["params"])

"""Inputs of networks: several of them, and those that a network overwrites."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from any_networks import CLASSES, Language, batches, norms, seeded
from torch import nn

from zcp import flops, list_proxies, score

DATA = batches()
TOKENS = torch.arange(24).reshape(4, 6) % 10


def drawn(name, shape):
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(ord(name[0])))


class Mixed(nn.Module):
    """An image, the kind of each sample, a weight of each sample, and a table of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.kinds, self.head = nn.Embedding(3, 4), nn.Linear(4, CLASSES)

    def features(self, image, kinds, table, weights):
        x = self.norm(self.conv(image) + self.kinds(kinds)[:, :, None, None])
        return F.relu(x * weights[:, None, None, None] + table)

    def forward(self, image, kinds, table, weights):
        return self.head(self.features(image, kinds, table, weights).mean((2, 3)))


def others(samples: int) -> dict[str, torch.Tensor]:
    """Give inputs beside the image; the table has as many rows as images have, 8."""
    return {
        "kinds": torch.arange(samples) % 3,
        "table": torch.linspace(-1, 1, 8)[:, None] - 0.3,
        "weights": torch.linspace(0.5, 2, samples),
    }


@pytest.mark.parametrize("samples", [5, 20])
@pytest.mark.parametrize("named", [True, False])
def test_zen_replaces_the_first_floating_input_alone(samples, named):
    """By hand, of 16 samples at most: both forwards, the running variance, the features before the mean."""
    net = seeded(Mixed).double()
    side = {key: each.double() if each.is_floating_point() else each for key, each in others(samples).items()}
    image = batches(samples, 1, dtype=torch.float64)[0][0]
    inputs = {"image": image, **side} if named else (image, *side.values())
    found = score(net, [(inputs, torch.arange(samples) % CLASSES)], ["zen"], init="keep", draw=drawn)["zen"]

    few, own = min(samples, 16), copy.deepcopy(net).train()
    x, e = (drawn(name, (few, 3, 8, 8)).double() for name in "xe")
    kinds, weights = side["kinds"][:few], side["weights"][:few]
    with torch.no_grad():
        first = own.features(x, kinds, side["table"], weights)
        second = own.features(x + 0.01 * e, kinds, side["table"], weights)
    delta = (first - second).abs().flatten(1).sum(1).mean().log()
    assert found == pytest.approx(float(delta + own.norm.running_var.mean().sqrt().log()), rel=1e-9)


def test_inputs_without_a_row_a_sample_go_along_whole():
    net, names = seeded(Mixed), [n for n in list_proxies() if n not in ("gennas", "epe_nas")]
    side = others(5)
    data = [((x, *side.values()), y) for x, y in DATA]

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.side = copy.deepcopy(net), side

        def forward(self, x):
            rows = torch.arange(len(x)) % 5
            weights = self.side["weights"][rows].to(x.dtype)
            return self.network(x, self.side["kinds"][rows], self.side["table"].to(x.dtype), weights)

    found, expected = (score(n, d, names, init="keep") for n, d in ((net, data), (Constant(), DATA)))
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=1e-5, nan_ok=True), name
    assert math.isfinite(found["nngp"])


# --- what a network overwrites


class Overwriting(nn.Module):
    """Doubles its image and shifts its scale, in place or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.body, self.in_place = norms("batch"), in_place

    def forward(self, x, scale):
        if self.in_place:
            x.mul_(2)
            x += 1
            scale.add_(1)
        else:
            x, scale = x * 2 + 1, scale + 1
        return self.body(x) * scale[:, None]


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_a_network_that_overwrites_its_inputs(engine):
    names = list_proxies()
    data = [((x.clone(), torch.linspace(1, 2, len(x))), y) for x, y in DATA]
    before = [tuple(each.clone() for each in inputs) for inputs, _ in data]
    found = score(seeded(lambda: Overwriting(True)), data, names, engine=engine)
    for (inputs, _), kept in zip(data, before, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(inputs, kept, strict=True))
    expected = score(seeded(lambda: Overwriting(False)), data, names, engine=engine)
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=1e-5, nan_ok=True), name
    assert {name for name in found if math.isnan(found[name])} <= {"epe_nas", "eznas"}


class Words(Language):
    """Adds the positions to what the embedding gave in place, and begins with the next tokens, or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__(tied=False)
        self.in_place = in_place

    def forward(self, input_ids):
        places = self.places(torch.arange(input_ids.shape[1]))
        if self.in_place:
            input_ids += 1
            x = self.words(input_ids)
            x += places
        else:
            x = self.words(input_ids) + places
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_tokens_that_a_network_overwrites():
    names = ["grad_norm", "snip", "zico", "jacob_cov", "synflow", "zen", "naswot"]
    data, later = ([(ids + n, TOKENS) for ids in (TOKENS, TOKENS.flip(1))] for n in (0, 1))
    found = score(seeded(lambda: Words(True)), data, names)
    assert torch.equal(data[0][0], TOKENS)
    assert not found.reasons
    expected = score(seeded(lambda: Words(False)), later, names)
    for name in names:
        assert found[name] == pytest.approx(expected[name], rel=1e-5), name


def test_counting_operations_leaves_the_inputs():
    inputs = DATA[0][0].clone(), torch.ones(5)
    flops(Overwriting(True), inputs)
    assert torch.equal(inputs[0], DATA[0][0]) and torch.equal(inputs[1], torch.ones(5))

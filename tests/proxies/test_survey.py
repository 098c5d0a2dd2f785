"""The survey's methods: what they are on simple networks, and what they cannot score."""

import math

import pytest
import torch
from tiny import CLASSES, DEAD, batches, fingerprint, nats, network
from torch import nn

from zcp import InputError, list_proxies, score
from zcp.proxies.registry import REGISTRY, default_proxies

SURVEY = ["epe_nas", "nasi", "nngp", "gennas", "grad_norm_l2", "synflow_bn"]


def test_methods_that_train_or_cost_much_are_scored_by_name_only():
    optional = {name: REGISTRY[name].optional for name in list_proxies() if REGISTRY[name].optional}
    assert "gradient steps" in optional["gennas"]
    assert "forwards" in optional["nngp"]
    assert not optional.keys() & set(default_proxies())
    assert set(score(network(), batches())) == set(default_proxies())


def test_gennas_trains_a_copy():
    net = network()
    before = fingerprint(net)
    together = score(net, batches(), ["gennas", "plain"], init="keep")
    assert fingerprint(net) == before
    assert together["plain"] == score(net, batches(), ["plain"], init="keep")["plain"]
    assert together.passes["keep"]["backward"] == 10 + 1


def test_gennas_learns(monkeypatch):
    after = score(network(), batches(), ["gennas"])["gennas"]
    monkeypatch.setattr("zcp.proxies.gennas.STEPS", 0)
    assert after < score(network(), batches(), ["gennas"])["gennas"]


def test_nngp_prefers_a_network_that_tells_the_classes_apart():
    x = torch.zeros(40, 3, 8, 8)
    labels = torch.arange(40) % 2
    x[labels == 1] = 1.0
    x += 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    ordered, mixed = (
        score(network(), [(x, y)], ["nngp"])["nngp"] for y in (labels, torch.arange(40) // 2 % 2)
    )
    assert ordered < 0.5 * mixed


def test_nngp_draws_weights_of_its_own():
    net = network()
    drawn = score(net, batches(), ["nngp"], init="keep", seed=3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(5)
    assert score(net, batches(), ["nngp"], init="keep", seed=3)["nngp"] == drawn["nngp"]
    assert score(net, batches(), ["nngp"], init="keep", seed=4)["nngp"] != drawn["nngp"]


def test_epe_nas_of_many_classes():
    """Above 100 logits the other form is used: one class alone has nothing to differ from."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 101)).double()
    (x, _), *_ = batches(dtype=torch.float64)
    one = score(net, [(x, torch.zeros(5, dtype=torch.int64))], ["epe_nas"])
    assert one["epe_nas"] == 0
    two = score(net, [(x, torch.tensor([0, 0, 0, 100, 100]))], ["epe_nas"])
    assert two["epe_nas"] > 0


def test_nasi_is_the_square_of_the_gradient():
    net = network(dtype=torch.float64)
    (x, y), *_ = data = batches(dtype=torch.float64)
    nn.functional.cross_entropy(net.train()(x), y).backward()
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    expected = sum(float(layer.weight.grad.square().sum()) for layer in layers)
    assert score(net, data, ["nasi"], init="keep")["nasi"] == pytest.approx(expected)


def test_dead_network():
    found = score(nats(DEAD), batches(), SURVEY)
    assert math.isnan(found["epe_nas"]) and "do not depend on the input" in found.reasons["epe_nas"]
    assert math.isnan(found["nngp"]) and "dead" in found.reasons["nngp"]
    assert found["nasi"] == found["synflow_bn"] == 0
    assert found["grad_norm_l2"] > 0  # the bias of the classifier
    assert math.isfinite(found["gennas"])


def test_one_sample():
    found = score(network(), batches(1, count=1), SURVEY)
    assert math.isnan(found["nngp"]) and "only one sample" in found.reasons["nngp"]
    assert all(math.isfinite(found[name]) for name in SURVEY if name != "nngp")


class Head(nn.Module):
    """The tiny network with another head."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.body = network()
        self.head = head

    def forward(self, x):
        return self.head(self.body(x))


def test_no_classes():
    found = score(Head(nn.Flatten(0)), batches(), ["epe_nas", "grad_norm_l2", "nngp", "gennas", "synflow_bn"])
    for name in ("epe_nas", "grad_norm_l2", "nngp"):
        assert math.isnan(found[name]) and found.reasons[name], name
    assert math.isfinite(found["gennas"])
    assert math.isfinite(found["synflow_bn"])


@pytest.mark.parametrize("name", ["nngp", "nasi"])
def test_labels_out_of_range(name):
    wrong = [(x, y + CLASSES) for x, y in batches()]
    with pytest.raises(InputError, match="classes"):
        score(network(), wrong, [name])


MINE = [*SURVEY, "expressivity", "trainability", "linear_regions", "ntk_cond", "te_nas"]


@pytest.mark.parametrize("shape", [(3, 8, 12), (1, 8, 8)])
def test_other_images(shape):
    net = nats()
    net.stem[0] = nn.Conv2d(shape[0], 4, 3, padding=1, bias=False)
    source = torch.Generator().manual_seed(2)
    data = [(torch.randn(5, *shape, generator=source), torch.arange(5) % CLASSES) for _ in range(2)]
    found = score(net, data, MINE)
    assert all(map(math.isfinite, found.values())), found.reasons


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_precisions(dtype):
    found = score(network().to(dtype), batches(), MINE)
    for name, value in found.items():
        assert math.isfinite(value) or found.reasons[name], name
    if dtype == torch.float64:
        assert all(map(math.isfinite, found.values())), found.reasons


def test_network_without_convolution_norm_or_relu():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.Tanh(), nn.Linear(7, CLASSES))
    found = score(net, batches(), MINE)
    one = "only one block"
    missing = {"expressivity": one, "trainability": one, "gennas": "(B, C, H, W)"}
    assert {name for name in MINE if not math.isfinite(found[name])} == missing.keys()
    for name, words in missing.items():
        assert words in found.reasons[name]

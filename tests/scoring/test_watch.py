"""A proxy of one's own that writes to what others read is named, and costs them nothing."""

import copy
import math

import pytest
import torch
from any_networks import batches, norms, seeded
from torch import nn

from zcp import score
from zcp.statistics.initialisation import INITIALISATIONS

DATA = batches()
OTHERS = ["l2_norm", "grad_norm", "naswot", "zen", "greenmachine_a"]


class Shifted(nn.Module):
    """Has a buffer that no forward moves, one that each moves, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.drop = norms("batch"), nn.Dropout(0.2)
        self.register_buffer("shift", torch.full((5,), 0.5))
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x):
        self.runs += 1
        return self.drop(self.body(x)) + self.shift


def last(s):
    """Reads what proxies share, after all others."""
    found = [*s.weights, *s.loss_gradients.weights, s.data.logits, s.batches[0][0], *s.network.parameters()]
    return torch.stack([t.detach().double().abs().sum() for t in found]).sum()


def zeroes_data(s):
    for weight in s.weights:
        weight.data.zero_()
    return 1.0


@torch.no_grad()
def scales_a_bias(s):
    s.network.network.body[0].bias.add_(1.0)
    return s.loss_gradients.weights[0].norm()


def replaces(s):
    s.network.network.body[0].weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
    return 1.0


def trains(s):
    optimiser = torch.optim.SGD(s.network.parameters(), 0.1)
    x, y = s.batches[0]
    s.loss(s.network(x), y).backward()
    optimiser.step()
    return 1.0


def writes_a_buffer(s):
    s.network.network.shift.data.fill_(3.0)
    return 1.0


def writes_inputs(s):
    s.batches[0][0].data.zero_()
    return 1.0


def writes_gradients(s):
    s.loss_gradients.weights[0].zero_()
    return 1.0


def reads_then_writes(s):
    s.data.calls[0].output.data.add_(1)
    s.data.logits.detach().zero_()
    return 1.0


WRITES = {
    zeroes_data: "the parameter body.0.weight",
    scales_a_bias: "the parameter body.0.bias",
    replaces: "the parameter body.0.weight",
    trains: "the parameter body.0.weight",
    writes_a_buffer: "the buffer shift",
    writes_inputs: "the inputs of batch 0",
    writes_gradients: "the tensors of s.loss_gradients_graph",
    reads_then_writes: "the tensors of s.data",
}


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("proxy", WRITES, ids=lambda f: f.__name__)
def test_who_writes_is_named_and_the_others_keep_their_values(proxy, engine):
    net, data = seeded(Shifted), copy.deepcopy(DATA)
    expected = score(net, DATA, [*OTHERS, last], engine=engine)
    # What only moves a tensor that was computed is seen if it was there before.
    found = score(net, data, [proxy, *OTHERS, last], engine=engine)
    assert math.isnan(found[proxy.__name__])
    assert WRITES[proxy] in found.reasons[proxy.__name__]
    assert "copy.deepcopy(s.network)" in found.reasons[proxy.__name__]
    for name in expected:
        assert found[name] == expected[name], name
    assert all(torch.equal(a, b) for p, q in zip(data, DATA, strict=True) for a, b in zip(p, q, strict=True))


def in_evaluation(s):
    s.network.eval().requires_grad_(False)
    with torch.no_grad():
        return float(s.network(s.batches[0][0]).abs().sum())


def by_backward(s):
    x, y = s.batches[0]
    s.loss(s.network(x), y).backward()
    return torch.stack([p.grad.norm() for p in s.network.parameters() if p.grad is not None]).sum()


def on_a_copy(s):
    own = copy.deepcopy(s.network)
    for parameter in own.parameters():
        parameter.data.zero_()
    return 1.0


@pytest.mark.parametrize("proxy", [in_evaluation, by_backward, on_a_copy])
def test_passes_modes_and_gradients_are_a_proxys_own(proxy):
    net = seeded(lambda: norms("batch"))
    expected = score(net, DATA, [*OTHERS, last])
    found = score(net, DATA, [proxy, *OTHERS, last])
    assert math.isfinite(found[proxy.__name__]), found.reasons
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_follows_is_drawn_alike(dtype):
    """In double precision all initialisations are drawn at once, in advance."""
    net, data = seeded(lambda: norms("batch")).to(dtype), [(x.to(dtype), y) for x, y in DATA]
    assert "default" in INITIALISATIONS
    assert score(net, data, [zeroes_data, last])["last"] == score(net, data, [last])["last"]


def test_passes_and_times_of_both_parts_are_counted():
    found = score(seeded(Shifted), DATA, ["grad_norm", writes_a_buffer, last])
    assert found.passes["default"]["backward"] == 2
    steps = found.steps["last"]
    assert found.seconds["default_init"] > 0 and all(found.seconds[step] >= 0 for step in steps)
    assert sum(found.step_passes[s]["backward"] for s in steps if s in found.step_passes) == 2

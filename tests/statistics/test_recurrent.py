"""Recurrent layers: weights, operations and initialisation, by hand and by PyTorch's own functions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zcp import flops, list_proxies, score
from zcp.statistics.initialisation import initialise
from zcp.statistics.recorder import Recorder

CLASSES, IN, HIDDEN, STEPS = 3, 5, 4, 6


class Sequence(nn.Module):
    """Reads a sequence (B, T, C), of which it may pack the first steps; the head reads the mean state."""

    def __init__(self, kind, packed: bool = False, **how) -> None:
        super().__init__()
        self.body, self.packed = kind(IN, HIDDEN, batch_first=True, **how), packed
        width = (how.get("proj_size") or HIDDEN) * (1 + how.get("bidirectional", False))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        if not self.packed:
            return self.head(self.body(x)[0].mean(1))
        lengths = torch.tensor([STEPS - n % 3 for n in range(len(x))])
        x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.head(pad_packed_sequence(self.body(x)[0], batch_first=True)[0].mean(1))


class Cells(nn.Module):
    """Reads a sequence by a cell."""

    def __init__(self, kind, **how) -> None:
        super().__init__()
        self.body, self.head = kind(IN, HIDDEN, **how), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        state, found = None, []
        for step in x.unbind(1):
            state = self.body(step, state)
            found.append(state[0] if isinstance(state, tuple) else state)
        return self.head(torch.stack(found, 1).mean(1))


#: Networks -> multiply-accumulates of one sample: gates * hidden * (input + hidden), a step.
MADE = {
    "LSTM": (lambda: Sequence(nn.LSTM), 6 * 4 * 4 * (5 + 4)),
    "two layers": (lambda: Sequence(nn.LSTM, num_layers=2), 6 * 4 * 4 * (5 + 4) + 6 * 4 * 4 * (4 + 4)),
    "both ways": (
        lambda: Sequence(nn.LSTM, num_layers=2, bidirectional=True, bias=False),
        2 * 6 * 4 * 4 * (5 + 4) + 2 * 6 * 4 * 4 * (8 + 4) + 4 * 3,
    ),
    "projected": (lambda: Sequence(nn.LSTM, proj_size=2), 6 * (4 * 4 * (5 + 2) + 4 * 2) - 2 * 3),
    "GRU": (lambda: Sequence(nn.GRU, num_layers=2), 6 * 3 * 4 * (5 + 4) + 6 * 3 * 4 * (4 + 4)),
    "RNN": (lambda: Sequence(nn.RNN, nonlinearity="relu"), 6 * 4 * (5 + 4)),
    "GRU, both ways": (lambda: Sequence(nn.GRU, bidirectional=True), 2 * 6 * 3 * 4 * (5 + 4) + 4 * 3),
    "LSTMCell": (lambda: Cells(nn.LSTMCell), 6 * 4 * 4 * (5 + 4)),
    "GRUCell": (lambda: Cells(nn.GRUCell, bias=False), 6 * 3 * 4 * (5 + 4)),
    "RNNCell": (lambda: Cells(nn.RNNCell), 6 * 4 * (5 + 4)),
}
HEAD = HIDDEN * CLASSES


def seeded(make, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double()


def data(size: int = 4):
    source = torch.Generator().manual_seed(3)
    draw = (torch.randn(size, STEPS, IN, generator=source, dtype=torch.float64) for _ in range(2))
    return [(x, torch.arange(size) % CLASSES) for x in draw]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("how", MADE)
def test_weights_and_operations_of_recurrent_layers(how):
    make, macs = MADE[how]
    net, (x, y) = seeded(make), data()[0]
    assert flops(net, x).total == len(x) * (macs + HEAD)
    found = score(net, data(), ["grad_norm", "snip", "grasp", "nasi", "l2_norm"], init="keep")
    weights = [p for p in net.parameters() if p.ndim > 1]
    assert len(weights) == 1 + sum(name.startswith("weight") for name, _ in net.body.named_parameters())
    gradients = torch.autograd.grad(F.cross_entropy(net(x), y), weights, create_graph=True)
    bends = torch.autograd.grad(sum(g.square().sum() for g in gradients) / 2, weights)
    pairs = [*zip(weights, gradients, bends, strict=True)]
    assert found["grad_norm"] == pytest.approx(sum(float(g.detach().norm()) for _, g, _ in pairs), rel=1e-7)
    assert found["snip"] == pytest.approx(
        sum(float((w * g).detach().abs().sum()) for w, g, _ in pairs), rel=1e-7
    )
    assert found["grasp"] == pytest.approx(-sum(float((w * h).detach().sum()) for w, _, h in pairs), rel=1e-6)
    assert found["l2_norm"] == pytest.approx(sum(float(w.detach().norm()) for w in weights), rel=1e-7)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("how", [name for name, (make, _) in MADE.items() if "Cell" not in name])
def test_steps_give_what_pytorch_gives(how, packed):
    net, x = seeded(MADE[how][0]), data()[0][0]
    net.packed = packed
    with Recorder() as recorder:
        found = net(x)
    torch.testing.assert_close(found, net(x))
    calls = [call for call in recorder.calls if call.kind == "linear"]
    layers = net.body.num_layers * (1 + net.body.bidirectional) * (3 if net.body.proj_size else 2)
    assert len(calls) == STEPS * layers + 1
    begin = [torch.randn(net.body.num_layers * (1 + net.body.bidirectional), 4, size, dtype=x.dtype)
             for size in (net.body.proj_size or HIDDEN, HIDDEN)]  # fmt: skip
    hx = tuple(begin) if isinstance(net.body, nn.LSTM) else begin[0]
    with Recorder():
        own = net.body(x, hx)
    torch.testing.assert_close(own, net.body(x, hx))


#: Read what belongs to each sample.
BY_SAMPLE = {"naswot", "fisher"}
VALUED = {"grad_norm", "snip", "grasp", "synflow", "zico", "ntk_cond", "nngp", "zen", "flops"} | BY_SAMPLE


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_every_proxy_has_a_value_or_one_reason(kind, packed):
    found = score(seeded(lambda: Sequence(kind, packed=packed)), data(), list_proxies())
    missing = {name for name, value in found.items() if not math.isfinite(value)}
    assert all(found.reasons[name] for name in missing)
    assert missing & VALUED == (BY_SAMPLE if packed else set())
    for name in missing & BY_SAMPLE:
        assert "rows for 4 samples, as those on packed sequences" in found.reasons[name]


def test_saliency_reads_the_absolute_weights():
    """Recurrent modules keep a list of their parameters, which is not to be that of the network itself."""
    net = seeded(lambda: Sequence(nn.RNN, nonlinearity="relu", bias=False))
    twin = seeded(lambda: Sequence(nn.RNN, nonlinearity="relu", bias=False))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.abs_()
    ones = torch.ones(1, STEPS, IN, dtype=torch.float64)
    weights = [p for p in twin.parameters() if p.ndim > 1]
    gradients = torch.autograd.grad(twin(ones).sum(), weights)
    expected = sum(float((w * g).detach().abs().sum()) for w, g in zip(weights, gradients, strict=True))
    assert score(net, data(), ["synflow"], init="keep")["synflow"] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("make", [lambda: Sequence(nn.LSTM), lambda: Cells(nn.GRUCell)])
def test_initialisations_reach_recurrent_layers(make):
    names = ["grad_norm", "zen", "naswot", "te_nas"]
    one, other = (score(seeded(make, seed), data(), names) for seed in (1, 2))
    assert dict(one) == pytest.approx(dict(other), rel=1e-12, nan_ok=True)
    assert one.untouched == ()


@pytest.mark.parametrize("name", ["normal", "kaiming_fan_in", "kaiming_fan_out", "eznas"])
def test_scale_of_recurrent_weights(name):
    net = initialise(nn.ModuleList([nn.LSTM(50, 40), nn.GRUCell(60, 40), nn.Bilinear(20, 20, 30)]), name, 0)
    for parameter in net.parameters():
        fans = parameter.shape[1:].numel(), parameter.shape[0]
        std = {"normal": 1.0, "kaiming_fan_in": math.sqrt(2 / fans[0]), "eznas": 0.01}.get(
            name, math.sqrt(2 / (fans[1] * parameter.shape[2:].numel()))
        )
        if parameter.ndim > 1:
            assert float(parameter.detach().std()) == pytest.approx(std, rel=0.05)
        else:
            assert not parameter.any()

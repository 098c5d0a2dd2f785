"""GreenMachine: closed forms, passes, formulas from users, networks that are no NATS-Bench networks."""

import math
import random

import pytest
import torch
from tiny import CLASSES, batches, nats, network
from torch import nn

from zcp import InputError, get_proxy, get_space, list_proxies, score
from zcp.formulas import read_formulas
from zcp.proxies.formula import formula_proxy
from zcp.spaces.tss import WIDTHS, parse_cell
from zcp.statistics.initialisation import initialise

ALL = list_proxies("greenmachine_*")


def images(size=4, channels=3, height=32, width=32):
    source = torch.Generator().manual_seed(2)
    return [(torch.randn(size, channels, height, width, generator=source), torch.arange(size) % CLASSES)]


def layers(space, arch):
    """Return (input channels, output channels, resolution, is a batch norm) of each layer, in closed form."""
    if space == "tss":
        operations = parse_cell(arch)
        found = [(3, 16, 32, False), (16, 16, 32, True)]
        for stage, width in enumerate(WIDTHS):
            side = 32 >> stage
            if stage:
                found += residual(WIDTHS[stage - 1], width, side)
            for name in operations * 5:
                if name.startswith("nor_conv"):
                    found += edge(width, width, side)
        last = 64
    else:
        c1, c2, c3, c4, last = map(int, arch.split(":"))
        found = [(3, c1, 32, False), (c1, c1, 32, True)]
        found += (
            cell(c1, c1, 32)
            + residual(c1, c2, 16)
            + cell(c2, c3, 16)
            + residual(c3, c4, 8)
            + cell(c4, last, 8)
        )
    return [*found, (last, last, found[-1][2], True), (last, 10, 1, False)]


def edge(i, o, side):
    return [(i, o, side, False), (o, o, side, True)]


def residual(i, o, side):
    return edge(i, o, side) + edge(o, o, side) + [(i, o, side, False)]


def cell(i, o, side):
    return edge(i, o, side) * 2 + edge(o, o, side) * 3 + (edge(i, o, side) if i != o else [])


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def one_over_inputs(found):
    return mean(1 / i for i, _, _, _ in found)


RANDOM = random.Random(5)
ARCHS = [("tss", RANDOM.randrange(15625)) for _ in range(5)] + [
    ("sss", RANDOM.randrange(32768)) for _ in range(5)
]


def built(space, index):
    arch = get_space(space).arch(index)
    return arch, initialise(get_space(space).network(arch, 10), "default", index)


@pytest.mark.parametrize(("space", "index"), ARCHS)
def test_d_is_exactly_the_mean_of_one_over_the_inputs(space, index):
    arch, net = built(space, index)
    found = score(net, images(), ["greenmachine_d"])["greenmachine_d"]
    assert found == pytest.approx(one_over_inputs(layers(space, arch)), rel=1e-6)


def test_closed_forms_on_all_architectures():
    """D orders the topology space by the number of convolutions, and the size space as inverse widths do."""
    space = get_space("tss")
    by_count = {}
    for index in range(space.size):
        arch = space.arch(index)
        by_count.setdefault(arch.count("nor_conv"), set()).add(arch)
    forms = []
    for count in sorted(by_count):
        values = {round(one_over_inputs(layers("tss", arch)), 12) for arch in sorted(by_count[count])[:50]}
        assert len(values) == 1
        forms += values
    assert forms == sorted(forms, reverse=True)
    assert len(set(forms)) == 7


@pytest.mark.parametrize("index", [index for space, index in ARCHS if space == "sss"])
def test_forms_of_the_size_space(index):
    """I and B are about inverse widths, F counts about half of the activations, C nothing."""
    arch, net = built("sss", index)
    found = score(net, images(), [f"greenmachine_{letter}" for letter in "bcfi"])
    closed = layers("sss", arch)
    assert found["greenmachine_i"] == pytest.approx(mean(1 / o for _, o, _, _ in closed), rel=0.05)
    assert found["greenmachine_b"] == pytest.approx(one_over_inputs(closed), rel=0.1)
    half = mean(math.sqrt(4 * (min(i, o) if not norm else o) * side**2 / 2) for i, o, side, norm in closed)
    assert found["greenmachine_f"] == pytest.approx(half, rel=0.1)
    assert found["greenmachine_c"] == 0.0


def test_reductions():
    """C's comparison is never negative, and the constant of H is one, whatever it is computed from."""
    constant = "softmax(cosine_similarity(pass_perturbation_bwd_output, pass_fwd_output))"
    h = str(get_proxy("greenmachine_h").expression)
    assert h.count(constant) == 1
    formulas = {
        "h": h.replace(constant, "ones_like(frobenius_norm(pass_wt))"),
        "c": "frobenius_norm(equal(pass_perturbation_fwd_output, pass_noise_bwd_input))",
        "d": "softmax(pass_grad)",
        "i": "max(softmax(pass_perturbation_fwd_output), zeros_like(pass_grad))",
    }
    tiny = network("nats", "kaiming_fan_in", torch.float64)
    found = score(tiny, batches(dtype=torch.float64), ALL, init="keep", formulas=formulas)
    assert found["c"] == pytest.approx(found["greenmachine_c"])
    assert found["d"] == pytest.approx(found["greenmachine_d"])
    assert found["i"] == pytest.approx(found["greenmachine_i"])
    assert found["h"] == pytest.approx(found["greenmachine_h"])


def test_c_counts_layers_without_a_gradient():
    dead = network("dead", "kaiming_fan_in", torch.float64)
    assert score(dead, batches(dtype=torch.float64), ["greenmachine_c"], init="keep")["greenmachine_c"] > 0


@pytest.mark.parametrize(
    ("names", "forward", "backward"),
    [
        (["greenmachine_f"], 1, 1),
        (["greenmachine_d"], 1, 1),
        (["greenmachine_e"], 1, 0),
        (["greenmachine_g"], 1, 1),
        (["greenmachine_i"], 2, 2),
        (["greenmachine_d", "grad_norm", "fisher"], 1, 1),
        # A reads gradients of the noise and of the random pass alone.
        (["greenmachine_a"], 4, 2),
        (ALL, 4, 4),
        ([*ALL, "grad_norm", "snip", "fisher", "naswot"], 4, 4),
    ],
)
def test_passes(names, forward, backward):
    passes = score(nats(), batches(), names).passes["default"]
    assert (passes["forward"], passes["backward"]) == (forward, backward)


def test_together_with_second_order():
    names = ["grasp", "jacob_cov", "zico"]
    together = score(nats(), batches(), [*ALL, *names])
    assert together.passes["default"] == {"forward": 5, "backward": 6, "double_backward": 1}
    alone = score(nats(), batches(), names)
    assert {name: together[name] for name in names} == pytest.approx(dict(alone), rel=1e-4)


def test_formula_of_a_user():
    text = read_formulas("greenmachine")["GreenMachine-F"]
    found = score(nats(), batches(), ["greenmachine_f"], formulas={"mine": text})
    assert found["mine"] == found["greenmachine_f"]
    assert list(found) == ["greenmachine_f", "mine"]


def test_formula_of_weights_alone():
    tiny = network()
    found = score(tiny, batches(), [], init="keep", formulas={"mean": "normalized_sum(abs(pass_wt))"})
    weights = [
        m.weight.detach() for m in tiny.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
    ]
    assert found["mean"] == pytest.approx(mean(float(w.abs().mean()) for w in weights), rel=1e-5)


def test_formula_without_a_finite_value():
    found = score(nats(), batches(), [], formulas={"mine": "element_wise_invert(zeros_like(pass_wt))"})
    assert math.isnan(found["mine"])
    assert "'mine' has no finite value" in found.reasons["mine"]


def test_malformed_formula():
    with pytest.raises(InputError, match="unknown feature 'pass_gradient'; did you mean pass_grad"):
        score(nats(), batches(), [], formulas={"mine": "abs(pass_gradient)"})
    with pytest.raises(InputError, match="choose another"):
        formula_proxy("params", "pass_wt")


def test_what_a_formula_reads():
    assert not formula_proxy("x", "abs(pass_noise_fwd_input)").data
    assert not formula_proxy("x", "abs(random_grad)").labels
    assert formula_proxy("x", "abs(pass_noise_grad)").labels
    assert formula_proxy("x", "abs(pass_perturbation_fwd_output)").data
    assert not formula_proxy("x", "abs(pass_perturbation_wt)").data


def small(*, norm=True, relu=True, channels=3):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.BatchNorm2d(4) if norm else nn.Identity(),
        nn.ReLU() if relu else nn.Identity(),
        nn.Conv2d(4, 6, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, CLASSES),
    )


@pytest.mark.parametrize(
    ("net", "data"),
    [
        (small(relu=False), images(height=8, width=8)),
        (small(norm=False), images(height=8, width=8)),
        (small(), images(height=8, width=5)),
        (small(channels=1), images(channels=1, height=8, width=8)),
        (small(), images(size=1, height=8, width=8)),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)), images(height=2, width=2)),
        (small().to(torch.bfloat16), images(height=8, width=8)),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), *small(channels=4)),
            images(height=8, width=8),
        ),
    ],
    ids=[
        "no relu",
        "no norm",
        "not square",
        "one channel",
        "batch of one",
        "no conv",
        "bfloat16",
        "no weight",
    ],
)
def test_other_networks(net, data):
    found = score(net, data, ALL, init="keep")
    assert not found.reasons
    assert all(math.isfinite(value) for value in found.values())


def test_no_layer_at_all():
    found = score(nn.Sequential(nn.Flatten(), nn.PReLU()), images(height=2, width=2), ALL, init="keep")
    assert {found.reasons[name] for name in ALL} == {"the network ran no convolution, norm or linear layer"}


def test_layers_that_run_at_random():
    class Fickle(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head, self.runs = small(), nn.Linear(CLASSES, CLASSES), 0

        def forward(self, x):
            self.runs += 1
            x = self.body(x)
            return self.head(x) if self.runs == 2 else x

    found = score(Fickle(), images(height=8, width=8), ["greenmachine_i", "grad_norm"], init="keep")
    assert "other layers in one pass" in found.reasons["greenmachine_i"]
    assert math.isfinite(found["grad_norm"])


def test_outputs_that_are_no_logits():
    net = nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten(0))
    found = score(net, images(height=3, width=3), ["greenmachine_d", "greenmachine_e"], init="keep")
    assert "cross-entropy needs logits" in found.reasons["greenmachine_d"]


@pytest.mark.parametrize("name", ALL)
def test_direction_is_stated(name):
    assert get_proxy(name).larger_is_better == (name[-1] not in "bcdei")
    assert get_proxy(name).expression is not None

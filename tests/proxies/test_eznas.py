"""EZNAS: golden values, which triples are read, programs, networks that are no NATS-Bench networks."""

import json
import math

import pytest
import torch
from tiny import CLASSES, batches, network
from torch import nn

from zcp import InputError, get_proxy, get_space, score
from zcp.formulas import parse
from zcp.golden.recipe import recipe_batches, recipe_weights
from zcp.golden.rounding import eznas_interval
from zcp.paths import GOLDEN
from zcp.proxies.eznas import PROGRAMS, program_score
from zcp.proxies.registry import proxy_of_version
from zcp.statistics.eznas_triples import FEATURES, evaluate, reference_triples
from zcp.statistics.network import Statistics

#: Number of singular maps of signs.
SINGULAR = (
    "element_wise_product(normalized_sum(equal(determinant(sign(inpactgrad_D)), "
    "zeros_like(determinant(inpactgrad_D)))), numel(determinant(inpactgrad_D)))"
)
VALUES = json.loads((GOLDEN / "golden.json").read_text())


def golden_network(arch):
    entry = VALUES["archs"][arch]
    return recipe_weights(get_space(entry["space"]).network(entry["spec"], 10))


@pytest.mark.parametrize("arch", ["sss-0", "tss-1835", "tss-1651"])
def test_the_reference_lies_where_singular_maps_may_put_it(arch):
    expected = float(VALUES["values"][arch]["eznas"]["float64"])
    net = golden_network(arch).double()
    found = score(net, recipe_batches(), ["eznas"], init="keep")
    least, most = eznas_interval(net, recipe_batches())
    assert found["eznas"] == pytest.approx(least, rel=1e-9)
    assert least * (1 - 1e-6) <= expected <= most * (1 + 1e-6)
    assert found.passes["keep"] == {"forward": 1, "backward": 1}


@pytest.mark.parametrize("arch", ["tss-1835", "sss-284"])
def test_each_triple_equals_the_reference(arch):
    """A network read in order of execution, and one with ReLUs that never run."""
    expected = [float(value) for value in VALUES["values"][arch]["eznas"]["float64_per_triple"]]
    s = Statistics(golden_network(arch).double(), recipe_batches())
    values = evaluate(s, [parse(text, FEATURES) for text in (PROGRAMS["darts"], SINGULAR)])
    assert len(values) == len(expected)
    for (exact, singular), value in zip(values, expected, strict=True):
        # A singular map gives 0 or, where rounding makes its determinant negative, 0.5.
        least, most = exact**2, exact**2 + 0.25 * singular
        assert least * (1 - 1e-6) <= value**2 <= most * (1 + 1e-6)


def test_reference_counts_the_relu_that_never_runs():
    s = Statistics(network("nats_unequal"), batches())
    found = reference_triples(s.network, s.data)
    assert (len(found), found.count(None)) == (14, 2)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    s = Statistics(network("nats", "eznas"), batches())
    found = program_score(s, PROGRAMS[name])
    assert math.isfinite(found)
    # The noisy programs run a pass more for each kind of input that they read.
    assert s.passes["forward"] == {"darts": 1, "topprog": 2, "enas": 2, "pnas": 2, "nasnet": 3}[name]


def test_program_topprog_by_hand():
    s = Statistics(network("nats", "eznas", torch.float64), batches(dtype=torch.float64))
    noise = s.noise("eznas_N", s.batches[0][0].shape)
    triples = reference_triples(s.network, s.forward(s.network, noise, named=True))
    expected = [float(triple.second.input.detach().square().sum()) for triple in triples]
    assert program_score(s, PROGRAMS["topprog"]) == pytest.approx(sum(expected) / len(expected))


def test_labels_do_not_matter():
    data = batches()
    other = [(x, torch.zeros_like(y)) for x, y in data]
    assert score(network(), data, ["eznas"]) == score(network(), other, ["eznas"])


def body(*, norm=True, relu=True, channels=3):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU() if relu else nn.Identity(),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.BatchNorm2d(6) if norm else nn.Identity(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, CLASSES),
    )


def images(size=3, channels=3, height=8, width=8):
    source = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, channels, height, width, generator=source), torch.zeros(size, dtype=torch.int64))
    ]


@pytest.mark.parametrize(
    ("net", "data", "reason"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(192, CLASSES)),
            images(),
            "no activation of feature",
        ),
        (body(), images(width=6), "not square: (8, 6)"),
    ],
    ids=["no feature maps", "not square"],
)
def test_undefined_with_a_reason(net, data, reason):
    found = score(net, data, ["eznas", "params"], init="keep")
    assert math.isnan(found["eznas"])
    assert reason in found.reasons["eznas"]
    assert math.isfinite(found["params"])


@pytest.mark.parametrize(
    ("net", "data"),
    [(body(channels=1), images(channels=1)), (body(), images(size=1)), (body().double(), images())],
    ids=["one channel", "batch of one", "float64"],
)
def test_other_networks(net, data):
    assert score(net, data, ["eznas"], init="keep")["eznas"] > 0


def test_with_formulas_in_one_group():
    """Formulas give each layer a view of its input; the chains are found all the same."""
    names = ["eznas", "eznas_literal"]
    alone = score(network(), batches(), names, init="keep")
    together = score(network(), batches(), [*names, "greenmachine_b"], init="keep")
    assert {name: together[name] for name in names} == dict(alone)


def test_the_published_floating_point_is_scored_on_demand():
    assert get_proxy("eznas_literal").optional
    assert get_proxy("eznas").version == 2
    assert proxy_of_version("eznas", 1).name == "eznas_literal"
    assert proxy_of_version("eznas", 2).name == "eznas"
    with pytest.raises(InputError, match="none computes its version 3"):
        proxy_of_version("eznas", 3)


def test_weight_gradients_are_read_where_a_program_asks():
    s = Statistics(network("nats", "eznas", torch.float64), batches(dtype=torch.float64))
    found = program_score(s, "frobenius_norm(wtgrad_D)")
    wanted = [triple.second.module.weight for triple in reference_triples(s.network, s.data)]
    gradients = torch.autograd.grad(s.data.of("linear")[-1].input.sum(), wanted)
    assert found == pytest.approx(sum(float(g.norm()) for g in gradients) / len(gradients))

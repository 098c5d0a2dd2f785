"""One call, its bad inputs, and what it tells about passes and time."""

import math
import time
from types import SimpleNamespace

import pytest
import torch
from tiny import CLASSES, SHAPE, batches, fingerprint, network
from torch import nn

from zcp import InputError, get_proxy, list_proxies, score
from zcp.proxies.registry import REGISTRY
from zcp.statistics.surroundings import seed_generators
from zcp.study.greenfactory.published import COLUMNS

SECOND_ISSUE = [
    *("params", "flops", "grad_norm", "snip", "grasp", "fisher"),
    *("synflow", "log_synflow", "jacob_cov", "naswot", "zen", "zico"),
]
INPUTS, LABELS = batches()[0]


def test_passes_of_the_first_proxies():
    """Batch one, batch two (zico) and the linearised network run forward; nothing runs twice."""
    assert score(network(), batches(), SECOND_ISSUE).passes == {
        "none": {"forward": 1},
        "default": {"forward": 3, "backward": 4, "double_backward": 1},
        "normal": {"forward": 2},
    }
    assert score(network(), batches(), SECOND_ISSUE, init="keep").passes == {
        "keep": {"forward": 6, "backward": 4, "double_backward": 1},
    }


@pytest.mark.parametrize(
    ("proxies", "passes"),
    [
        (["params"], {"none": {}}),
        (["l2_norm"], {"default": {}}),
        (["naswot"], {"default": {"forward": 1}}),
        (["grad_norm", "snip", "fisher", "plain"], {"default": {"forward": 1, "backward": 1}}),
        (["grasp"], {"default": {"forward": 1, "backward": 1, "double_backward": 1}}),
        (["zico"], {"default": {"forward": 2, "backward": 2}}),
        (["synflow", "log_synflow"], {"default": {"forward": 1, "backward": 1}}),
        (["zen"], {"normal": {"forward": 2}}),
    ],
)
def test_passes_of_a_few(proxies, passes):
    assert score(network(), batches(), proxies).passes == passes


def test_order_and_repetition_of_names():
    names = ["zen", "params", "grad_norm", "params"]
    assert [*score(network(), batches(), names)] == ["zen", "params", "grad_norm"]
    assert [*score(network(), batches(), iter(names))] == ["zen", "params", "grad_norm"]
    assert score(network(), batches(), []) == {}
    assert [*score(network(), batches(), "params")] == ["params"]


def test_steps_and_seconds():
    net = network()
    start = time.perf_counter()
    scores = score(net, batches(), SECOND_ISSUE)
    wall = time.perf_counter() - start
    assert {*scores.steps} == {*SECOND_ISSUE}
    assert {step for steps in scores.steps.values() for step in steps} == {*scores.seconds}
    assert all(seconds >= 0 for seconds in scores.seconds.values())
    assert 0.3 * wall < sum(scores.seconds.values()) <= wall
    for name, steps in scores.steps.items():
        assert steps[0] in ("none_init", "default_init", "normal_init")
        assert steps[-1] == name
    assert {"default_data", "default_loss_gradients_graph"} <= {*scores.steps["grad_norm"]}
    assert "default_other_gradients" in scores.steps["zico"]
    assert "default_other_gradients" not in scores.steps["grad_norm"]


# What one formula reads depends on the others, whose tensors it shares.
@pytest.mark.parametrize("name", [name for name in list_proxies() if not get_proxy(name).expression])
def test_a_proxy_needs_the_same_steps_alone_and_together(name):
    together = score(network(), batches(), list_proxies())
    assert score(network(), batches(), [name]).steps[name] == together.steps[name]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "one or more"),
        (INPUTS, "list of one or more"),
        ((INPUTS, LABELS), "batch 0 must be a pair"),
        ((INPUTS[:2], LABELS[:2]), "batch 0 must be a pair"),
        ([(INPUTS,)], "batch 0 must be a pair"),
        ([(INPUTS, LABELS), (INPUTS, LABELS, LABELS)], "batch 1 must be a pair"),
        ([(INPUTS.numpy(), LABELS)], "batch 0 must be a pair .* of tensors"),
        ([(INPUTS, LABELS.tolist())], "of tensors"),
        ([(INPUTS, LABELS[:3])], "5 inputs and 3 labels"),
        ([(INPUTS[:0], LABELS[:0])], "0 inputs"),
        ([(INPUTS.mul(9).byte(), LABELS)], "must be floats .* not torch.uint8"),
        ([(INPUTS.flatten()[:5], LABELS)], "no tensor .* of two dimensions"),
        ([(INPUTS.clone().fill_(math.nan), LABELS)], "inputs of batch 0 hold NaN"),
        ([(INPUTS, LABELS), (INPUTS / 0, LABELS)], "inputs of batch 1 hold NaN or infinite"),
        ([(INPUTS, LABELS + CLASSES)], "labels run from .* 5 classes"),
        ([(INPUTS, LABELS - CLASSES)], "labels run from -"),
    ],
)
def test_malformed_batches(bad, message):
    net = network()
    before = fingerprint(net)
    with pytest.raises(InputError, match=message):
        score(net, bad)
    assert fingerprint(net) == before


def test_unknown_names():
    with pytest.raises(InputError, match="unknown proxy 'grad_nrm'; did you mean grad_norm"):
        score(network(), batches(), ["params", "grad_nrm"])
    with pytest.raises(InputError, match="unknown init 'random'; choose 'paper' or 'keep'"):
        score(network(), batches(), ["params"], init="random")


def test_one_batch_only():
    both, one = score(network(), batches()), score(network(), batches()[:1])
    assert math.isnan(one["zico"])
    assert "at least two" in one.reasons["zico"]
    for name in both.keys() - {"zico"}:
        assert one[name] == pytest.approx(both[name], rel=1e-5, nan_ok=True)


def reasoned(scores) -> None:
    """Every value is finite or has a reason that says something; finite ones have none."""
    for name, value in scores.items():
        assert math.isfinite(value) == (name not in scores.reasons), name
    assert all(len(reason) > 15 for reason in scores.reasons.values())


def test_a_network_without_any_weight():
    scores = score(
        nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), [(INPUTS, LABELS % 3)] * 2
    )
    assert scores["params"] == scores["flops"] == 0
    for name in ("grad_norm", "snip", "grasp", "zico", "l2_norm", "synflow"):
        assert math.isnan(scores[name])
        assert "no weights to look at" in scores.reasons[name]
    reasoned(scores)


class Unusual(nn.Module):
    """A network that lacks something, by name."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        channels = 1 if kind == "one channel" else 3
        norm = nn.Identity() if kind == "no batch norm" else nn.BatchNorm2d(4)
        relu = nn.Tanh() if kind == "no relu" else nn.ReLU()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), norm, relu)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 1 if kind == "regression" else CLASSES)

    def forward(self, x):
        return self.head(self.pool(self.body(x)).flatten(1))


def unusual(kind: str):
    shape = {"one channel": (1, 8, 8), "not square": (3, 6, 10)}.get(kind, SHAPE)
    data = [(torch.randn(5, *shape, generator=torch.Generator().manual_seed(s)), LABELS) for s in (1, 2)]
    if kind == "regression":
        data = [(x, torch.linspace(-2, 2, 5)) for x, _ in data]
    if kind == "no convolution":
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, CLASSES)), data
    if kind == "batch of one":
        data = [(x[:1], y[:1]) for x, y in data]
    if kind == "half":
        return Unusual(kind).half(), data
    return Unusual(kind), data


UNUSUAL = [
    *("no relu", "no batch norm", "no convolution", "not square", "one channel"),
    *("regression", "batch of one", "half"),
]


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_networks_get_a_value_or_a_reason(kind):
    net, data = unusual(kind)
    together = score(net, data, list_proxies())
    reasoned(together)
    assert together["params"] == sum(p.numel() for p in net.parameters()) / 1e6
    assert math.isfinite(together["l2_norm"])
    if kind == "regression":
        assert "integer" in together.reasons["grad_norm"]
        assert math.isfinite(together["jacob_cov"])
    for name in together:
        alone = score(net, data, [name])
        assert alone[name] == pytest.approx(
            together[name], rel=1e-3 if kind == "half" else 1e-5, nan_ok=True
        ), name


def test_one_value_a_channel():
    """Batch norm is undefined there, and stays so where another proxy asks for second derivatives."""
    data = [(torch.randn(1, 3, 2, 2), LABELS[:1])] * 2
    for names in (["grad_norm"], ["grad_norm", "grasp"]):
        scores = score(network(), data, names)
        assert math.isnan(scores["grad_norm"])
        assert "more than 1 value per channel" in scores.reasons["grad_norm"]


def test_values_of_one_network_do_not_cost_the_others_theirs():
    """A forward that fails from its second run on leaves the proxies of the first run their values."""

    class Tired(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.runs = network(), 0

        def forward(self, x):
            self.runs += 1
            if self.runs > 1:
                raise RuntimeError("too tired")
            return self.body(x)

    scores = score(Tired(), batches(), ["zico", "grad_norm", "naswot"])
    assert "too tired" in scores.reasons["grad_norm"]
    assert "too tired" in scores.reasons["naswot"]
    # In another layout what failed runs once more, with a new copy.
    scores = score(Tired(), batches(), ["grad_norm", "naswot", "synflow", "params"], engine="plain")
    assert [*scores.reasons] == ["synflow"]


def test_dropout_is_deterministic_and_the_generators_are_restored():
    net = nn.Sequential(network(), nn.Dropout(0.5))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = score(net, batches())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = score(net, batches())
    assert str(first) == str(second)
    assert score(net, batches(), seed=1)["grad_norm"] != first["grad_norm"]


NAMES = ["grad_norm", "synflow", "zen", "l2_norm", "jacob_cov"]


@pytest.mark.parametrize(
    "surroundings",
    [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=["no_grad", "inference_mode", "autocast"],
)
def test_the_callers_modes_do_not_matter(surroundings):
    net, data, expected = network(), batches(), score(network(), batches(), NAMES)
    with surroundings():
        assert score(net, data, NAMES) == expected


def test_the_default_dtype_does_not_matter():
    net, data, expected = network(), batches(), score(network(), batches(), NAMES)
    torch.set_default_dtype(torch.float64)
    try:
        assert score(net, data, NAMES) == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_frozen_weights_and_evaluation_mode_do_not_matter():
    net = network().eval().requires_grad_(False)
    assert score(net, batches(), SECOND_ISSUE) == score(network(), batches(), SECOND_ISSUE)


def test_a_network_that_cannot_be_copied():
    net = network()
    net.lock = (n for n in range(3))
    with pytest.raises(InputError, match=r"cannot be copied.*generator"):
        score(net, batches(), ["params"])


def test_paper_does_not_depend_on_the_weights_but_keep_does():
    other = network(init="kaiming_fan_in")
    assert score(network(), batches(), SECOND_ISSUE) == score(other, batches(), SECOND_ISSUE)
    kept = [score(net, batches(), ["grad_norm"], init="keep")["grad_norm"] for net in (network(), other)]
    assert kept[0] != kept[1]


def test_keep_does_not_depend_on_the_seed_without_noise():
    first, second = (score(network(), batches(), SECOND_ISSUE, init="keep", seed=seed) for seed in (0, 1))
    assert {name for name in first if first[name] != second[name]} == {"zen"}


def test_greenfactory_passes_are_those_that_its_definitions_need():
    names = [name for name in COLUMNS.values() if name in REGISTRY]
    assert len(names) == 22  # and az_nas, which is made of four of them
    # default: the first batch, zico's second, synflow's ones, GreenMachine's noise, perturbation and random.
    assert score(network(), batches(), names).passes == {
        "none": {"forward": 1},
        "default": {"forward": 6, "backward": 6},
        "kaiming_fan_out": {"forward": 1, "backward": len(batches()[0][0])},
        "kaiming_fan_in": {"forward": 1, "backward": 1},
        "normal": {"forward": 2},
        "eznas": {"forward": 1, "backward": 1},
    }


def test_full_precision_while_scoring_and_the_callers_afterwards():
    """TF32 would leave ten bits; the settings exist without a GPU."""
    seen = []
    backends = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)
    before = [backend.fp32_precision for backend in backends]
    net = network()

    class Seeing(nn.Module):
        def forward(self, x):
            seen.append({b.fp32_precision for b in backends})
            return x

    net.stem = nn.Sequential(Seeing(), net.stem)
    score(net, batches(), ["snip"])
    assert seen == [{"ieee"}]
    assert [backend.fp32_precision for backend in backends] == before
    torch.backends.cudnn.allow_tf32 = False
    try:
        score(net, batches(), ["snip"])
        assert torch.backends.cudnn.allow_tf32 is False
    finally:
        torch.backends.cudnn.allow_tf32 = True


def test_the_generators_of_gpus_are_seeded(monkeypatch):
    """Dropout draws from them."""
    generators = [torch.Generator() for _ in range(3)]
    monkeypatch.setattr(torch.cuda, "default_generators", generators)
    device = SimpleNamespace(type="cuda", index=1)
    net = SimpleNamespace(parameters=lambda: [SimpleNamespace(device=device)] * 2)
    with torch.random.fork_rng(devices=[]):
        seed_generators(net, 5)
        assert torch.default_generator.initial_seed() == 5
    assert [generator.initial_seed() == 5 for generator in generators] == [False, True, False]

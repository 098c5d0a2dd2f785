"""Every registered proxy is a row, every property a column.

Rows appear by registration. What is particular to a proxy stands in the dicts below, with its reason; a proxy
that is in none of them must have every property.
"""

import copy
import math
import random
from functools import cache

import numpy as np
import pytest
import torch
from tiny import CLASSES, batches, fingerprint, network
from torch import nn

from zcp import InputError, list_proxies, score
from zcp.proxies.registry import REGISTRY
from zcp.statistics.initialisation import initialise

ALL = list_proxies()
every_proxy = pytest.mark.parametrize("name", ALL)

#: The value does not depend on weights or noise.
SEEDLESS: dict[str, str] = {
    "params": "a count",
    "flops": "a count",
    "linear_regions": "every sample of a tiny batch is a region of its own",
    "greenmachine_d": "a function of the widths, to rounding",
    "greenmachine_c": "counts exact coincidences, and live networks have none",
}
#: The value depends on the order of the samples in a batch.
NOISE = "it mixes statistics of noise, which keeps its order, with others"
ORDERED: dict[str, str] = {
    "gennas": "a sample keeps its place, and with it its regression target",
    **{f"greenmachine_{letter}": NOISE for letter in "afghij"},
}
#: Data or labels are read, but the value hardly depends on them (closed forms), by what is read.
NOMINAL: dict[str, dict[str, str]] = {
    "data": {f"greenmachine_{letter}": "no more than signs and counts are left" for letter in "bcde"},
    "labels": {f"greenmachine_{letter}": "gradients normalised away" for letter in "bcdij"},
}
#: Value on a network of `none` edges and without biases. Others must be finite, or have a reason.
DEAD_VALUES = {
    "grad_norm": 0.0,
    "snip": 0.0,
    "grasp": 0.0,
    "fisher": 0.0,
    "plain": 0.0,
    "zico": 0.0,
    "synflow": 0.0,
    "log_synflow": -math.inf,
    "jacob_cov": math.nan,
    "naswot": -math.inf,
    "zen": -math.inf,
}
#: Relative difference that float32 may have from float64 on the tiny network, where it is more than 1e-3.
FLOAT32: dict[str, float] = {}


@cache
def scored(variant: str):
    """Return the scores of all proxies together for a variant of the same call, computed once."""
    double = torch.float64
    net, data, options = network(dtype=double), batches(dtype=double), {}
    if variant == "other seed":
        options["seed"] = 1
    elif variant == "keep":
        options["init"] = "keep"
    elif variant == "keep, in place":
        options["init"] = "keep"
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = True
    elif variant == "channels last":
        net = net.to(memory_format=torch.channels_last)
        data = [(x.to(memory_format=torch.channels_last), y) for x, y in data]
    elif variant == "permuted":
        order = torch.tensor([3, 0, 4, 1, 2])
        data = [(x[order], y[order]) for x, y in data]
    elif variant == "dead":
        net, options["init"] = network("dead", "kaiming_fan_in", double), "keep"
    elif variant == "dead, paper":
        net = network("dead", dtype=double)
    elif variant == "float32":
        net, data = net.float(), batches()
    elif variant == "cuda":
        net = net.cuda()
    else:
        assert variant in ("plain", "again"), variant
    return score(net, data, ALL, **options)


def assert_same(name: str, variant: str, other: str = "plain", rel: float = 1e-8):
    expected, found = scored(other)[name], scored(variant)[name]
    assert found == pytest.approx(expected, rel=rel, abs=1e-11, nan_ok=True)


@every_proxy
def test_finite_on_a_normal_network(name):
    assert math.isfinite(scored("plain")[name]), scored("plain").reasons.get(name)
    assert name not in scored("plain").reasons


@every_proxy
def test_same_seed_same_value(name):
    assert scored("again")[name] == scored("plain")[name]


@every_proxy
def test_other_seed_other_value(name):
    one, other = scored("plain")[name], scored("other seed")[name]
    same = other == (pytest.approx(one, rel=1e-12) if name in SEEDLESS else one)
    assert same == (name in SEEDLESS)


@every_proxy
def test_alone_as_together(name):
    alone = score(network(dtype=torch.float64), batches(dtype=torch.float64), [name])
    assert alone[name] == pytest.approx(scored("plain")[name], rel=1e-9, abs=1e-12)
    assert list(alone) == [name]


@every_proxy
def test_keep_scores_the_weights_as_they_are(name):
    """`paper` equals `keep` on a network that got the proxy's own initialisation."""
    own = network(dtype=torch.float64)
    if REGISTRY[name].init != "none":
        initialise(own, REGISTRY[name].init, 0)
    kept = score(own, batches(dtype=torch.float64), [name], init="keep")
    assert kept[name] == pytest.approx(scored("plain")[name], rel=1e-9, abs=1e-12)


@every_proxy
def test_order_of_samples(name):
    if name in ORDERED:
        assert scored("permuted")[name] != pytest.approx(scored("plain")[name], rel=1e-8)
    else:
        assert_same(name, "permuted")


@every_proxy
def test_relu_in_place(name):
    assert_same(name, "keep, in place", "keep")


@every_proxy
def test_memory_format(name):
    assert_same(name, "channels last")


@every_proxy
def test_single_precision(name):
    assert_same(name, "float32", rel=FLOAT32.get(name, 1e-3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_proxy
def test_cuda_equals_cpu(name):
    assert_same(name, "cuda", rel=1e-6)


@every_proxy
def test_dead_network(name):
    for variant in ("dead", "dead, paper"):
        found = scored(variant)
        assert bool(found.reasons.get(name)) == (not math.isfinite(found[name]))
    if name in DEAD_VALUES:
        assert str(scored("dead")[name]) == str(DEAD_VALUES[name])


class Fails(nn.Module):
    """The tiny network, whose forward raises in the middle or returns a pair of which none is the logits."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.body = network()
        self.how = how

    def forward(self, x):
        if self.how == "raises":
            self.body.cells[0](self.body.stem(x))
            raise RuntimeError("the cable is out")
        features = self.body(x)
        return (features + 1, features + 2) if self.how == "pair" else features


def used(how: str) -> nn.Module:
    """Return a network with a history: mixed flags, a frozen weight, gradients and a user's hook."""
    net = Fails(how)
    net.body.cells[1].eval()
    net.body.stem[0].weight.requires_grad_(False)
    net.body.classifier.weight.grad = torch.ones(CLASSES, 6)
    net.body.lastact.register_forward_hook(lambda *_: None)
    net.body.lastact[1].inplace = True
    return net


def surroundings():
    return (
        torch.get_rng_state().tolist(),
        repr(np.random.get_state()),  # noqa: NPY002 - the global state is what is watched
        random.getstate(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        dict(nn.modules.module._global_forward_hooks),
    )


@pytest.mark.parametrize("how", ["works", "raises", "pair"])
@every_proxy
def test_network_is_left_as_found(name, how):
    net, data = used(how), batches()
    before, inputs, around = fingerprint(net), copy.deepcopy(data), surroundings()
    ran = False
    try:
        scores = score(net, data, [name])
        ran = bool(sum(scores.passes[REGISTRY[name].init].values()))
        if how == "raises" and ran:
            assert math.isnan(scores[name])
            assert "the cable is out" in scores.reasons[name]
        else:
            assert math.isfinite(scores[name]), scores.reasons
    except InputError as error:
        assert how == "pair"
        assert "tuple" in str(error)
    else:
        assert how != "pair" or not ran
    assert fingerprint(net) == before
    assert surroundings() == around
    assert all(
        torch.equal(a, b) for pair in zip(inputs, data, strict=True) for a, b in zip(*pair, strict=True)
    )


#: Another partition of the samples into classes, not merely other names of the classes.
RELABELLED = ([4, 4, 4, 1, 2], [0, 3, 3, 0, 1])


@every_proxy
def test_declared_dependence_on_data_and_labels(name):
    net, data = network(dtype=torch.float64), batches(dtype=torch.float64)
    reference = scored("plain")[name]
    others = {
        "labels": [(x, torch.tensor(labels)) for (x, _), labels in zip(data, RELABELLED, strict=True)],
        "data": [(x.flip(3) * 1.5 + 0.3, y) for x, y in data],
    }
    for what, other in others.items():
        changed = score(net, other, [name])[name] != pytest.approx(reference, rel=1e-9)
        declared = getattr(REGISTRY[name], what)
        assert declared if name in NOMINAL[what] else changed == declared, what


def test_tables_name_registered_proxies():
    assert {*SEEDLESS, *ORDERED, *DEAD_VALUES, *FLOAT32, *NOMINAL["data"], *NOMINAL["labels"]} <= {*ALL}


def test_passes_are_counted_for_each_initialisation():
    scores = scored("plain")
    assert {*scores.passes} == {REGISTRY[name].init for name in ALL}
    alone = {
        init: score(network(), batches(), [n for n in ALL if REGISTRY[n].init == init])
        for init in scores.passes
    }
    for init, group in alone.items():
        assert group.passes == {init: scores.passes[init]}
    assert {*scored("keep").passes} == {"keep"}

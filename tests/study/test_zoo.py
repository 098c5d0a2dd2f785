"""Models of `transformers`: a value or a reason for every proxy, the same from two builds."""

import math

import pytest
import torch
from tiny import fingerprint
from torch.utils.flop_counter import FlopCounterMode

from zcp import flops, score
from zcp.proxies.registry import default_proxies
from zcp.study.own_networks.zoo import MODELS, batches, build

pytest.importorskip("transformers", reason="needs transformers", exc_type=ImportError)
every_model = pytest.mark.parametrize("name", MODELS)

#: Proxies without a value, by model, with what the reason says.
MISSING = {
    "convnext": {"eznas": "not square"},
    "vit": {"eznas": "no activation of feature maps"},
    "swin": {"eznas": "no activation of feature maps"},
    "bert": {"eznas": "no activation of feature maps"},
    "gpt2": {"eznas": "no activation of feature maps", "epe_nas": "classes need logits"},
    "wav2vec2": {"eznas": "no activation of feature maps"},
}
#: Parameters of one dimension that no initialisation draws.
UNTOUCHED = {"convnext": "layer_scale_parameter"}


@every_model
def test_every_proxy_has_a_value_or_a_reason_and_two_builds_agree(name):
    model = build(name)
    before, state = fingerprint(model), torch.get_rng_state()
    found, again = (score(net, batches(name)) for net in (model, build(name, seed=2)))
    missing = {proxy: found.reasons[proxy] for proxy in found if math.isnan(found[proxy])}
    expected = MISSING.get(name, {})
    assert missing.keys() == expected.keys(), missing
    assert all(expected[proxy] in reason for proxy, reason in missing.items())
    for proxy in found.keys() - missing:
        assert again[proxy] == pytest.approx(found[proxy], rel=1e-5), proxy
    assert all(UNTOUCHED.get(name, "nothing") in parameter for parameter in found.untouched)
    assert fingerprint(model) == before and torch.equal(torch.get_rng_state(), state)


def test_nearly_all_have_a_value():
    cells = len(MODELS) * len(default_proxies())
    assert sum(map(len, MISSING.values())) <= 0.05 * cells


@every_model
def test_multiply_accumulates_are_half_of_what_pytorch_counts(name):
    model, inputs = build(name, eager=True).eval(), batches(name)[0][0]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs) if isinstance(inputs, dict) else model(inputs)
    found = flops(model, inputs)
    assert found.total == counter.get_total_flops() / 2
    assert sum(found.by_module.values()) == found.total
    assert {*found.by_module} <= {key for key, _ in model.named_modules()}
    # Fused attention, which PyTorch's counter takes for nothing on a CPU, does the same work.
    assert flops(build(name), inputs).total == found.total

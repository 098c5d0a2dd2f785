"""The shared passes: their derivatives against finite differences, and how often the network runs."""

from collections import Counter

import pytest
import torch
from tiny import CLASSES, SHAPE, batches, fingerprint, network
from torch import nn

from zcp import InputError, Undefined
from zcp.statistics.head import features
from zcp.statistics.network import SeededDraw, Statistics

DOUBLE = torch.float64
STEP = 1e-6


def statistics(kind: str = "nats", **options) -> Statistics:
    return Statistics(network(kind, "kaiming_fan_in", DOUBLE), batches(dtype=DOUBLE), **options)


def directions(tensors):
    source = torch.Generator().manual_seed(1)
    return [torch.randn(t.shape, generator=source).to(DOUBLE) for t in tensors]


def along(s: Statistics, wrt, direction, value):
    """Central difference of `value()` when the tensors of `wrt` move along `direction`."""
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for tensor, step in zip(wrt, direction, strict=True):
                tensor.add_(sign * STEP * step)
        ends.append(value())
        with torch.no_grad():
            for tensor, step in zip(wrt, direction, strict=True):
                tensor.sub_(sign * STEP * step)
    if isinstance(ends[0], list):
        return [(a - b) / (2 * STEP) for a, b in zip(*ends, strict=True)]
    return (ends[0] - ends[1]) / (2 * STEP)


@pytest.mark.parametrize("kind", ["nats", "nats_unequal", "plain", "shared"])
def test_loss_gradients_by_finite_differences(kind):
    s = statistics(kind)
    direction = directions(s.weights)
    slope = along(s, s.weights, direction, lambda: s.loss(s.network(s.batches[0][0]), s.batches[0][1]).item())
    inner = sum((g * d).sum().item() for g, d in zip(s.loss_gradients.weights, direction, strict=True))
    assert inner == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("kind", ["nats", "nats_unequal", "plain", "shared"])
def test_hessian_gradient_by_finite_differences(kind, second_order):
    s = statistics(kind, second_order=second_order)
    g = s.loss_gradients.weights
    products = s.hessian_gradient

    def gradient():
        return [t.clone() for t in statistics_of(s.network).loss_gradients.weights]

    def statistics_of(net):
        return Statistics(net, s.batches)

    slopes = along(s, s.weights, g, gradient)
    for product, slope in zip(products, slopes, strict=True):
        torch.testing.assert_close(product, slope, rtol=1e-4, atol=1e-6)


def test_input_gradient_by_finite_differences():
    s = statistics()
    inputs = s.batches[0][0].clone()
    (direction,) = directions([inputs])
    slope = along(s, [inputs], [direction], lambda: s.network(inputs).sum().item())
    assert (s.input_gradient * direction.flatten(1)).sum().item() == pytest.approx(slope, rel=1e-6)


def test_other_gradients_are_loss_gradients_of_the_other_batches():
    s = Statistics(network(dtype=DOUBLE), batches(count=3, dtype=DOUBLE))
    for position, gradient in enumerate(s.other_gradients, start=1):
        alone = Statistics(network(dtype=DOUBLE), [s.batches[position]])
        for a, b in zip(gradient, alone.loss_gradients.weights, strict=True):
            torch.testing.assert_close(a, b)


#: Passes that an attribute costs on its own (two batches), by name of the attribute.
COST = {
    "weights": {},
    "shapes": {"forward": 1},
    "data": {"forward": 1},
    "loss_gradients_graph": {"forward": 1, "backward": 1},
    "hessian_gradient": {"forward": 1, "backward": 1, "double_backward": 1},
    "input_gradient": {"forward": 1, "backward": 1},
    "other_gradients": {"forward": 1, "backward": 1},
    "synaptic_saliency": {"forward": 1, "backward": 1},
    "perturbed_features": {"forward": 2},
}


@pytest.mark.parametrize("name", COST)
def test_passes_of_each_statistic(name):
    s = statistics(second_order=True)
    runs = []
    s.network.register_forward_hook(lambda *_: runs.append(1))
    getattr(s, name)
    assert s.passes == Counter(COST[name])
    getattr(s, name)
    assert s.passes == Counter(COST[name])
    assert len(runs) == COST[name].get("forward", 0)


def test_second_order_asked_late_costs_one_more_backward():
    s = statistics(second_order=False)
    assert s.hessian_gradient
    assert s.passes == {"forward": 1, "backward": 2, "double_backward": 1}


def test_all_derivatives_of_the_first_batch_share_its_forward():
    s = statistics(second_order=True)
    _ = s.loss_gradients, s.hessian_gradient, s.input_gradient, s.data
    assert s.passes == {"forward": 1, "backward": 2, "double_backward": 1}


def test_noise_depends_on_its_name_and_the_seed_alone():
    single = Statistics(network(), batches(), SeededDraw(1))
    double = Statistics(network(dtype=DOUBLE), batches(dtype=DOUBLE), SeededDraw(1))
    x = single.noise("x", (2, *SHAPE))
    assert torch.equal(x, single.noise("x", (2, *SHAPE)))
    assert torch.equal(x.double(), double.noise("x", (2, *SHAPE)))
    assert double.noise("x", (2,)).dtype == DOUBLE
    assert not torch.equal(x, single.noise("e", (2, *SHAPE)))
    assert not torch.equal(x, Statistics(network(), batches(), SeededDraw(2)).noise("x", (2, *SHAPE)))


def test_inputs_take_the_type_of_the_network():
    s = Statistics(network(dtype=DOUBLE), batches())
    assert s.batches[0][0].dtype == s.data.logits.dtype == DOUBLE


def test_shapes_run_in_evaluation_mode_and_move_nothing():
    s = Statistics(network(), batches())
    before = fingerprint(s.network)
    assert len(s.shapes.logits) == 1
    assert fingerprint(s.network) == before
    assert s.network.training


def test_perturbed_features_do_not_depend_on_earlier_passes():
    fresh, used = statistics(), statistics()
    _ = used.data, used.other_gradients
    for a, b in zip(fresh.perturbed_features, used.perturbed_features, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(fresh.network.buffers(), used.network.buffers(), strict=True):
        assert torch.equal(a, b)


def test_perturbed_features_stop_at_sixteen_samples():
    s = Statistics(network(), batches(size=20))
    assert len(s.perturbed_features[0]) == 16


def test_synaptic_saliency_is_double_and_leaves_the_network_alone():
    s = Statistics(network(), batches())
    before = fingerprint(s.network)
    assert {t.dtype for t in s.synaptic_saliency} == {DOUBLE}
    assert fingerprint(s.network) == before


def test_features_are_what_enters_the_last_global_pool():
    s = Statistics(network(), batches())
    torch.testing.assert_close(features(s.data).mean((2, 3)), s.data.of("linear")[0].input)
    flat = Statistics(nn.Sequential(nn.Flatten(), nn.Linear(192, CLASSES)), batches()).data
    assert torch.equal(features(flat), flat.inputs.flatten(1))
    with pytest.raises(Undefined, match="no convolution or linear layer"):
        features(Statistics(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), batches()).data)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, CLASSES], [-1, 0, 1, 2, 3]])
def test_labels_without_a_logit(labels):
    s = Statistics(network(), [(batches()[0][0], torch.tensor(labels))])
    with pytest.raises(
        InputError, match=f"labels run from {min(labels)} to {max(labels)}.*{CLASSES} classes"
    ):
        _ = s.loss_gradients


def test_no_classes():
    net = nn.Sequential(nn.Conv2d(3, 2, 3))
    with pytest.raises(Undefined, match=r"\(5, 2, 6, 6\)"):
        _ = Statistics(net, batches()).loss_gradients
    with pytest.raises(Undefined, match="integer"):
        _ = Statistics(network(), [(batches()[0][0], torch.rand(5))]).loss_gradients


def test_no_weights():
    with pytest.raises(Undefined, match="no weights to look at"):
        _ = Statistics(nn.Sequential(nn.ReLU()), batches()).weights

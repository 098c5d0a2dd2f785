"""TE-NAS: linear networks with known kernels, and what has no condition number."""

import math

import pytest
import torch
from tiny import CLASSES, DEAD, batches, nats, network
from torch import nn

from zcp import score
from zcp.errors import Undefined
from zcp.statistics.activation_patterns import count_distinct, hashed, pack
from zcp.statistics.ntk import jacobians, tangent_kernel

KERNEL = ["ntk_cond", "ntk_trace", "ntk_lambda_max", "ntk_lambda_min"]


def linear(features: int = 3) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 2))


def images(rows: list[list[float]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    inputs = torch.tensor(rows, dtype=torch.float64)[:, :, None, None]
    return [(inputs, torch.zeros(len(rows), dtype=torch.int64))]


def test_kernel_of_a_linear_layer():
    """The gradient of both logits is the input, so the kernel is twice the inner products."""
    found = score(linear().double(), images([[3, 0, 0], [0, 2, 0], [0, 0, 1]]), KERNEL)
    assert found["ntk_cond"] == pytest.approx(9)
    assert found["ntk_trace"] == pytest.approx(28)
    assert (found["ntk_lambda_max"], found["ntk_lambda_min"]) == pytest.approx((18, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_samples_have_an_infinite_condition_number(dtype):
    net = network(dtype=dtype)
    (x, y), second = batches(dtype=dtype)
    same = [(x[[0, 1, 2, 3, 3]], y), second]
    found = score(net, same, ["ntk_cond", "ntk_trace", "te_nas"])
    assert found["ntk_cond"] == math.inf
    assert found["te_nas"] == -math.inf
    assert found.reasons["ntk_cond"]
    assert math.isfinite(found["ntk_trace"])


def test_dead_network_has_a_reason_and_no_magic_number():
    found = score(nats(DEAD), batches(), [*KERNEL, "te_nas", "linear_regions"])
    assert math.isnan(found["ntk_cond"]) and "dead" in found.reasons["ntk_cond"]
    assert math.isnan(found["te_nas"]) and "dead" in found.reasons["te_nas"]
    assert found["ntk_trace"] == found["ntk_lambda_max"] == found["ntk_lambda_min"] == 0
    assert found["linear_regions"] == 1


def test_first_sixteen_samples_only():
    big, small = batches(20), [(x[:16], y[:16]) for x, y in batches(20)]
    net = network()
    names = [*KERNEL, "te_nas"]
    found = score(net, big, names)
    assert found == pytest.approx(dict(score(net, small, names)))
    assert found.passes["kaiming_fan_out"] == {"forward": 1, "backward": 16}
    assert found["te_nas"] == pytest.approx(16 - found["ntk_cond"])


def test_one_sample_has_condition_number_one():
    found = score(network(), batches(1), ["ntk_cond"])
    assert found["ntk_cond"] == 1


def test_one_output_a_sample():
    class Regression(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = linear()

        def forward(self, x):
            return self.body(x).sum(1)

    data = images([[3, 0, 0], [0, 2, 0]])
    names = ["ntk_cond", "ntk_trace"]
    assert score(Regression().double(), data, names) == pytest.approx(
        dict(score(linear().double(), data, names))
    )


def test_parameters_without_weight_in_their_names():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(CLASSES))

        def forward(self, x):
            return x.mean((1, 2, 3))[:, None] * self.scale

    found = score(Bare(), batches(), ["ntk_cond", "linear_regions"])
    assert "weight" in found.reasons["ntk_cond"]
    assert "no activation" in found.reasons["linear_regions"]


def test_regions_are_distinct_rows_over_all_layers():
    first = torch.tensor([[1.0, -1], [1, -1], [1, 1]])
    second = torch.tensor([[1.0] * 9, [1.0] * 8 + [0.0], [1.0] * 9])
    assert count_distinct([pack(first)]) == 2
    assert count_distinct([pack(first), pack(second)]) == 3


def test_hashes_tell_apart_what_patterns_do():
    """On a device a pattern is a hash: as many are distinct, over one ReLU and over two."""
    source = torch.Generator().manual_seed(0)
    base = torch.randn(6, 3, 5, generator=source)
    first = base[torch.tensor([0, 1, 2, 0, 4, 1, 5])].clone()
    first[4, 2, 4] *= -1
    second = torch.ones(7, 9)
    second[3, 8] = -1
    for layers in ([first], [second], [first, second]):
        wanted = count_distinct([pack(layer) for layer in layers])
        assert count_distinct([hashed(layer) for layer in layers]) == wanted
    second[0, 0] = torch.nan
    with pytest.raises(Undefined, match="activation is NaN"):
        count_distinct([hashed(first), hashed(second)])


def test_batched_backward_gives_the_same_kernel():
    net, (inputs, _) = network(dtype=torch.float64), batches(dtype=torch.float64)[0]
    outputs, weights = net.train()(inputs).sum(1), [p for n, p in net.named_parameters() if "weight" in n]
    expected = tangent_kernel(outputs, weights)
    rows = jacobians(outputs, weights)
    found = sum(row.flatten(1) @ row.flatten(1).T for row in rows)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    assert jacobians(outputs.detach(), weights) is None

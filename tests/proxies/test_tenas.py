"""TE-NAS: linear networks with known kernels, and what has no condition number."""

import math

import pytest
import torch
from tiny import CLASSES, DEAD, batches, nats, network
from torch import nn

from zcp import score
from zcp.statistics.activation_patterns import count_distinct, pack

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
    assert "nn.ReLU" in found.reasons["linear_regions"]


def test_regions_are_distinct_rows_over_all_layers():
    first = torch.tensor([[1.0, -1], [1, -1], [1, 1]])
    second = torch.tensor([[1.0] * 9, [1.0] * 8 + [0.0], [1.0] * 9])
    assert count_distinct([pack(first)]) == 2
    assert count_distinct([pack(first), pack(second)]) == 3

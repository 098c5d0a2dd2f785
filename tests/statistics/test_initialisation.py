import copy
import math

import pytest
import torch
from tiny import network
from torch import nn

from zcp import InputError
from zcp.statistics.initialisation import INITIALISATIONS, default_generator, draw_all, initialise, take


def wide() -> nn.Module:
    return nn.Sequential(nn.Conv2d(32, 64, 3, groups=2), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(500, 40))


STD = {
    "normal": (1.0, 1.0),
    "kaiming_fan_in": (math.sqrt(2 / (16 * 9)), math.sqrt(2 / 500)),
    "kaiming_fan_out": (math.sqrt(2 / (64 * 9)), math.sqrt(2 / 40)),
    "eznas": (math.sqrt(2 / (64 * 9)), 0.01),
    # Uniform in +-1/sqrt(fan in).
    "default": (1 / math.sqrt(3 * 16 * 9), 1 / math.sqrt(3 * 500)),
}


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_scale_of_the_weights(name):
    net = initialise(wide(), name, 0)
    for layer, std in zip((net[0], net[3]), STD[name], strict=True):
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert abs(layer.weight.mean().item()) < std / 20


def test_default_is_what_pytorch_does():
    with default_generator(7):
        expected = wide()
    first = initialise(wide(), "default", 1)
    assert {name: p.shape for name, p in first.named_parameters()} == {
        name: p.shape for name, p in expected.named_parameters()
    }
    assert first[3].bias.abs().max().item() <= 1 / math.sqrt(500)
    assert first[3].bias.abs().max().item() > 0


@pytest.mark.parametrize("name", [name for name in INITIALISATIONS if name != "default"])
def test_biases_and_batch_norms(name):
    net = wide()
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.fill_(3)
    initialise(net, name, 0)
    assert not net[0].bias.any()
    assert not net[3].bias.any()
    norm = net[1]
    assert [t.unique().tolist() for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)] == [
        [1],
        [0],
        [0],
        [1],
    ]


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_seeded_and_apart_from_the_global_generator(name):
    nets = [network() for _ in range(4)]
    before = torch.get_rng_state()
    for net, seed in zip(nets, ((0,), (0,), (1,), (0, "tss")), strict=True):
        initialise(net, name, *seed)
    assert torch.equal(torch.get_rng_state(), before)
    flat = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in nets]
    assert torch.equal(flat[0], flat[1])
    assert not torch.equal(flat[0], flat[2])
    assert not torch.equal(flat[0], flat[3])


def test_initialisations_differ():
    flat = [initialise(network(), name, 0).stem[0].weight.flatten().tolist() for name in INITIALISATIONS]
    assert len({*map(tuple, flat)}) == len(INITIALISATIONS)


@pytest.mark.parametrize("name", INITIALISATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_draws_do_not_depend_on_the_precision(name, dtype):
    single, other = initialise(wide(), name, 0), initialise(wide().to(dtype), name, 0)
    for a, b in zip(single.parameters(), other.parameters(), strict=True):
        assert b.dtype == dtype
        assert torch.equal(a.to(dtype), b)


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_draws_do_not_depend_on_the_memory_format(name):
    last = wide().to(memory_format=torch.channels_last)
    strides = last[0].weight.stride()
    for a, b in zip(
        initialise(wide(), name, 0).parameters(), initialise(last, name, 0).parameters(), strict=True
    ):
        assert torch.equal(a, b)
    assert last[0].weight.stride() == strides


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", INITIALISATIONS)
def test_draws_do_not_depend_on_the_device(name):
    on_cpu, on_gpu = initialise(wide(), name, 0), initialise(wide().cuda(), name, 0)
    for a, b in zip(on_cpu.parameters(), on_gpu.parameters(), strict=True):
        assert b.is_cuda
        assert torch.equal(a, b.cpu())


def test_unknown_name_changes_nothing():
    net = network()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(InputError, match="unknown initialisation 'xavier'; choose one of default"):
        initialise(net, "xavier", 0)
    assert all(torch.equal(before[key], tensor) for key, tensor in net.state_dict().items())


def test_a_network_without_parameters():
    assert isinstance(initialise(nn.Sequential(nn.ReLU()), "normal", 0), nn.Sequential)


def test_default_generator_is_put_back_on_failure():
    before = torch.get_rng_state()
    with pytest.raises(ValueError), default_generator(3):
        torch.rand(5)
        raise ValueError
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_that_come_together_are_those_that_come_one_by_one(dtype):
    """As on a GPU: all from one copy on the CPU, parameters and buffers."""
    net = network().to(dtype)
    net.stem[1].running_mean.add_(3)
    before = copy.deepcopy(net.state_dict())
    names = list(INITIALISATIONS)
    together = draw_all(net, names, 5)
    assert all(torch.equal(before[key], tensor) for key, tensor in net.state_dict().items())
    for name, drawn in zip(names, together, strict=True):
        own = copy.deepcopy(net)
        take(own, drawn)
        expected = initialise(copy.deepcopy(net).float(), name, 5)
        for key, tensor in expected.state_dict().items():
            assert torch.equal(own.state_dict()[key], tensor.to(own.state_dict()[key].dtype)), key

"""The fast engine gives the scores of the plain one."""

import copy
import math
from collections import Counter

import pytest
import torch
from tiny import batches, network
from tolerances import tolerance

from zcp import InputError, build, gaussian_batches, score
from zcp.collect import sampling_order
from zcp.data.datasets import DATASETS
from zcp.proxies.registry import REGISTRY
from zcp.spaces import SPACES
from zcp.statistics.copies import ENGINES, Workspace
from zcp.statistics.initialisation import initialise
from zcp.statistics.network import Statistics
from zcp.study.greenfactory.published import COLUMNS

#: te_nas is a difference of two numbers, of which one is the condition number.
GREENFACTORY = [name for name in COLUMNS.values() if name in REGISTRY and name != "te_nas"] + ["ntk_cond"]
#: Relative error of the logits in single precision from which on a network multiplies rounding: those without
#: an identity path do, in a batch of three, and a unit whose sign changes then moves a score by a percent.
CONDITIONED = 5e-6


def networks():
    """Sixty random networks: ten in each cell of space and dataset."""
    for space in SPACES:
        for position, dataset in enumerate(DATASETS):
            for index in sampling_order(space, 1)[10 * position : 10 * position + 10]:
                yield space, index, dataset


def differing(space, index, dataset, dtype):
    """Return the scores that differ by more than their tolerance."""
    net = build(space, index, dataset).to(dtype)
    data = gaussian_batches(dataset, 3)
    fast = score(net, data, GREENFACTORY, engine="fast")
    plain = score(net, data, GREENFACTORY, engine="plain")
    assert [name for name in fast if math.isnan(fast[name])] == [n for n in plain if math.isnan(plain[n])]
    found = {}
    for name, value in plain.items():
        relative, absolute = tolerance(name, dtype)
        if fast[name] != pytest.approx(value, rel=relative, abs=absolute, nan_ok=True):
            found[name] = (fast[name], value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("space", "index", "dataset"), list(networks()))
def test_fast_equals_plain(space, index, dataset):
    assert differing(space, index, dataset, torch.float64) == {}


def rounding(space, index, dataset):
    """Return the relative error of the logits in single precision."""
    images, _ = gaussian_batches(dataset, 3)[0]
    with torch.no_grad():
        single, double = (
            initialised(build(space, index, dataset)).to(dtype).train()(images.to(dtype)).double()
            for dtype in (torch.float32, torch.float64)
        )
    return float((single - double).norm() / double.norm())


def initialised(net):
    initialise(net, "default", 0)
    return net


@pytest.mark.slow
def test_fast_is_plain_in_single_precision():
    """All scores of the networks that do not multiply rounding."""
    outside, multiplying = {True: Counter(), False: Counter()}, 0
    for unit in networks():
        conditioned = rounding(*unit) < CONDITIONED
        multiplying += not conditioned
        # The signs of gradients near zero are those of rounding, and eznas reads nothing but signs: it is
        # compared in double precision, above.
        outside[conditioned].update(p for p in differing(*unit, torch.float32) if p != "eznas")
    assert outside[True] == {}
    assert multiplying <= 12
    # The others keep most of their scores.
    assert outside[False].total() <= multiplying * len(GREENFACTORY) / 4, outside


def test_batch_norm_adds_up_in_single_precision_where_channels_are_last():
    """What `zcp.statistics.copies` says of PyTorch: the error of a mean over 65,536 values, seed 0."""
    images = torch.randn(64, 16, 32, 32, generator=torch.Generator().manual_seed(0)) + 1
    exact = images.double().mean((0, 2, 3))
    errors = []
    for layout in (torch.contiguous_format, torch.channels_last):
        given = images.contiguous(memory_format=layout)
        _, mean, _ = torch.native_batch_norm(given, None, None, None, None, True, 0.1, 1e-5)
        errors.append(float((mean.double() - exact).abs().max()))
    assert errors[0] < 1e-7 < 1e-6 < errors[1] < 2e-5


def test_channels_are_last_on_cpus_only():
    """PyTorch's gradients of padded average pools are wrong on GPUs otherwise."""
    for place, last in (("cpu", True), ("meta", False)):
        net = network().to(place, memory_format=torch.channels_last)
        s = Statistics(net, [], engine=ENGINES["fast"])
        kernels = [p for p in s.network.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
        assert kernels and all(p.is_contiguous() != last for p in kernels)
        assert s.noise("x", (2, 3, 4, 4)).is_contiguous() != last


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_padded_average_pools_on_a_gpu():
    """In single precision, for which cuDNN keeps the layout of its inputs."""
    net, data = network("nats"), batches()
    on_cpu, on_gpu = (score(copy.deepcopy(net).to(place), data, ["grad_norm"]) for place in ("cpu", "cuda"))
    assert on_gpu["grad_norm"] == pytest.approx(on_cpu["grad_norm"], rel=1e-3)


def test_unknown_engine():
    with pytest.raises(InputError, match="unknown engine 'quick'; choose one of fast, plain"):
        score(network(), batches(), ["params"], engine="quick")


def test_strides_come_back_only_where_they_are_asked():
    net = network()
    workspace = Workspace(net, ENGINES["fast"])
    for strides in (False, True):
        initialise(workspace.fresh().to(memory_format=torch.channels_last), "normal", 0)
        own = workspace.fresh(strides=strides)
        kernels = [p for p in own.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
        assert kernels and all(p.is_contiguous() == strides for p in kernels)
        for mine, theirs in zip(own.parameters(), net.parameters(), strict=True):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_a_fresh_copy_has_the_tensors_of_the_network(engine):
    net = network()
    workspace = Workspace(net, engine)
    for _ in range(2):
        own = workspace.fresh()
        assert own is not net
        for (name, mine), theirs in zip(own.state_dict().items(), net.state_dict().values(), strict=True):
            assert torch.equal(mine, theirs), name
            assert mine.stride() == theirs.stride()
        with torch.no_grad():
            for tensor in (*own.parameters(), *own.buffers()):
                tensor.add_(1)


def test_the_fast_engine_copies_once():
    workspace = Workspace(network(), ENGINES["fast"])
    own = workspace.fresh()
    assert workspace.fresh() is own
    assert workspace.fresh(apart=True) is not own
    plain = Workspace(network(), ENGINES["plain"])
    assert plain.fresh() is not plain.fresh()

"""Index orders, strings, counts and networks of the two search spaces."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from zcp import InputError, build, get_space, score
from zcp.data.datasets import DATASETS
from zcp.paths import data_folder
from zcp.spaces.cells import OPERATIONS

TSS, SSS = get_space("tss"), get_space("sss")
ALL = {space.name: [space.arch(index) for index in range(space.size)] for space in (TSS, SSS)}
GENOTYPE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"

#: Millions of parameters (three datasets) and of multiply-accumulates, from the benchmark's own records.
CHECKS = {
    ("tss", 0): (0.129306, 0.135156, 0.136456, 15.64737, 15.65322, 3.91948),
    ("tss", 11): (0.802426, 0.808276, 0.809576, 113.95137, 113.95722, 28.49548),
    ("tss", 284): (0.101306, 0.107156, 0.108456, 11.71521, 11.72106, 2.93644),
    ("tss", 13714): (1.073466, 1.079316, 1.080616, 153.27297, 153.27882, 38.32588),
    ("tss", 9930): (1.288506, 1.294356, 1.295656, 184.73025, 184.7361, 46.1902),
    ("tss", 1462): (1.531546, 1.537396, 1.538696, 220.11969, 220.12554, 55.03756),
    ("tss", 4317): (0.241306, 0.247156, 0.248456, 31.37601, 31.38186, 7.85164),
    ("tss", 1835): (0.073306, 0.079156, 0.080456, 7.78305, 7.7889, 1.9534),
    ("tss", 1651): (0.073306, 0.079156, 0.080456, 7.78305, 7.7889, 1.9534),
    ("tss", 7581): (0.073306, 0.079156, 0.080456, 7.78305, 7.7889, 1.9534),
    ("tss", 11472): (0.559386, 0.565236, 0.566536, 78.56193, 78.56778, 19.64812),
    ("sss", 0): (0.011714, 0.012524, 0.012704, 4.481114, 4.481924, 1.121336),
    ("sss", 11): (0.049202, 0.052172, 0.052832, 6.84065, 6.84362, 1.71404),
    ("sss", 284): (0.144834, 0.148524, 0.149344, 21.827994, 21.831684, 5.461816),
    ("sss", 32767): (0.713674, 0.719524, 0.720824, 274.399882, 274.405732, 68.607608),
    ("sss", "16:16:32:32:64"): (0.225466, 0.231316, 0.232616, 33.866378, 33.872228, 8.474232),
    ("sss", "32:32:32:32:32"): (0.17969, 0.18266, 0.18332, 69.042506, 69.045476, 17.264504),
    ("sss", "64:8:8:8:8"): (0.199818, 0.200628, 0.200808, 192.970842, 192.971652, 48.243768),
    ("sss", "8:8:8:8:64"): (0.130514, 0.136364, 0.137664, 11.997834, 12.003684, 3.007096),
}


@pytest.mark.parametrize(
    ("space", "index", "arch"),
    [
        (
            "tss",
            0,
            "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        ),
        ("tss", 9, "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"),
        (
            "tss",
            123,
            "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
        ),
        ("tss", 1651, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"),
        ("tss", 9930, GENOTYPE),
        ("sss", 0, "8:8:8:8:8"),
        ("sss", 11, "8:8:8:16:32"),
        ("sss", 284, "8:8:40:32:40"),
        ("sss", 32767, "64:64:64:64:64"),
    ],
)
def test_official_order(space, index, arch):
    assert get_space(space).arch(index) == arch
    assert get_space(space).index(arch) == index


@pytest.mark.parametrize(("space", "size"), [(TSS, 15_625), (SSS, 32_768)], ids=["tss", "sss"])
def test_all_strings_are_distinct_and_return_to_their_index(space, size):
    assert len({*ALL[space.name]}) == space.size == size
    assert [space.index(arch) for arch in ALL[space.name]] == list(range(size))


def counted(space: str, classes: int, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Count parameters and multiply-accumulates of all architectures layer by layer, vectorised over them."""
    if space == "tss":
        cells = np.array(
            [[edge.split("~")[0] for edge in a.replace("+", "").split("|") if edge] for a in ALL[space]]
        )
        kernels = np.select([cells == "nor_conv_1x1", cells == "nor_conv_3x3"], [1, 9], 0)
        stages = [(np.full(len(cells), width),) * 2 for width in (16, 32, 64)]
        repeats = 5
    else:
        widths = np.array([[int(width) for width in arch.split(":")] for arch in ALL[space]]).T
        kernels = np.tile([9, 9, 9, 0, 9, 9], (widths.shape[1], 1))
        stages = [(widths[0], widths[0]), (widths[1], widths[2]), (widths[3], widths[4])]
        repeats = 1
    params, macs, size = 29 * stages[0][0], 27 * stages[0][0] * resolution**2, resolution
    for number, (entry, leave) in enumerate(stages):
        if number:
            before, size = stages[number - 1][1], size // 2
            for i, o, k, norm in ((before, entry, 9, 2), (entry, entry, 9, 2), (before, entry, 1, 0)):
                params, macs = params + i * o * k + norm * o, macs + i * o * k * size**2
        for edge, source in enumerate((0, 0, 1, 0, 1, 2)):
            i = leave if source else entry
            is_skip = space == "sss" and edge == 3
            k = np.where(i != leave, 1, 0) if is_skip else kernels[:, edge]
            params = params + repeats * (i * leave * k + 2 * leave * (k > 0))
            macs = macs + repeats * i * leave * k * size**2
    last = stages[-1][1]
    return params + 2 * last + (last + 1) * classes, macs + (last + 1) * classes


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("space", [TSS, SSS], ids=["tss", "sss"])
def test_counts_of_architectures(space, dataset):
    """All of the topology space, which has closed forms, and every 8,000th of the size space."""
    params, flops = counted(space.name, dataset.classes, dataset.resolution)
    some = slice(None, None, 1 if space is TSS else 8_000)
    archs = ALL[space.name][some]
    assert [space.params(arch, dataset.classes) for arch in archs] == params[some].tolist()
    assert [space.flops(arch, dataset.classes, dataset.resolution) for arch in archs] == flops[some].tolist()


@pytest.mark.parametrize("space", [TSS, SSS], ids=["tss", "sss"])
def test_counts_and_order_of_the_benchmark_tables(space):
    folder = data_folder()
    if folder is None:
        pytest.skip("needs the data folder (set ZCP_DATA)")
    table = pd.read_parquet(folder / "nats" / f"{space.name}.parquet").set_index("index").sort_index()
    assert table["arch"].tolist() == ALL[space.name]
    for dataset in DATASETS.values():
        prefix = dataset.name.lower().replace("-", "_")
        params, flops = counted(space.name, dataset.classes, dataset.resolution)
        assert table[f"{prefix}_params"].tolist() == params.tolist()
        np.testing.assert_allclose(table[f"{prefix}_flops_M"], flops / 1e6, rtol=1e-12)


@pytest.mark.parametrize(("space", "arch"), CHECKS)
def test_check_values(space, arch):
    entry = get_space(space)
    string = entry.resolve(arch)[1]
    params = [entry.params(string, d.classes) / 1e6 for d in DATASETS.values()]
    flops = [entry.flops(string, d.classes, d.resolution) / 1e6 for d in DATASETS.values()]
    assert [*params, *flops] == pytest.approx(CHECKS[space, arch], rel=1e-12)


SAMPLE = [
    (space, int(index), dataset)
    for space, size in (("tss", 15_625), ("sss", 32_768))
    for index, dataset in zip(
        np.random.default_rng(5).integers(size, size=6), itertools.cycle(DATASETS), strict=False
    )
]


@pytest.mark.parametrize(("space", "index", "dataset"), SAMPLE)
def test_built_networks_have_the_counts(space, index, dataset):
    facts, entry = DATASETS[dataset], get_space(space)
    network = build(space, index, dataset)
    params = entry.params(entry.arch(index), facts.classes)
    flops = entry.flops(entry.arch(index), facts.classes, facts.resolution)
    assert sum(p.numel() for p in network.parameters()) == params
    batch = (torch.zeros(1, *facts.shape), torch.zeros(1, dtype=torch.int64))
    assert score(network, [batch], ["params", "flops"]) == {"params": params / 1e6, "flops": flops / 1e6}


@pytest.mark.parametrize(("space", "index", "dataset"), SAMPLE)
def test_module_counts(space, index, dataset):
    arch, network = get_space(space).arch(index), build(space, index, dataset)
    convolutions = arch.count("nor_conv") if space == "tss" else 1
    runs = 15 * convolutions if space == "tss" else 15
    widths = None if space == "tss" else arch.split(":")
    projections = 0 if widths is None else (widths[1] != widths[2]) + (widths[3] != widths[4])
    count = {kind: sum(type(m) is kind for m in network.modules()) for kind in (nn.Conv2d, nn.BatchNorm2d)}
    assert count[nn.Conv2d] == 1 + runs + 6 + projections
    assert count[nn.BatchNorm2d] == 1 + runs + 4 + 1 + projections
    executed = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda *_: executed.append(1))
    with torch.no_grad():
        logits = network(torch.zeros(2, *DATASETS[dataset].shape))
    assert len(executed) == runs + 4 + 1
    assert logits.shape == (2, DATASETS[dataset].classes)


def test_every_operation_is_used_where_the_string_says():
    arch = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
    edges = build("tss", arch).cells[0].edges
    assert [type(edge).__name__ for edge in edges] == [
        "Sequential",
        "Zero",
        "AvgPool2d",
        "Identity",
        "Sequential",
        "Zero",
    ]
    assert edges[0][1].kernel_size == (3, 3)
    assert edges[4][1].kernel_size == (1, 1)
    assert {*OPERATIONS} == {part.split("~")[0] for part in arch.replace("+", "").split("|") if part}


def test_a_cell_adds_up_its_edges():
    """Node by node, on random edge outputs."""
    cell = build("tss", GENOTYPE).cells[0].eval()
    x = torch.randn(2, 16, 5, 5, generator=torch.Generator().manual_seed(0))
    e01, e02, e12, e03, e13, e23 = cell.edges
    one = e01(x)
    two = e02(x) + e12(one)
    torch.testing.assert_close(cell(x), e03(x) + e13(one) + e23(two))


@pytest.mark.parametrize(
    ("space", "arch", "fault"),
    [
        ("tss", "", "3 nodes"),
        ("tss", GENOTYPE + "+|none~0|", "found 4"),
        ("tss", GENOTYPE.replace("~2|", "~1|"), "'nor_conv_3x3~1' must end with '~2'"),
        ("tss", GENOTYPE.replace("skip_connect", "skip"), "unknown operation 'skip'"),
        ("tss", GENOTYPE.replace("skip_connect", "NONE"), "unknown operation 'NONE'"),
        ("tss", GENOTYPE.replace("skip_connect~0", "skip_connect"), "'skip_connect' must end with '~0'"),
        ("tss", GENOTYPE[1:], "node 'nor_conv_3x3~0|' must begin"),
        ("tss", GENOTYPE[:-1], "must begin and end"),
        ("tss", GENOTYPE.replace("nor_conv_3x3~0|nor_conv_3x3~1", "nor_conv_3x3~0"), "node 2 .* not 1"),
        ("tss", "|+|+|", "node"),
        ("tss", "8:8:8:8:8", "3 nodes"),
        ("sss", "8:8:8:8", "found 4"),
        ("sss", "8:8:8:8:8:8", "found 6"),
        ("sss", "8:8:12:8:8", "'12'"),
        ("sss", "8:8:72:8:8", "'72'"),
        ("sss", "8:8::8:8", "''"),
        ("sss", "8:8: 8:8:8", "' 8'"),
        ("sss", "8:8:08:8:8", "'08'"),
        ("sss", "8:8:-8:8:8", "'-8'"),
        ("sss", "8:8:a:8:8", "'a'"),
        ("sss", GENOTYPE, "found 1"),
    ],
)
def test_malformed_strings_name_the_part_at_fault(space, arch, fault):
    entry = get_space(space)
    for use in (
        entry.index,
        lambda text: entry.params(text, 10),
        lambda text: entry.flops(text, 10, 32),
        lambda text: entry.network(text, 10),
        lambda text: build(space, text),
    ):
        with pytest.raises(InputError, match=fault):
            use(arch)


@pytest.mark.parametrize("index", [-1, 15_625, 10**9, 1.0, True, None])
def test_index_out_of_range_or_no_integer(index):
    with pytest.raises(InputError, match=r"15624|must be an integer"):
        TSS.arch(index)
    with pytest.raises(InputError):
        build("tss", index)


def test_unknown_space_and_dataset():
    with pytest.raises(InputError, match="'nb101'; choose one of tss, sss"):
        build("nb101", 0)
    with pytest.raises(InputError, match="'mnist'; choose one of cifar10"):
        build("tss", 0, "mnist")


def test_numpy_integers_are_indices():
    assert TSS.arch(np.int64(9)) == TSS.arch(9)


def test_build_depends_on_its_arguments_alone():
    state = torch.get_rng_state()
    first, second, other = build("tss", 9), build("tss", TSS.arch(9)), build("tss", 9, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.training
    assert all(torch.isfinite(tensor).all() for tensor in first.state_dict().values())

"""TransNAS-Bench-101 micro and DARTS: counts against the published ones, strings, scores of networks."""

import itertools
import math

import numpy as np
import pytest
import torch

from zcp import InputError, build, gaussian_batches, get_space, score
from zcp.benchmarks.tasks import DARTS, TRANSNAS, read_table
from zcp.collect import load_scores
from zcp.collect.order import first, read_indices
from zcp.data.datasets import get_dataset
from zcp.paths import data_folder
from zcp.spaces.base import Space
from zcp.statistics.capture import forward
from zcp.statistics.flops import counted_as_nats_bench

T, D = get_space("transnas"), get_space("darts")
needs_data = pytest.mark.skipif(data_folder() is None, reason="needs the data folder (set ZCP_DATA)")

#: Dataset of the published DARTS rows -> number of classes and shape of an input.
INPUTS = {
    "cifar10": (10, (3, 32, 32)),
    "svhn": (10, (3, 32, 32)),
    "scifar100": (100, (3, 60, 60)),
    "ninapro": (18, (1, 16, 52)),
}
GENOTYPE = str(
    [
        [(0, 0), (1, 5), (1, 1), (0, 1), (1, 3), (0, 3), (1, 3), (3, 2)],
        [(1, 0), (0, 2), (1, 3), (0, 3), (3, 0), (0, 1), (2, 0), (3, 6)],
    ]
)


def skeleton(space, arch, classes, channels=3):
    with torch.device("meta"):
        return space.network(arch, classes, channels).eval()


def count_params(network):
    return sum(p.numel() for p in network.parameters())


def zeros_for(network, shape):
    return torch.zeros(1, *shape, device=next(network.parameters()).device)


def calls_of(network, shape):
    """Return (module, input, output) of every module without children, in order of execution."""
    found = []
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *call: found.append((call[0], call[1][0], call[2])))
    network(zeros_for(network, shape))
    return found


def naslib_flops(network, shape):
    """Return the operations for one input of `shape` as NASLib counted for NAS-Bench-Suite-Zero.

    Multiply-accumulates without biases, one an element of a ReLU, two an element of a batch norm (one without
    affine parameters), and the area of the window an output element of a pooling. The window of a global
    pooling counts as one larger than the feature map on each side: 81 for 8 x 8.
    """
    nn, total = torch.nn, 0
    for module, before, after in calls_of(network, shape):
        elements = after[0].numel()
        match module:
            case nn.Conv2d() | nn.Linear():
                total += elements * module.weight[0].numel()
            case nn.ReLU():
                total += elements
            case nn.BatchNorm2d():
                total += elements * (2 if module.affine else 1)
            case nn.AvgPool2d() | nn.MaxPool2d():
                total += elements * module.kernel_size**2
            case nn.AdaptiveAvgPool2d():
                total += elements * (before.shape[2] + 1) * (before.shape[3] + 1)
    return total


@needs_data
def test_transnas_params_of_all_cells():
    table = read_table(TRANSNAS)
    assert table["naslib_arch"].tolist() == [T.arch(index) for index in range(T.size)]
    counted = [T.params(arch, 63) for arch in table["naslib_arch"]]
    np.testing.assert_array_equal(counted, (table["params_class_scene"] * 1e6).round().astype(int))


@needs_data
def test_transnas_operations_under_the_second_rule():
    """At 256 pixels; a cell of each kind of operation, and a seeded sample."""
    table = read_table(TRANSNAS).set_index("naslib_arch")["flops_class_scene"]
    sample = [0, 1365, 2730, 4095, *np.random.default_rng(0).integers(T.size, size=6)]
    for arch in map(T.arch, sample):
        network = skeleton(T, arch, 63)
        assert naslib_flops(network, (3, 256, 256)) / 1e6 == pytest.approx(table[arch], rel=1e-12)
        assert count_params(network) == T.params(arch, 63)


@pytest.mark.parametrize("index", [0, 1365, 2730, 4095, 1234])
def test_transnas_sums_of_edges_are_the_counts_of_the_network(index):
    arch = T.arch(index)
    assert T.params(arch, 63) == Space.params(T, arch, 63)
    assert T.flops(arch, 63, 64) == Space.flops(T, arch, 63, 64)


@needs_data
@pytest.mark.parametrize("dataset", INPUTS)
def test_darts_params_and_operations_under_the_second_rule(dataset):
    rows = read_table(DARTS).dropna(subset=["params", "flops"])
    rows = rows[rows["dataset"] == dataset].sample(8, random_state=0)
    classes, shape = INPUTS[dataset]
    for row in rows.itertuples():
        network = skeleton(D, row.naslib_arch, classes, shape[0])
        assert naslib_flops(network, shape) / 1e6 == pytest.approx(row.flops, rel=1e-12)
        assert count_params(network) == round(row.params * 1e6)


def test_the_rules_differ_by_what_they_count():
    """By hand: conv 3 -> 4 with bias, ReLU, two batch norms, two poolings and a classifier at 8 x 8."""
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False),
        nn.MaxPool2d(3, stride=1, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
    ).eval()  # fmt: skip
    multiplied, elements = 64 * 4 * 27 + 20, 64 * 4
    calls = forward(network, zeros_for(network, (3, 8, 8)), arguments=True).calls
    assert counted_as_nats_bench(calls) == multiplied + elements + 5
    assert naslib_flops(network, (3, 8, 8)) == multiplied + elements * (1 + 2 + 1 + 9) + 4 * 81


def test_darts_strings_and_indices_return():
    for index in (0, D.size - 1, *np.random.default_rng(1).integers(D.size, size=50)):
        assert D.index(D.arch(int(index))) == index
    assert D.size < 2**63


def test_the_order_of_two_edges_does_not_matter():
    pairs = [[(2, 1), (0, 0)], [(0, 0), (2, 1)]]
    rest = [(0, 0), (1, 0)] * 2
    first_, second = (str([[*rest, *pair, *rest[:2]], [*rest, *rest]]) for pair in pairs)
    assert D.index(first_) == D.index(second)


def bad(*edges):
    return str([list(edges) + [(0, 0), (1, 0)] * 3, [(0, 0), (1, 0)] * 4])


@pytest.mark.parametrize(
    ("space", "arch", "message"),
    [
        ("transnas", "nonsense", "expected 6 codes"),
        ("transnas", "(1, 2, 3)", "expected 6 codes"),
        ("transnas", "(1, 2, 3, 0, 0, 4)", "code 4 is not one of 0 to 3"),
        ("transnas", "(1, 2, 3, 0, 0, True)", "code True"),
        ("transnas", 4096, "index 4096 is out of range"),
        ("darts", "nonsense", "expected two lists"),
        ("darts", "1is 2", "expected two lists"),
        ("darts", "[[(0, 0)], [(0, 0)]]", "normal cell has 1 edges instead of 8"),
        ("darts", bad((0, 0), (0, 1)), "node 0 of the normal cell"),
        ("darts", bad((0, 0), (1, 7)), "codes of 0 to 6"),
        ("darts", bad((0, 0), (2, 1)), "different sources of 0 to 1"),
        ("darts", -1, "out of range"),
    ],
)
def test_bad_architectures_are_refused(space, arch, message):
    with pytest.raises(InputError, match=message):
        build(space, arch)


def test_a_space_that_cannot_be_listed_needs_indices(tmp_path):
    with pytest.raises(InputError, match="choose some with --indices"):
        first(3, ["darts"], 0)
    file = tmp_path / "indices.txt"
    file.write_text(f"{GENOTYPE}\n17\n")
    assert read_indices(file, ["darts"]) == {"darts": [D.index(GENOTYPE), 17]}


CASES = [("transnas", 1234, "class_scene"), ("darts", GENOTYPE, "ninapro"), ("tss", 9, "ninapro")]


@pytest.mark.parametrize(("space", "arch", "dataset"), CASES)
def test_networks_run_on_their_datasets(space, arch, dataset):
    facts, network = get_dataset(dataset), build(space, arch, dataset)
    assert network(torch.zeros(2, *facts.shape)).shape == (2, facts.classes)
    assert network.training


PROXIES = [
    "params", "flops", "grad_norm", "snip", "fisher", "jacob_cov", "log_synflow", "naswot", "zen", "l2_norm",
    "expressivity", "progressivity", "trainability",
]  # fmt: skip


@pytest.mark.parametrize(("space", "arch"), [("transnas", 2730), ("darts", GENOTYPE)])
def test_proxies_are_finite_and_repeat(space, arch):
    batches = gaussian_batches("cifar10", 4)
    found = [score(build(space, arch), batches, PROXIES) for _ in range(2)]
    assert all(math.isfinite(value) for value in found[0].values()), found[0].reasons
    assert dict(found[0]) == dict(found[1])


def test_a_dead_cell_gives_no_infinite_scores():
    """All operations `none`: only the classifier's bias decides."""
    found = score(build("transnas", 0), gaussian_batches("cifar10", 4), ["grad_norm", "snip", "params"])
    assert math.isfinite(found["grad_norm"]) and found["snip"] == pytest.approx(0, abs=1e-6)


def test_the_collection_command_takes_the_new_spaces(tmp_path):
    from typer.testing import CliRunner

    from zcp.cli import app

    file = tmp_path / "scores"
    base = ["collect", "--inputs", "gaussian", "--batch", "2", "--workers", "1", "--proxies", "params,flops"]
    for space in (["--space", "transnas", "--count", "2"],):
        result = CliRunner().invoke(app, [*base, *space, "--dataset", "class_scene", "--out", str(file)])
        assert result.exit_code == 0, result.output
    found = load_scores(file)
    assert found["params"].tolist() == [T.params(arch, 63) / 1e6 for arch in found["arch"]]
    assert found["flops"].tolist() == [T.flops(arch, 63, 64) / 1e6 for arch in found["arch"]]
    assert list(itertools.chain(found["space"].unique())) == ["transnas"]


@pytest.mark.parametrize("space", ["transnas", "darts"])
@pytest.mark.parametrize(
    "arch",
    [
        "[[(1e400, 0)], []]", GENOTYPE.replace("(0, 0)", "(1e400, 0)"),
        GENOTYPE.replace("(0, 0)", "(0.5, 0)"),
        GENOTYPE.replace("(0, 0)", "('0', 0)"), "(1, 0, 0, 2, 1, 1e400)", "(1, 0, 0, 2, 1, 1.0)",
        "(" * 5000, "[" * 90 + "]" * 90, "9" * 5000, "-" * 900 + "1", "{}", "__import__('os')", "\x00", "",
    ],
)  # fmt: skip
def test_a_text_that_is_no_architecture_is_refused_in_a_line(space, arch):
    with pytest.raises(InputError, match="malformed") as caught:
        get_space(space).index(arch)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 4100

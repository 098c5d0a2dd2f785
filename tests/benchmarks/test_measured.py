"""Accuracies of any space: one's own, on a space of one's own, down to the rows of a regression."""

import pandas as pd
import pytest
from torch import nn

import zcp
from zcp import benchmarks
from zcp.benchmarks.measured import REGISTERED
from zcp.collect.parts import write_part
from zcp.collect.row import rows_to_frame
from zcp.collect.settings import Origin, Settings
from zcp.ensemble.examples import read_examples
from zcp.spaces import ALL_SPACES


@pytest.fixture
def toy():
    spaces, measured = dict(ALL_SPACES), dict(REGISTERED)

    @zcp.register_space
    class Widths(zcp.Space):
        name, size = "widths", 8

        def arch(self, index):
            return str(self.check_index(index) + 1)

        def index(self, arch):
            if arch not in map(str, range(1, 9)):
                raise zcp.InputError(f"a width is 1 to 8, not {arch!r}")
            return int(arch) - 1

        def network(self, arch, classes, channels=3):
            layers = nn.Conv2d(channels, int(arch), 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
            return nn.Sequential(*layers, nn.Linear(int(arch), classes))

    yield "widths"
    for registry, before in ((ALL_SPACES, spaces), (REGISTERED, measured)):
        registry.clear()
        registry.update(before)


def test_a_space_of_ones_own_builds_and_scores(toy):
    network = zcp.build(toy, 1)
    assert network[0].out_channels == 2
    scores = zcp.score(network, zcp.gaussian_batches("cifar10", 4), ["params", "snip"])
    assert scores["params"] == sum(p.numel() for p in network.parameters()) / 1e6
    assert scores["snip"] > 0
    with pytest.raises(zcp.InputError, match="a search space 'tss' already"):

        @zcp.register_space
        class Again(type(zcp.get_space("tss"))):
            name = "tss"


def network(self, arch, classes, channels=3):
    return nn.Linear(channels, classes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": None}, "Own lacks size; see"),
        ({"name": None}, "Own lacks name"),
        ({"index": None, "arch": None}, "Own lacks arch, index"),
        ({"network": lambda self, arch, classes: None}, r"Own lacks network\(arch, classes, channels\)"),
    ],
)
def test_a_space_that_lacks_a_member_is_refused(toy, change, message):
    members = {"name": "own", "size": 8, "arch": str, "index": int, "network": network} | change
    kind = type("Own", (zcp.Space,), {name: each for name, each in members.items() if each is not None})
    with pytest.raises(zcp.InputError, match=message):
        zcp.register_space(kind)
    assert "own" not in ALL_SPACES


def test_accuracies_of_ones_own_join_scores(toy):
    zcp.register_accuracies(toy, "cifar10", {"8": 80.0, "2": 20.0, 4: 50.0})
    found = zcp.accuracies(toy, "cifar10")
    assert found.to_dict("list") == {
        "index": [1, 4, 7],
        "arch": ["2", "5", "8"],
        "accuracy": [20.0, 50.0, 80.0],
    }
    scores = pd.DataFrame({"index": [7, 1, 0], "arch": ["8", "2", "1"], "params": [3.0, 2.0, 1.0]})
    joined = scores.merge(found, on=["index", "arch"])
    assert joined["accuracy"].tolist() == [80.0, 20.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("nowhere", "cifar10", {"2": 1.0}), "unknown search space"),
        (("widths", "nothing", {"2": 1.0}), "unknown dataset"),
        (("widths", "cifar10", {"9": 1.0}), "a width is 1 to 8"),
        (("widths", "cifar10", {"2": 1.0, 1: 2.0}), "'2' of 'widths' has two accuracies"),
        (("widths", "cifar10", {"2": "high"}), "of '2' of 'widths' must be a finite number: 'high'"),
        (("widths", "cifar10", {"2": float("nan")}), "must be a finite number: nan"),
        (("widths", "cifar10", {"2": float("inf")}), "must be a finite number: inf"),
        (("widths", "cifar10", {"2": None}), "must be a finite number: None"),
    ],
)
def test_bad_accuracies_are_refused(toy, given, message):
    with pytest.raises(zcp.InputError, match=message):
        zcp.register_accuracies(*given)


def test_what_was_not_measured_is_refused(toy):
    with pytest.raises(zcp.InputError, match="no 'test' accuracies of widths on 'cifar10'"):
        zcp.accuracies(toy, "cifar10")


def test_accuracies_of_nats_bench_are_the_benchmarks():
    try:
        expected = benchmarks.load("tss").accuracy("cifar10", "valid")
    except zcp.InputError as error:
        pytest.skip(str(error))
    found = zcp.accuracies("tss", "cifar10", "valid")
    assert found["accuracy"].tolist() == expected.dropna().tolist()
    assert found["arch"].iloc[9930] == zcp.get_space("tss").arch(int(found["index"].iloc[9930]))


def test_examples_of_a_space_of_ones_own(toy, tmp_path):
    zcp.register_accuracies(toy, "cifar10", {index: 10.0 * index for index in range(8)})
    rows = [
        {
            "space": toy,
            "index": i,
            "dataset": "cifar10",
            "arch": str(i + 1),
            "reason": "{}",
            "params": i + 1.0,
        }
        for i in range(6)
    ]
    write_part(tmp_path, rows_to_frame(rows, ["params"]), Origin(Settings(("params",), inputs="gaussian")))
    examples = read_examples(str(tmp_path), "test")
    assert examples.accuracy.tolist() == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert examples.features["params"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    with pytest.raises(zcp.InputError, match="no row that was measured for target 'loss'"):
        read_examples(str(tmp_path), "loss")

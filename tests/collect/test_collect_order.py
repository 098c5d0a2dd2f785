from collections import Counter
from itertools import groupby

import pandas as pd
import pytest

from zcp.collect.order import (
    Unit,
    describe_gaps,
    first,
    parse_shard,
    plan,
    read_indices,
    sampling_order,
)
from zcp.errors import InputError
from zcp.spaces import get_space


@pytest.mark.parametrize("space", ["tss", "sss"])
def test_order_is_a_seeded_permutation(space):
    size = get_space(space).size
    order = sampling_order(space, 0)
    assert sorted(order) == list(range(size))
    assert order != sampling_order(space, 1)
    # A random sample of 2,000 has its mean index within five standard errors of the middle.
    mean = sum(order[:2000]) / 2000
    assert abs(mean - size / 2) < 5 * size / 12**0.5 / 2000**0.5


def test_order_is_the_same_for_ever():
    # Deposited files are extended in this order: a change would make their prefix no sample of it.
    assert sampling_order("tss", 0)[:4] == (8922, 302, 13365, 12522)
    assert sampling_order("sss", 0)[:4] == (20223, 30440, 7578, 1897)


def test_every_prefix_covers_spaces_and_datasets():
    datasets = ["cifar10", "cifar100"]
    units = plan(first(5, ["tss", "sss"], seed=0), datasets)
    assert len(units) == len(set(units)) == 20
    for end in range(4, 21, 4):
        cells = Counter((unit.space, unit.dataset) for unit in units[:end])
        assert set(cells.values()) == {end // 4}
    assert units[: 3 * 4] == plan(first(3, ["tss", "sss"], seed=0), datasets)


def test_a_space_that_is_exhausted_leaves_the_other():
    units = plan({"tss": [1], "sss": [1, 2]}, ["cifar10"])
    assert units == [Unit("tss", 1, "cifar10"), Unit("sss", 1, "cifar10"), Unit("sss", 2, "cifar10")]


def test_count_beyond_the_space_is_the_whole_space():
    assert len(first(10**6, ["tss"], 0)["tss"]) == 15_625


def test_shards_are_a_partition_by_architecture():
    chosen = first(11, ["tss", "sss"], seed=3)
    datasets = ["cifar10", "ImageNet16-120"]
    shards = [plan(chosen, datasets, (k, 4)) for k in range(1, 5)]
    together = [unit for shard in shards for unit in shard]
    assert sorted(map(str, together)) == sorted(map(str, plan(chosen, datasets)))
    for shard in shards:
        assert all(len(list(group)) == 2 for _, group in groupby(shard, lambda u: (u.space, u.index)))


def test_repeated_indices_and_datasets_are_scored_once():
    assert len(plan({"sss": [7, 7, 8]}, ["cifar10", "cifar10"])) == 2


@pytest.mark.parametrize(
    "text", ["0/8", "9/8", "2", "a/b", "1/0", "", "-1/8", "²/2", "1/2/3", f"1/{'9' * 5000}", "١/٢"]
)
def test_bad_shards_are_refused(text):
    with pytest.raises(InputError, match="--shard must be k/n"):
        parse_shard(text)


def test_shard():
    assert parse_shard("2/8") == (2, 8)


def test_indices_from_a_file(tmp_path):
    file = tmp_path / "indices.txt"
    file.write_text("# ours\ntss 5\n\nsss 8:8:8:8:16\nsss 0\n")
    assert read_indices(file, ["tss", "sss"]) == {"tss": [5], "sss": [1, 0]}
    file.write_text("3\n1\n")
    assert read_indices(file, ["tss"]) == {"tss": [3, 1]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3", "line 1: expected `space index`"),
        ("nds 3", "line 1: expected `space index`"),
        ("tss 15625", "line 1: index 15625 is out of range"),
        ("tss -1", "line 1: index -1 is out of range"),
        ("sss 8:8:8", "line 1: malformed sizes"),
    ],
)
def test_bad_indices_name_the_line(tmp_path, line, message):
    file = tmp_path / "indices.txt"
    file.write_text(line)
    with pytest.raises(InputError, match=message):
        read_indices(file, ["tss", "sss"])


def test_missing_indices_file(tmp_path):
    with pytest.raises(InputError, match="cannot read the list of indices"):
        read_indices(tmp_path / "none.txt", ["tss"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: first(0, ["tss"], 0), "--count must be 1 or more"),
        (lambda: first(1, ["nds"], 0), "unknown search space 'nds'"),
        (lambda: plan({"tss": [1]}, ["mnist"]), "unknown dataset 'mnist'"),
    ],
)
def test_unknown_names_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_gaps_are_told_by_the_place_in_the_order():
    order = sampling_order("tss", 3)
    frame = pd.DataFrame({"space": "tss", "index": [order[k] for k in (0, 1, 4)], "dataset": "cifar10"})
    whole = pd.DataFrame({"space": "tss", "index": order[:5], "dataset": "cifar100"})
    vast = pd.DataFrame({"space": ["darts"], "index": [10**12], "dataset": ["cifar10"]})
    size = get_space("darts").size
    assert describe_gaps(pd.concat([frame, whole, vast]), 3) == [
        f"darts cifar10: 1 of {size}",
        "tss cifar10: 3 of 15625; of the first 5 in the order of seed 3 2 are missing, "
        f"first index {order[2]}",
        "tss cifar100: 5 of 15625; of the first 5 in the order of seed 3 none is missing",
    ]


@pytest.mark.parametrize(
    "line", ["9" * 5000, "--5", "-5", "²", "sss ²", f"sss {'9' * 5000}", "sss 8:8", "\x00"]
)
def test_a_line_that_names_no_architecture_is_refused_in_a_line(tmp_path, line):
    (tmp_path / "indices.txt").write_text(f"0\n{line}\n")
    with pytest.raises(InputError, match=r"indices\.txt, line 2: ") as caught:
        read_indices(tmp_path / "indices.txt", ["sss"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 4100

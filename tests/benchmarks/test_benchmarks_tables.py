import hashlib

import numpy as np
import pandas as pd
import pytest

from zcp.benchmarks import load
from zcp.benchmarks.tables import TARGETS
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.spaces import get_space

pytest.importorskip("pandera", reason="the tables are checked by pandera")

PREFIXES = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16_120"}


def synthetic(space):
    """Return a table of the right form with random accuracies, distinct in each column."""
    facts, rng = get_space(space), np.random.default_rng(7)
    table = {"index": np.arange(facts.size), "arch": [facts.arch(i) for i in range(facts.size)]}
    for prefix in PREFIXES.values():
        for target in TARGETS[space]:
            table[f"{prefix}_{target}"] = rng.uniform(0, 100, facts.size)
        for seed in range(3 if space == "tss" else 0):
            table[f"{prefix}_valid_seed{seed}"] = np.where(rng.random(facts.size) < 0.2, np.nan, 50.0 + seed)
    if space == "tss":
        table["unique_str"] = [f"class {i % 6466}" for i in range(facts.size)]
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def frames():
    return {space: synthetic(space) for space in TARGETS}


def write(folder, space, frame):
    """Write a table and the checksum list that goes with it."""
    path = folder / "nats" / f"{space}.parquet"
    path.parent.mkdir(exist_ok=True)
    frame.to_parquet(path)
    list_sums(folder, path)
    return path


def list_sums(folder, path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  nats/{path.name}\n")


@pytest.mark.parametrize("space", TARGETS)
def test_every_dataset_and_target_is_the_column_of_that_name(tmp_path, frames, space):
    write(tmp_path, space, frames[space])
    tables = load(space, "tables", tmp_path)
    assert (tables.space, tables.source, tables.targets) == (space, "tables", TARGETS[space])
    for dataset, prefix in PREFIXES.items():
        for target in tables.targets:
            found = tables.accuracy(dataset, target)
            np.testing.assert_array_equal(found, frames[space][f"{prefix}_{target}"])
            assert found.name == "accuracy" and found.index.name == "index" and found.dtype == "float64"
            np.testing.assert_array_equal(found.index, np.arange(get_space(space).size))


def test_test_accuracy_is_the_default_and_the_environment_names_the_folder(tmp_path, frames, monkeypatch):
    write(tmp_path, "sss", frames["sss"])
    monkeypatch.setenv("ZCP_DATA", str(tmp_path))
    tables = load("sss")
    np.testing.assert_array_equal(tables.accuracy("cifar10"), frames["sss"]["cifar10_test"])


def test_single_seeds_are_there(tmp_path, frames):
    write(tmp_path, "tss", frames["tss"])
    seeds = load("tss", "tables", tmp_path).valid_seeds("ImageNet16-120")
    assert list(seeds) == ["seed0", "seed1", "seed2"]
    np.testing.assert_array_equal(seeds["seed1"], frames["tss"]["imagenet16_120_valid_seed1"])


def test_what_a_table_lacks_is_named(tmp_path, frames):
    write(tmp_path, "sss", frames["sss"])
    tables = load("sss", "tables", tmp_path)
    with pytest.raises(InputError, match="no target 'test_12ep' for sss; choose one of test, valid"):
        tables.accuracy("cifar10", "test_12ep")
    with pytest.raises(InputError, match="unknown dataset 'imagenet'"):
        tables.accuracy("imagenet")
    with pytest.raises(InputError, match="single training seeds of sss"):
        tables.valid_seeds("cifar10")


def damaged(frame, column, row, value):
    changed = frame.copy()
    changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: damaged(f, "cifar10_test", 5, 100.5), r"cifar10_test: in_range\(0, 100\) \(100\.5\)"),
        (lambda f: damaged(f, "cifar100_valid", 5, -1.0), r"cifar100_valid: in_range\(0, 100\)"),
        (lambda f: damaged(f, "cifar10_test", 5, np.nan), "cifar10_test: not_nullable"),
        (lambda f: damaged(f, "index", 5, 4), "index: field_uniqueness"),
        (lambda f: damaged(f, "arch", 5, "8:8:8:8:8"), "arch: field_uniqueness"),
        (lambda f: f.iloc[:-1], "32768 rows"),
        (lambda f: f.iloc[::-1], "index: official order"),
        (lambda f: f.drop(columns="imagenet16_120_test"), "column_in_dataframe.*imagenet16_120_test"),
        (lambda f: f.astype({"cifar10_test": str}), r"cifar10_test: dtype\('float64'\)"),
        (
            lambda f: f.assign(arch=f["arch"].to_numpy()[::-1]),
            "not in the official order of 'sss': at index 0",
        ),
    ],
    ids=[
        "above",
        "below",
        "nan",
        "index twice",
        "arch twice",
        "rows",
        "order",
        "column",
        "dtype",
        "archs reversed",
    ],
)
def test_a_table_of_wrong_content_is_refused_by_name(tmp_path, frames, change, message):
    write(tmp_path, "sss", change(frames["sss"]))
    with pytest.raises(InputError, match=rf"sss\.parquet.*{message}"):
        load("sss", "tables", tmp_path)


def test_all_faults_are_named_at_once(tmp_path, frames):
    frame = damaged(damaged(frames["sss"], "cifar10_test", 5, 101.0), "cifar100_test", 6, -2.0)
    write(tmp_path, "sss", frame)
    with pytest.raises(InputError, match=r"cifar10_test: .*cifar100_test: "):
        load("sss", "tables", tmp_path)


def test_a_table_that_does_not_agree_with_the_checksum_is_refused(tmp_path, frames):
    path = write(tmp_path, "sss", frames["sss"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or another version"):
        load("sss", "tables", tmp_path)


def test_a_truncated_table_with_a_checksum_of_its_own_is_refused(tmp_path, frames):
    path = write(tmp_path, "sss", frames["sss"])
    path.write_bytes(path.read_bytes()[:5000])
    list_sums(tmp_path, path)
    with pytest.raises(InputError, match="not a readable Parquet file"):
        load("sss", "tables", tmp_path)


def test_a_folder_without_the_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no nats/tss\.parquet; set ZCP_DATA"):
        load("tss", "tables", tmp_path)


@pytest.mark.parametrize(
    ("space", "best"),
    [("tss", (94.37, 73.51, 47.31)), ("sss", (93.65, 71.34, 47.40))],
)
def test_the_real_tables_hold_the_published_best_accuracies(space, best):
    if data_folder() is None:
        pytest.skip("no data folder (ZCP_DATA): the real tables cannot be read")
    tables = load(space, "tables")
    assert tuple(round(tables.accuracy(d).max(), 2) for d in PREFIXES) == best

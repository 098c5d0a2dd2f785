"""On a small archive in the official format, which these tests write themselves."""

import os
from pathlib import Path

import numpy as np
import pytest

from zcp.benchmarks import available, load
from zcp.benchmarks.archive import NAMES, VARIABLE
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.spaces import get_space

nats_bench = pytest.importorskip("nats_bench", reason="the official archive is read by nats_bench")

EPOCHS = {"tss": (12, 200), "sss": (1, 12, 90)}
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
SEEDS = (777, 888)
INDICES = (0, 3, 284)


def accuracy(index, epochs, run, kind, seed):
    """A value that is different for every combination, so that a wrong choice is seen."""
    kinds = ("ori-test", "x-valid", "x-test")
    place = list(SETS).index(run) * 3 + kinds.index(kind)
    return index / 1000 + epochs / 10 + place + (seed - 777) / 1e4


def record(space, index):
    """Return {epochs: state of ArchResults}, what the official archive holds for one architecture."""
    states = {}
    for epochs in EPOCHS[space]:
        results = nats_bench.ArchResults(index, get_space(space).arch(index))
        for run, kinds in SETS.items():
            for seed in SEEDS:
                curve = dict.fromkeys(range(epochs), 1.0)
                trial = nats_bench.ResultsCount(run, None, curve, curve, 0.1, 1.0, {}, seed, epochs, [])
                values = dict.fromkeys((f"{kind}@{epoch}" for kind in kinds for epoch in range(epochs)), 0.0)
                zeros = dict(values)
                values |= {f"{k}@{epochs - 1}": accuracy(index, epochs, run, k, seed) for k in kinds}
                trial.update_eval(values, zeros, zeros)
                trial.update_train_info(curve, None, curve, curve)
                results.update(run, seed, trial)
        states[f"{epochs:02d}"] = results.state_dict()
    return states


def meta(space):
    facts = get_space(space)
    archs = [facts.arch(i) for i in range(facts.size)]
    return {"meta_archs": archs, "total_archs": facts.size, "arch2infos": None, "evaluated_indexes": []}


def write(folder, space):
    root = folder / f"{NAMES[space]}-simple"
    root.mkdir()
    nats_bench.pickle_save(meta(space), root / "meta.pickle")
    for index in INDICES:
        nats_bench.pickle_save(record(space, index), root / f"{index:06d}.pickle")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one small archive of each space."""
    folder = tmp_path_factory.mktemp("archives")
    for space in EPOCHS:
        write(folder, space)
    return folder


def expected(space, dataset, target, index):
    epochs = 12 if target == "test_12ep" else max(EPOCHS[space])
    if dataset == "cifar10":
        run, kind = ("cifar10-valid", "x-valid") if target == "valid" else ("cifar10", "ori-test")
    else:
        run, kind = dataset, "x-valid" if target == "valid" else "x-test"
    return np.mean([accuracy(index, epochs, run, kind, seed) for seed in SEEDS])


@pytest.mark.parametrize("space", EPOCHS)
def test_every_target_is_the_mean_of_the_right_training_and_set(folder, space):
    bench = load(space, "archive", folder)
    assert bench.targets == ("test", "test_12ep", "valid")
    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        for target in bench.targets:
            found = bench.accuracy(dataset, target)
            assert len(found) == get_space(space).size and found.name == "accuracy"
            assert found.dropna().index.tolist() == list(INDICES)
            for index in INDICES:
                assert found[index] == pytest.approx(expected(space, dataset, target, index), rel=1e-12)


def test_a_single_file_answers_as_the_folder_does(folder, tmp_path):
    content = meta("tss") | {
        "arch2infos": {index: record("tss", index) for index in INDICES},
        "evaluated_indexes": list(INDICES),
    }
    nats_bench.pickle_save(content, tmp_path / f"{NAMES['tss']}.pickle")
    one, many = load("tss", "archive", tmp_path), load("tss", "archive", folder)
    for target in one.targets:
        assert one.accuracy("cifar100", target).equals(many.accuracy("cifar100", target))


def test_a_training_that_does_not_exist_is_nan(tmp_path):
    root = write(tmp_path, "tss")
    nats_bench.pickle_save({"200": record("tss", 3)["200"]}, root / "000003.pickle")
    bench = load("tss", "archive", root)
    assert np.isnan(bench.accuracy("cifar10", "test_12ep")[3])
    assert bench.accuracy("cifar10")[3] == pytest.approx(expected("tss", "cifar10", "test", 3))


def test_the_environment_names_the_archive(folder, monkeypatch):
    monkeypatch.setenv("ZCP_DATA", "")
    monkeypatch.setenv(VARIABLE, str(folder))
    assert available("sss")["archive"] == ""
    assert load("sss").source == "archive"
    monkeypatch.setenv(VARIABLE, str(folder / f"{NAMES['tss']}-simple"))
    assert "download NATS-sss" in available("sss")["archive"]
    assert load("tss", "archive").space == "tss"


def test_a_missing_archive_says_what_to_download_and_set(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(
        InputError, match=rf"download NATS-tss-v1_0-3ffb9-simple\.tar from .* and set {VARIABLE}"
    ):
        load("tss", "archive")
    with pytest.raises(InputError, match=r"holds no such archive; download"):
        load("tss", "archive", tmp_path)


def test_a_damaged_record_is_named(tmp_path):
    root = write(tmp_path, "tss")
    file = root / "000003.pickle.pbz2"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match=r"000003\.pickle\.pbz2 cannot be read"):
        load("tss", "archive", root).accuracy("cifar10")
    nats_bench.pickle_save(["of another kind"], root / "000003.pickle")
    with pytest.raises(InputError, match=r"record 3 of .*cannot be read"):
        load("tss", "archive", root).accuracy("cifar10")


def test_a_damaged_or_foreign_meta_file_is_named(tmp_path):
    root = write(tmp_path, "tss")
    nats_bench.pickle_save({**meta("tss"), "meta_archs": ["8:8:8:8:8"]}, root / "meta.pickle")
    with pytest.raises(InputError, match="has 1 architectures, space 'tss' has 15625"):
        load("tss", "archive", root)
    (root / "meta.pickle.pbz2").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"meta\.pickle\.pbz2 cannot be read as a plain pickle"):
        load("tss", "archive", root)


class Malicious:
    """Unpickling it would run a shell command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("place", ["meta", "record", "file"])
def test_a_malicious_archive_is_refused_and_nothing_of_it_runs(tmp_path, place):
    marker, root = tmp_path / "ran", write(tmp_path, "tss")
    path = {"meta": root / "meta.pickle", "record": root / "000003.pickle", "file": tmp_path / "one.pickle"}
    nats_bench.pickle_save({**meta("tss"), "200": Malicious(marker)}, path[place])
    archive = Path(f"{path[place]}.pbz2")
    with pytest.raises(InputError, match="system, which is not allowed"):
        load("tss", "archive", archive if place == "file" else root).accuracy("cifar10")
    assert not marker.exists()
    nats_bench.pickle_load(path[place])  # proves that the pickle is live
    assert marker.exists()


@pytest.mark.parametrize("state", ["a", {"200": "path.pickle"}, {"200": {"all_results": {1: 2}}}])
def test_a_record_that_is_data_of_another_form_is_named(tmp_path, state):
    root = write(tmp_path, "tss")
    nats_bench.pickle_save(state, root / "000003.pickle")
    nats_bench.pickle_save({"x": Malicious(tmp_path / "ran")}, root / "path.pickle")
    with pytest.raises(InputError, match=r"record 3 of .*cannot be read"):
        load("tss", "archive", root).accuracy("cifar10")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_archive_is_named(tmp_path):
    root = write(tmp_path, "tss")
    for content in (["a"], {"meta_archs": 3}, {**meta("tss"), "arch2infos": {-1: {}}}):
        nats_bench.pickle_save(content, root / "meta.pickle")
        with pytest.raises(InputError, match="is no archive of NATS-Bench"):
            load("tss", "archive", root)


@pytest.mark.parametrize("space", EPOCHS)
def test_real_official_records_agree_with_the_compact_tables(space):
    data = data_folder()
    if data is None or not (data / "nats/official_sample").is_dir():
        pytest.skip("no official records in the data folder (ZCP_DATA)")
    archive, tables = load(space, "archive", data / "nats/official_sample"), load(space, "tables")
    for target in tables.targets:
        found = archive.accuracy("ImageNet16-120", target).dropna()
        assert len(found) == 3
        np.testing.assert_allclose(found, tables.accuracy("ImageNet16-120", target)[found.index], rtol=1e-9)

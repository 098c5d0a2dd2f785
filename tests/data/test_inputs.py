import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zcp.data.batches import balanced_positions, gaussian_batches, image_batches
from zcp.data.datasets import DATASETS, get_dataset
from zcp.data.images import COMPACT
from zcp.errors import InputError
from zcp.paths import data_folder


def write_images(folder, dataset, labels):
    """Write a compact file whose images are all different."""
    size = get_dataset(dataset).resolution
    array = np.random.default_rng(1).integers(0, 256, (len(labels), size, size, 3), np.uint8)
    np.savez(folder / COMPACT[dataset], images=array, labels=np.asarray(labels))
    return array


def flat(batches):
    return [row.numpy().tobytes() for batch in batches for row in batch.inputs]


def equal(first, second):
    return all(
        torch.equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True)
    )


def counts(batch, dataset):
    return torch.bincount(batch.labels, minlength=get_dataset(dataset).classes)


@pytest.mark.parametrize("dataset", DATASETS)
def test_images_are_normalised_with_the_constants_of_the_dataset(tmp_path, dataset):
    facts = get_dataset(dataset)
    array = write_images(tmp_path, dataset, np.arange(7))
    (batch,) = image_batches(dataset, 7, count=1, folder=tmp_path)
    assert batch.inputs.dtype == torch.float32 and batch.labels.dtype == torch.int64
    assert batch.inputs.shape == (7, *facts.shape) and batch.inputs.is_contiguous()
    expected = (array[batch.labels] - np.array(facts.mean)) / np.array(facts.std)  # label = position here
    np.testing.assert_allclose(batch.inputs.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize("batch_size", [4, 10, 16, 25])
def test_batches_are_balanced_and_share_no_image(tmp_path, batch_size):
    write_images(tmp_path, "cifar10", np.repeat(np.arange(10), 8))
    batches = image_batches("cifar10", batch_size, count=3, folder=tmp_path)
    for batch in batches:
        found = counts(batch, "cifar10")
        assert found.sum() == batch_size and found.max() - found.min() <= 1
    assert len(set(flat(batches))) == 3 * batch_size


def test_64_images_of_cifar100_have_64_classes(tmp_path):
    write_images(tmp_path, "cifar100", np.repeat(np.arange(100), 3))
    for batch in image_batches("cifar100", 64, count=4, folder=tmp_path):
        assert counts(batch, "cifar100").max() == 1


@pytest.mark.parametrize("seed", range(5))
def test_scarce_classes_are_met_in_both_batches_without_repeating_an_image(tmp_path, seed):
    labels = np.concatenate(
        [np.arange(120), np.repeat(np.arange(13) * 9, 30)]
    )  # as the compact file has them
    write_images(tmp_path, "ImageNet16-120", labels)
    batches = image_batches("ImageNet16-120", 64, seed=seed, folder=tmp_path)
    assert [int(counts(batch, "ImageNet16-120").max()) for batch in batches] == [1, 1]
    assert len(set(flat(batches))) == 128


@settings(max_examples=60)
@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    count=st.integers(1, 3),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_any_choice_is_disjoint_and_as_balanced_as_the_images_allow(labels, count, seed, data):
    array = np.array(labels)
    batch_size = data.draw(st.integers(1, max(1, len(labels) // count)))
    if batch_size * count > len(labels):
        return
    free = np.bincount(array, minlength=6)
    chosen = balanced_positions(array, batch_size, count, torch.Generator().manual_seed(seed))
    assert len(np.unique(np.concatenate(chosen))) == batch_size * count
    for positions in chosen:
        taken = np.bincount(array[positions], minlength=6)
        free -= taken
        assert (free >= 0).all()
        # A class may lag behind by more than one image only if it has none left.
        assert (taken[free > 0] >= taken.max() - 1).all()


def test_the_seed_decides_and_the_global_generators_do_not(tmp_path):
    write_images(tmp_path, "cifar10", np.repeat(np.arange(10), 20))

    def make(seed):
        return image_batches("cifar10", 20, seed=seed, folder=tmp_path), gaussian_batches(
            "cifar10", 20, seed=seed
        )

    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = make(3)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
    torch.manual_seed(1)
    again, other = make(3), make(4)
    for kind in range(2):
        assert equal(first[kind], again[kind]) and not equal(first[kind], other[kind])


def test_a_batch_does_not_depend_on_how_many_follow(tmp_path):
    write_images(tmp_path, "cifar10", np.repeat(np.arange(10), 8))
    assert equal(
        image_batches("cifar10", 12, 1, folder=tmp_path), image_batches("cifar10", 12, 3, folder=tmp_path)[:1]
    )
    assert equal(gaussian_batches("cifar10", 12, 1), gaussian_batches("cifar10", 12, 3)[:1])


def test_too_few_images_are_counted(tmp_path):
    write_images(tmp_path, "cifar10", np.arange(10))
    with pytest.raises(
        InputError, match=r"cifar10_2048\.npz: too few .* 2 batch\(es\) of 6 need 12, there are 10"
    ):
        image_batches("cifar10", 6, folder=tmp_path)


@pytest.mark.parametrize("make", [image_batches, gaussian_batches])
@pytest.mark.parametrize("sizes", [(0, 1), (-1, 1), (2.0, 1), (True, 1), (4, 0)])
def test_sizes_must_be_positive_integers(make, sizes):
    with pytest.raises(InputError, match="must be a positive integer"):
        make("cifar10", *sizes)


@pytest.mark.parametrize("make", [image_batches, gaussian_batches])
def test_an_unknown_dataset_is_refused(make):
    with pytest.raises(InputError, match="unknown dataset 'cifar11'; choose one of cifar10"):
        make("cifar11", 4)


@pytest.mark.parametrize("dataset", DATASETS)
def test_gaussian_batches_are_standard_normal_with_balanced_labels(dataset):
    batches = gaussian_batches(dataset, 130, count=2, seed=5)
    inputs = torch.cat([batch.inputs for batch in batches])
    assert inputs.dtype == torch.float32 and inputs.shape == (260, *get_dataset(dataset).shape)
    assert abs(inputs.mean()) < 0.01 and abs(inputs.std() - 1) < 0.01  # about 4 standard errors at 16 pixels
    for batch in batches:
        found = counts(batch, dataset)
        assert batch.labels.dtype == torch.int64 and found.max() - found.min() <= 1 and found.sum() == 130
    assert not torch.equal(batches[0].inputs, batches[1].inputs)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_real_images_are_about_standardised(dataset):
    if data_folder() is None:
        pytest.skip("no data folder (ZCP_DATA): the compact images cannot be read")
    inputs = torch.cat([batch.inputs for batch in image_batches(dataset, 128)])
    assert abs(inputs.mean()) < 0.15 and 0.85 < inputs.std() < 1.1


@pytest.mark.parametrize("make", [gaussian_batches, image_batches])
def test_more_inputs_than_memory_holds_are_refused_at_once(make):
    with pytest.raises(InputError, match=r"2 batch\(es\) of 99999999999 are more than 131072 inputs"):
        make("cifar10", 99_999_999_999)

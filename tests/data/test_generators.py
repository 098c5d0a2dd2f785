"""Spherical CIFAR-100 and Synthetic CIFAR-10: the same for everyone, and the geometry."""

import hashlib

import numpy as np
import pytest
import torch

from zcp import InputError, image_batches
from zcp.data.generators import (
    find_images,
    project_on_sphere,
    random_rotation,
    spherical_cifar100,
    synthetic_cifar10,
)
from zcp.paths import data_folder

SYNTHETIC = synthetic_cifar10(per_class=2)
SOUTH_UP = np.diag([1.0, -1.0, -1.0])


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_synthetic_images_are_the_same_for_everyone():
    # Not to the bit: processors without AVX2 round PyTorch's normal draws otherwise.
    expected = [[-1.3532609, -1.2938215, -1.7133044], [0.80632424, 1.0506898, -0.2909281]]
    np.testing.assert_allclose(SYNTHETIC.images[[0, 7], 5, 9], expected, atol=1e-6)
    assert SYNTHETIC.labels.tolist() == [3, 1, 4, 6, 1, 6, 8, 2, 4, 3, 0, 2, 9, 7, 7, 8, 9, 0, 5, 5]


def test_synthetic_images_are_balanced_noise():
    assert SYNTHETIC.images.shape == (20, 32, 32, 3) and SYNTHETIC.images.dtype == np.float32
    assert np.bincount(SYNTHETIC.labels).tolist() == [2] * 10
    assert abs(SYNTHETIC.images.mean()) < 0.02 and abs(SYNTHETIC.images.std() - 1) < 0.02


def test_rotations_are_rotations():
    source = np.random.default_rng(0)
    rotations = np.stack([random_rotation(source) for _ in range(400)])
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (400, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    assert abs(rotations.mean(axis=0)).max() < 0.1  # no direction is preferred


def test_projection_of_a_known_image():
    """Unrotated, the lower half shows the image, and the pole its middle; the upper half is black."""
    image = np.full((32, 32, 3), 200, np.uint8)
    image[:, 16:] = 100
    sphere = project_on_sphere(image, np.eye(3))
    assert sphere.shape == (60, 60, 3) and sphere.dtype == np.uint8
    assert (sphere[:30] == 0).all() and (sphere[30:] >= 100).all()
    # The first coordinate of a point is the column: longitude 0 lies right of the middle, 180 degrees left.
    assert (sphere[30:55, 0] == 100).all() and (sphere[30:55, 30] == 200).all()
    turned = project_on_sphere(image, SOUTH_UP)
    assert (turned[30:] == 0).all() and (turned[:30] >= 100).all()


def test_projection_is_bit_stable():
    image = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    rotation = random_rotation(np.random.default_rng(4))
    assert digest(project_on_sphere(image, rotation)) == "269870796086f761"


@pytest.mark.skipif(data_folder() is None, reason="needs the data folder (set ZCP_DATA)")
def test_spherical_images_are_bit_stable():
    found = spherical_cifar100()
    assert digest(found.images) == "c7f835d7f27c7c6d"
    flat = find_images("cifar100")
    assert found.labels is flat.labels or (found.labels == flat.labels).all()
    batch, _ = image_batches("scifar100", 8)
    assert batch.inputs.shape == (8, 3, 60, 60) and batch.inputs.dtype == torch.float32
    # The constants of the dataset are those of these images.
    normal = found.images.reshape(-1, 3)
    np.testing.assert_allclose(normal.mean(axis=0), (65.5, 62.5, 56.8), atol=0.05)
    np.testing.assert_allclose(normal.std(axis=0), (80.7, 77.1, 74.8), atol=0.05)


@pytest.mark.parametrize("dataset", ["ninapro", "class_scene"])
def test_datasets_without_images_say_so(dataset):
    with pytest.raises(InputError, match=f"no images of {dataset}"):
        image_batches(dataset, 2)

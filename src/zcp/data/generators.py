"""Datasets that are made, not downloaded: Spherical CIFAR-100 and Synthetic CIFAR-10.

Both follow their published descriptions and are the same for everyone: every draw is seeded. They are not the
files that the benchmarks' networks were trained on, whose random rotations and labellers are not known.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from zcp.data.images import ImageSet, load_images
from zcp.statistics.seeding import generator, seed_for

#: Half the height and width of the grid on the sphere (NAS-Bench-360).
BANDWIDTH = 30
#: The square of the image reaches this far from the centre of the plane; the equator projects to radius 2.
HALF_SIDE = 1.5

SYNTHETIC_SEED = 42
CLASSES, PIXELS = 10, 32 * 32 * 3
#: Images of each class that are made by default (the post made 6,000), and inputs labelled at a time.
PER_CLASS, BLOCK = 32, 512


def find_images(dataset: str, folder: Path | None = None) -> ImageSet:
    """Return images of a dataset: generated ones, else those that `zcp.data.images.load_images` reads.

    Raises:
        InputError: if there are none, or they cannot be used.
    """
    if dataset == "synthetic_cifar10":
        return synthetic_cifar10()
    if dataset == "scifar100":
        return spherical_cifar100(folder)
    return load_images(dataset, folder)


@lru_cache(maxsize=1)
def spherical_cifar100(folder: Path | None = None) -> ImageSet:
    """Return CIFAR-100 images on a randomly rotated hemisphere (Cohen et al. 2018; NAS-Bench-360).

    The sphere has the equiangular grid of 60 x 60 points. A point of the lower hemisphere shows what the ray
    from the north pole through it hits of the image, which lies on the plane at the south pole, bilinearly
    interpolated; beyond the image its border repeats. The upper hemisphere is black. Each image has a
    rotation of its own, uniform on SO(3).

    Args:
        folder: of the CIFAR-100 images, as for `zcp.data.images.load_images`.

    Returns:
        uint8 images (N, 60, 60, 3), the labels of CIFAR-100.

    Raises:
        InputError: if there are no CIFAR-100 images, or they cannot be used.
    """
    flat = load_images("cifar100", folder)
    rotations = np.random.default_rng(seed_for("spherical", "cifar100"))
    images = [project_on_sphere(image, random_rotation(rotations)) for image in flat.images]
    return ImageSet(np.stack(images), flat.labels, flat.origin)


def random_rotation(source: np.random.Generator) -> NDArray[np.float64]:
    """Return a rotation matrix (3, 3), uniform on SO(3), from a unit quaternion."""
    w, x, y, z = (q := source.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@lru_cache(maxsize=1)
def _grid(bandwidth: int) -> NDArray[np.float64]:
    """Return the points (3, 2b, 2b) of the equiangular grid on the unit sphere."""
    steps = np.arange(2 * bandwidth)
    polar = np.pi * (2 * steps + 1) / (4 * bandwidth)
    theta, phi = np.meshgrid(polar, np.pi * steps / bandwidth, indexing="ij")
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def project_on_sphere(
    image: NDArray[np.uint8], rotation: NDArray[np.float64], bandwidth: int = BANDWIDTH
) -> NDArray[np.uint8]:
    """Return an image (H, W, C) on the rotated sphere, uint8, (2 * bandwidth, 2 * bandwidth, C)."""
    x, y, z = np.tensordot(rotation, _grid(bandwidth), axes=1)
    is_lower = z <= 0
    # From the north pole (0, 0, 1) to the plane z = -1 a ray grows by 2 / (1 - z).
    scale = np.where(is_lower, 2 / np.where(is_lower, 1 - z, 1), 0)
    height, width = image.shape[:2]
    rows = ((scale * y / HALF_SIDE + 1) / 2 * (height - 1)).clip(0, height - 1)
    columns = ((scale * x / HALF_SIDE + 1) / 2 * (width - 1)).clip(0, width - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top)[..., None], (columns - left)[..., None]
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[below, left] * (1 - across) + image[below, right] * across
    shown = (upper * (1 - down) + lower * down) * is_lower[..., None]
    pixels: NDArray[np.uint8] = np.rint(shown).astype(np.uint8)
    return pixels


@lru_cache(maxsize=1)
def synthetic_cifar10(per_class: int = PER_CLASS) -> ImageSet:
    """Return Gaussian images that are labelled by random networks, as the post describes them.

    Every value of an image is N(0, 1). Ten networks 3072-3072-1 with a ReLU between and PyTorch's default
    initialisation see it; its label is the number of the one with the largest output. Images of a class that
    is full are dropped.

    Args:
        per_class: images of each class; the first ones do not depend on it.

    Returns:
        float32 images (10 * per_class, 32, 32, 3), in the order in which they were drawn.
    """
    source = generator(SYNTHETIC_SEED, "synthetic images")
    networks = [_random_network(generator(SYNTHETIC_SEED, "labeller", k)) for k in range(CLASSES)]
    images, labels, counts = [], [], np.zeros(CLASSES, int)
    while counts.min() < per_class:
        inputs = torch.randn(BLOCK, PIXELS, generator=source)
        found = torch.stack([network(inputs) for network in networks], dim=1).argmax(dim=1)
        for image, label in zip(inputs.numpy(), found.tolist(), strict=True):
            if counts[label] < per_class:
                counts[label] += 1
                images.append(image)
                labels.append(label)
    pixels = np.stack(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ImageSet(np.ascontiguousarray(pixels), np.array(labels, np.int64), Path("synthetic_cifar10"))


def _random_network(source: torch.Generator) -> Callable[[torch.Tensor], torch.Tensor]:
    bound = PIXELS**-0.5  # of PyTorch's default for weights and biases of a linear layer
    shapes = ((PIXELS, PIXELS), (PIXELS,), (PIXELS,), (1,))
    w1, b1, w2, b2 = ((torch.rand(shape, generator=source) * 2 - 1) * bound for shape in shapes)
    return lambda inputs: torch.relu(inputs @ w1.T + b1) @ w2 + b2

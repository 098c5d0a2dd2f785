"""Batches that networks are scored on: real images or Gaussian noise, class-balanced, from a seed alone."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zcp.data.datasets import Dataset, get_dataset
from zcp.data.generators import find_images
from zcp.data.images import ImageSet
from zcp.errors import InputError, choose
from zcp.statistics.seeding import generator


class Batch(NamedTuple):
    """One batch.

    Attributes:
        inputs: float32, (B, channels, height, width), normalised.
        labels: int64, (B,).
    """

    inputs: Tensor
    labels: Tensor


#: What networks are scored on.
INPUTS = ("images", "gaussian")
#: Inputs of all batches together; more are a slip, and would not fit into memory.
MOST_INPUTS = 2**17


def _check_sizes(batch_size: int, count: int) -> None:
    for name, value in (("batch_size", batch_size), ("count", count)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a positive integer, not {value!r}")
    if batch_size * count > MOST_INPUTS:
        raise InputError(f"{count} batch(es) of {batch_size} are more than {MOST_INPUTS} inputs; take fewer")


def _balanced(labels: NDArray[np.int64], order: NDArray[np.int64], batch_size: int) -> NDArray[np.int64]:
    """Take `batch_size` positions of `order` in rounds, one of each class in a round while it has any."""
    by_class = order[np.argsort(labels[order], kind="stable")]
    starts = np.searchsorted(labels[by_class], labels[by_class])
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(by_class)) - starts
    return order[np.argsort(rank[order], kind="stable")][:batch_size]


def balanced_positions(
    labels: NDArray[np.int64], batch_size: int, count: int, source: torch.Generator
) -> list[NDArray[np.int64]]:
    """Choose disjoint, class-balanced sets of images.

    In each set the class counts differ by at most one among the classes that still have images. Where only a
    part of the classes fits, classes with more images tend to come first, so that scarce ones last longer.

    Args:
        labels: (N,) class of each image.
        batch_size: images in a set.
        count: number of sets; the first sets do not depend on it.
        source: generator of the order.

    Returns:
        `count` arrays of `batch_size` positions; no position occurs twice.

    Raises:
        InputError: if there are fewer than `batch_size * count` images.
    """
    _check_sizes(batch_size, count)
    if len(labels) < batch_size * count:
        raise InputError(
            f"too few images: {count} batch(es) of {batch_size} need {batch_size * count}, "
            f"there are {len(labels)}"
        )
    chosen: list[NDArray[np.int64]] = []
    free = np.ones(len(labels), bool)
    for _ in range(count):
        order = torch.randperm(len(labels), generator=source).numpy()
        chosen.append(_balanced(labels, order[free[order]], batch_size))
        free[chosen[-1]] = False
    return chosen


def _normalised(dataset: Dataset, images: ImageSet, positions: NDArray[np.int64]) -> Batch:
    pixels = torch.from_numpy(images.images[positions]).permute(0, 3, 1, 2).to(torch.float32)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (dataset.mean, dataset.std))
    inputs = ((pixels - mean) / std).contiguous()
    return Batch(inputs, torch.from_numpy(images.labels[positions]))


def image_batches(
    dataset: str, batch_size: int, count: int = 2, seed: int = 0, folder: Path | None = None
) -> list[Batch]:
    """Return batches of real training images.

    The choice depends on the arguments and the image files only, never on the global generators; a batch does
    not depend on `count`. No image occurs twice. In each batch the class counts differ by at most one as far
    as the images allow: the compact ImageNet16-120 file has a single image of 107 of its 120 classes.

    Args:
        dataset: `cifar10`, `cifar100`, `ImageNet16-120`, or one that is generated.
        batch_size: images in a batch.
        count: number of batches.
        seed: of the choice and its order.
        folder: see `zcp.data.images.load_images`.

    Raises:
        InputError: if images are missing, damaged, malformed or too few.

    Example:
        >>> batch, = image_batches("cifar10", batch_size=64, count=1)
        >>> batch.inputs.shape
        torch.Size([64, 3, 32, 32])
    """
    facts = get_dataset(dataset)
    _check_sizes(batch_size, count)
    images = find_images(dataset, folder)
    try:
        sets = balanced_positions(images.labels, batch_size, count, generator(seed, "images", dataset))
    except InputError as error:
        raise InputError(f"{images.origin}: {error}") from None
    return [_normalised(facts, images, positions) for positions in sets]


def gaussian_batches(dataset: str, batch_size: int, count: int = 2, seed: int = 0) -> list[Batch]:
    """Return batches of N(0, 1) noise in the shape of a dataset's images; needs no data.

    Labels are balanced: in each batch the class counts differ by at most one. A batch does not depend on
    `count`.

    Args:
        dataset: a name of `zcp.data.datasets.ALL_DATASETS`; decides shape and number of classes.
        batch_size: inputs in a batch.
        count: number of batches.
        seed: of inputs and labels.

    Raises:
        InputError: if the dataset does not exist, a size is not positive, or all are more than `MOST_INPUTS`.
    """
    facts = get_dataset(dataset)
    _check_sizes(batch_size, count)
    source = generator(seed, "gaussian", dataset)
    rounds = -(-batch_size // facts.classes)
    batches = []
    for _ in range(count):
        inputs = torch.randn(batch_size, *facts.shape, generator=source)
        labels = torch.cat([torch.randperm(facts.classes, generator=source) for _ in range(rounds)])
        batches.append(Batch(inputs, labels[:batch_size].clone()))
    return batches


def make_batches(inputs: str, dataset: str, batch_size: int, count: int = 2, seed: int = 0) -> list[Batch]:
    """Return `image_batches` or `gaussian_batches`, as `inputs` says: one of `INPUTS`.

    Raises:
        InputError: if there are no such inputs, and as those functions do.
    """
    makers = dict(zip(INPUTS, (image_batches, gaussian_batches), strict=True))
    return choose(makers, inputs, "inputs")(dataset, batch_size, count=count, seed=seed)

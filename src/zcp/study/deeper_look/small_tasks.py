"""Two image classification tasks that a processor trains on in seconds, with a fixed split."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from zcp.data.batches import Batch, balanced_positions
from zcp.data.datasets import get_dataset
from zcp.data.images import load_images
from zcp.errors import choose
from zcp.statistics.seeding import generator


@dataclass(frozen=True)
class SmallTask:
    """Images for training and for testing; ten classes.

    Attributes:
        name: a key of `TASKS`.
        train: inputs (N, 3, height, width), normalised by the training images, and labels (N,).
        test: the same of the images that are not trained on.
    """

    name: str
    train: Batch
    test: Batch

    def batches(self, size: int, count: int = 2) -> list[Batch]:
        """Return class-balanced batches of training images to score on, the same ones at every call."""
        source = generator("decay", "batches", self.name)
        chosen = balanced_positions(self.train.labels.numpy(), size, count, source)
        return [Batch(*(part[torch.from_numpy(rows)] for part in self.train)) for rows in chosen]


def load_task(name: str) -> SmallTask:
    """Return a task, split by a fixed seed.

    Args:
        name: `digits` (scikit-learn's 1,797 handwritten digits of 8x8 pixels, 300 to train on; needs no data
            folder) or `cifar10` (the data folder's 2,048 images, averaged to 16x16 pixels, half to train on).

    Raises:
        InputError: if there is no such task, or its images are missing.
    """
    read, train_size = choose(TASKS, name, "small task")
    images, labels = read()
    (rows,) = balanced_positions(labels.numpy(), train_size, 1, generator("decay", "split", name))
    training = torch.zeros(len(labels), dtype=torch.bool)
    training[torch.from_numpy(rows)] = True
    mean = images[training].mean((0, 2, 3), keepdim=True)
    std = images[training].std((0, 2, 3), keepdim=True)
    inputs = (images - mean) / std
    return SmallTask(
        name, Batch(inputs[training], labels[training]), Batch(inputs[~training], labels[~training])
    )


def _digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = torch.from_numpy(found.images).to(torch.float32).unsqueeze(1)
    return grey.expand(-1, 3, -1, -1).contiguous(), torch.from_numpy(found.target).to(torch.int64)


def _cifar10() -> tuple[Tensor, Tensor]:
    found = load_images(get_dataset("cifar10").name)
    # The compact file's size: with the original files at hand the task must not grow.
    pixels = torch.from_numpy(found.images[:2048]).permute(0, 3, 1, 2).to(torch.float32)
    return avg_pool2d(pixels, 2), torch.from_numpy(found.labels[:2048])


#: Task -> how its images (N, 3, height, width) and labels are read, and how many are trained on.
TASKS: dict[str, tuple[Callable[[], tuple[Tensor, Tensor]], int]] = {
    "digits": (_digits, 300),
    "cifar10": (_cifar10, 1024),
}

"""Whether a network of one's own fits the dataset that its accuracy is asked for."""

from collections.abc import Sequence

from torch import nn

from zcp.data.batches import Batch
from zcp.data.datasets import DATASETS
from zcp.errors import InputError, Undefined
from zcp.scoring import score
from zcp.statistics.network import Statistics


def classes(s: Statistics) -> int:
    """Number of logits."""
    if s.data.logits.ndim != 2:
        raise Undefined(f"logits are (B, classes), the network gives {tuple(s.data.logits.shape)}")
    return s.data.logits.shape[1]


def require_fit(network: nn.Module, dataset: str, batches: Sequence[Batch]) -> None:
    """Check that a network can classify the images of a dataset.

    Args:
        network: of the caller; copies of it run.
        dataset: its name.
        batches: of its images, or of noise of their shape (B, 3, H, W).

    Raises:
        InputError: if it fails on the first batch, or gives fewer logits than there are classes.
    """
    found, needed = score(network, batches, classes, init="keep"), DATASETS[dataset].classes
    if reason := found.reasons.get("classes"):
        shape = "x".join(map(str, batches[0][0].shape[1:]))
        raise InputError(f"the network cannot be used on the {shape} inputs of {dataset}: {reason}")
    if found["classes"] < needed:
        raise InputError(
            f"the network has {found['classes']:.0f} classes, and {dataset} has {needed}: widen the head"
        )

"""Losses of a network's outputs, and targets drawn at random."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from zcp.errors import InputError, Undefined, of

Loss = Callable[[Tensor, Tensor], Tensor]
#: Label that takes no part in cross-entropy, as PyTorch's own.
IGNORED = -100


def cross_entropy(logits: Tensor, labels: Tensor, check: Callable[..., None]) -> Tensor:
    """Return the mean cross-entropy.

    Args:
        logits: (B, classes), (B, classes, …), or (B, …, classes).
        labels: integers, (B,) or (B, …).
        check: calls a function with the arguments that follow it, now or once the values are known.

    Raises:
        InputError: if a label has no logit.
        Undefined: if the shapes or types do not fit.
    """
    if labels.is_floating_point():
        raise Undefined(
            f"cross-entropy needs integer labels, not {labels.dtype} {tuple(labels.shape)}; pass another "
            "loss, such as loss=torch.nn.functional.mse_loss"
        )
    dimension = class_dimension(logits, labels)
    if dimension is None:
        raise Undefined(
            f"cross-entropy needs logits (B, classes) and labels (B,), or both by position; the network gave "
            f"{tuple(logits.shape)} for labels {tuple(labels.shape)}"
        )
    logits = logits.movedim(dimension, 1)
    if labels.numel():
        given = labels.where(labels != IGNORED, 0)
        check(_check_labels, given.min(), given.max(), logits.shape[1])
        if labels.device.type != "cpu":
            # Until the check is made; a label out of range would cost a GPU its context.
            labels = labels.where(labels == IGNORED, given.clamp(0, logits.shape[1] - 1))
    return F.cross_entropy(logits, labels)


def _check_labels(smallest: Tensor, largest: Tensor, classes: int) -> None:
    if not 0 <= int(smallest) <= int(largest) < classes:
        raise InputError(
            f"labels run from {int(smallest)} to {int(largest)}, but the network has {classes} classes"
        )


def class_dimension(logits: Tensor, labels: Tensor) -> int | None:
    """Return the dimension of the classes, 1 or the last; None where the shapes do not fit."""
    if logits.ndim == labels.ndim + 1 and logits.ndim > 1:
        if (logits.shape[0], *logits.shape[2:]) == labels.shape:
            return 1
        if logits.shape[:-1] == labels.shape:
            return -1
    return None


def own_loss(function: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the caller's loss of outputs.

    Raises:
        InputError: if it is no scalar.
        Undefined: if it has no gradient, though the outputs have.
    """
    with of("the loss"):
        loss = function(logits, targets)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        what = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise InputError(f"the loss gave {what}, not a scalar; take its mean")
    if logits.requires_grad and not loss.requires_grad:
        raise Undefined("the loss has no gradient; compute it from the logits, without detach or no_grad")
    return loss


def random_targets(logits: Tensor, like: Tensor, normal: Callable[[Sequence[int]], Tensor]) -> Tensor:
    """Return random targets.

    Args:
        logits: of the network, (B, …).
        like: targets of the caller, whose type and shape they get.
        normal: gives standard normal values of a shape.
    """
    dimension = class_dimension(logits, like[: len(logits)])
    if not like.is_floating_point() and dimension is not None:
        # The largest of as many normal values as there are classes is a uniform choice.
        return normal(logits.shape).argmax(dimension)
    drawn = normal((len(logits), *like.shape[1:]))
    if like.is_floating_point():
        return drawn
    ranks = drawn.flatten().argsort().argsort().reshape(drawn.shape)
    return like.flatten()[ranks % like.numel()]

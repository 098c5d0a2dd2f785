"""The batches of a call: drawn once, checked, as (inputs, targets)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from zcp.errors import InputError
from zcp.statistics.surroundings import kept_generators

#: Keys of a mapping that hold the targets.
TARGETS = ("labels", "label", "targets", "target")
_TOKENS = (torch.int32, torch.int64)


class Drawn(NamedTuple):
    """One batch.

    Attributes:
        inputs: a tensor (B, …), a sequence of positional arguments, or a mapping of keyword ones.
        targets: (B, …).
    """

    inputs: Any
    targets: Tensor


def drawn(batches: Any, count: int) -> list[Drawn]:
    """Return all batches of a list, or the first `count` of a loader, which is iterated once.

    The generators that a loader shuffles by, its own or the global ones, are put back: it gives the same
    batches at the next call.

    Args:
        batches: of pairs (inputs, targets), or of mappings that hold the targets under one of `TARGETS`.
        count: how many the proxies read.

    Raises:
        InputError: if there is none, or one is no such pair.
    """
    if isinstance(batches, Tensor | Mapping | str) or not isinstance(batches, Iterable):
        raise InputError("batches must be a list of one or more (inputs, labels) pairs, or a DataLoader")
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = range(torch.cuda.device_count() if started else 0)
    with kept_generators(gpus, _generators_of(batches)):
        taken = list(batches) if isinstance(batches, Sequence) else list(islice(batches, count))
    if not taken:
        raise InputError("batches must be a list of one or more (inputs, labels) pairs")
    return [_pair(number, batch) for number, batch in enumerate(taken)]


def _generators_of(loader: Any) -> set[torch.Generator]:
    """Return the generators that a loader and its samplers were given."""
    samplers = [getattr(loader, name, None) for name in ("sampler", "batch_sampler")]
    holders = [loader, *samplers, *(getattr(each, "sampler", None) for each in samplers)]
    found = {getattr(each, "generator", None) for each in holders}
    return {each for each in found if isinstance(each, torch.Generator)}


def _pair(number: int, batch: Any) -> Drawn:
    if isinstance(batch, Mapping):
        key = next((key for key in TARGETS if key in batch), None)
        if key is None:
            raise InputError(
                f"batch {number} is a mapping without {' or '.join(TARGETS)}: {', '.join(batch)}"
            )
        batch = {name: value for name, value in batch.items() if name != key}, batch[key]
    if isinstance(batch, Tensor) or not isinstance(batch, Sequence) or len(batch) != 2:
        raise InputError(f"batch {number} must be a pair (inputs, labels) of tensors")
    inputs, targets = batch
    if not isinstance(targets, Tensor) or not _tensors(inputs):
        raise InputError(f"batch {number} must be a pair (inputs, labels) of tensors")
    return Drawn(inputs, targets)


def _tensors(inputs: Any) -> list[Tensor]:
    if not isinstance(inputs, Tensor | Sequence | Mapping):
        return []
    values = dict(inputs) if isinstance(inputs, Mapping) else inputs
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def check(number: int, batch: Drawn, main: Tensor) -> None:
    """Check the shapes and types of a batch.

    Args:
        number: of the batch.
        batch: of the caller.
        main: its main input.

    Raises:
        InputError: if they cannot be used.
    """
    floating = main.is_floating_point()
    if main.ndim < 2 or not (floating or main.dtype in _TOKENS):
        raise InputError(
            f"inputs of batch {number} must be floats (B, …), or integer tokens (B, T), not {main.dtype} "
            f"{tuple(main.shape)}"
        )
    if not len(main) or len(batch.targets if batch.targets.ndim else [0]) != len(main):
        raise InputError(f"batch {number} has {len(main)} inputs and {len(batch.targets)} labels")


def check_finite(number: int, *finite: Tensor) -> None:
    """Check, of each tensor of inputs, whether all its values are finite.

    Raises:
        InputError: if not.
    """
    if not all(finite):
        raise InputError(f"inputs of batch {number} hold NaN or infinite values; clean them first")


def finite(batch: Drawn, main: Tensor) -> list[Tensor]:
    """Return, for each floating point tensor among the inputs, whether its values can be used, as tensors ().

    Masks that are added to attention hold minus infinity.
    """
    others = [x for x in _tensors(batch.inputs) if x.is_floating_point() and x is not main]
    found = [~(x.isnan() | x.isposinf()).any() for x in others]
    return [main.isfinite().all(), *found] if main.is_floating_point() else found

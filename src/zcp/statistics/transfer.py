"""Between the host and a device without waiting: many tensors in one copy, and values that the host finishes.

A launch on a GPU returns at once; what makes the host wait is to look at a value. So nothing looks while the
passes run. What needs control flow, integers or LAPACK is left as a `Later`; the tensors that all of them
need are fetched together at the end, and then the host does the rest.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
#: Bytes that tensors begin at multiples of within a copy, as in memory of their own.
ALIGNMENT = 256


class Later(Generic[T]):
    """A value that the host computes, once, when the tensors that it needs have come from the device.

    Args:
        function: computes it.
        given: its arguments: tensors, which it gets on the CPU, other `Later`, of which it gets the values,
            lists of such, or anything else.
    """

    def __init__(self, function: Callable[..., T], *given: Any) -> None:
        self.function, self.given = function, [_detached(each) for each in given]
        self._outcome: list[T | Exception] = []

    def tensors(self) -> Iterator[Tensor]:
        """Yield the tensors that have to be fetched."""
        return _tensors(self.given)

    def settle(self, fetched: Mapping[Tensor, Tensor]) -> T:
        """Return the value, or raise what its function raised."""
        if not self._outcome:
            try:
                self._outcome.append(self.function(*(_found(each, fetched) for each in self.given)))
            except Exception as error:
                self._outcome.append(error)
        (outcome,) = self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _tensors(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, Later):
        yield from given.tensors()
    elif isinstance(given, list):
        for each in given:
            yield from _tensors(each)


def _detached(given: Any) -> Any:
    if isinstance(given, list):
        return [_detached(each) for each in given]
    # A graph would keep all activations alive.
    return given.detach() if isinstance(given, Tensor) and given.requires_grad else given


def _found(given: Any, fetched: Mapping[Tensor, Tensor]) -> Any:
    if isinstance(given, Later):
        return given.settle(fetched)
    if isinstance(given, list):
        return [_found(each, fetched) for each in given]
    return fetched[given] if isinstance(given, Tensor) else given


def fetch(values: Iterable[Later[Any]]) -> dict[Tensor, Tensor]:
    """Return what `Later.settle` needs of several values, from one copy of each device to the host."""
    wanted: dict[torch.device, dict[Tensor, None]] = {}
    for value in values:
        for tensor in value.tensors():
            wanted.setdefault(tensor.device, {})[tensor] = None
    found: dict[Tensor, Tensor] = {}
    for tensors in wanted.values():
        found |= zip(tensors, moved(list(tensors), torch.device("cpu")), strict=True)
    return found


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on a device, without waiting for the copy where that is a GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _buffer(size: int, device: torch.device, beside: torch.device) -> Tensor:
    # A GPU reads and writes pinned memory by itself.
    pinned = device.type == "cpu" and beside.type == "cuda"
    return torch.empty(size, dtype=torch.uint8, device=device, pin_memory=pinned)


@torch.no_grad()
def moved(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return contiguous copies of tensors of one device on another one, from one copy.

    Args:
        tensors: of any shapes and types, all on one device.
        device: where to; the host waits if it is the CPU, and else does not.
    """
    if not tensors:
        return []
    here = tensors[0].device
    gap = torch.zeros(ALIGNMENT, dtype=torch.uint8, device=here)
    parts: list[Tensor] = []
    for tensor in tensors:
        data = tensor.contiguous().reshape(-1).view(torch.uint8)
        parts += [data, gap[: -len(data) % ALIGNMENT]]
    total = sum(map(len, parts))
    packed = torch.cat(parts, out=_buffer(total, here, beside=device))
    arrived = packed
    if device != here:
        arrived = _buffer(total, device, beside=here).copy_(packed, non_blocking=device.type != "cpu")
    found: list[Tensor] = []
    start = 0
    for tensor in tensors:
        size = tensor.numel() * tensor.element_size()
        found.append(arrived[start : start + size].view(tensor.dtype).view(tensor.shape))
        start += math.ceil(size / ALIGNMENT) * ALIGNMENT
    return found

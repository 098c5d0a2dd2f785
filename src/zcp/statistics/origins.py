"""What the tensors of a running network were made of: of parameters, of what the network holds, of neither.

A product says of none of its factors that it is the weight. The weight is the factor that is computed of
parameters alone, however long the way: `w.t()`, `w * scale`, `w - w.mean()`, `torch.cat([a, b])`,
`w + a @ b`. Everything else is an activation, as is whatever comes from where nothing is known. A factor that
is made of parameters and of activations (`w * gate(x)`) is an activation too: of such a one only functions
that say which argument is the weight, convolutions and `F.linear`, have a weight.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from zcp.statistics.calls import is_parameter

#: Of parameters; of buffers and the like alone; of no tensor, as `torch.zeros` and `torch.arange`.
MADE, HELD, FRESH = "made", "held", "fresh"
_APPLY = torch.autograd.Function.__dict__["apply"]
_PARAMETRISE = ParametrizationList.forward
#: Networks -> the places of their buffers, and their tensors that are neither parameters nor buffers.
_HELD: WeakKeyDictionary[nn.Module, tuple[list[tuple[dict[str, Any], str]], list[Tensor]]] = (
    WeakKeyDictionary()
)


class Origins:
    """Tells what tensors are made of, while a network runs; of activations it keeps nothing.

    Attributes:
        hidden: how many parametrisations are at work, whose operations nobody looks at.
    """

    def __init__(self) -> None:
        self.hidden = 0
        self._network: nn.Module | None = None  # without one no buffer is known
        self._known: dict[Tensor, str] = {}
        self._held: dict[int, Tensor] | None = None

    def of(self, tensor: Tensor) -> str | None:
        """Return MADE, HELD or FRESH, and None for activations."""
        if self._known and (known := self._known.get(tensor)) is not None:
            return known
        if type(tensor) is not Tensor and isinstance(tensor, nn.Parameter):
            return MADE
        if self._held is None:
            self._held = _held_by(self._network) if self._network is not None else {}
        return HELD if id(tensor) in self._held else None

    def is_weight(self, tensor: Any) -> TypeGuard[Tensor]:
        """Tell whether a tensor is a parameter, a view of one, or made of parameters alone."""
        return isinstance(tensor, Tensor) and (self.of(tensor) == MADE or is_parameter(tensor))

    def is_constant(self, tensor: Tensor | None) -> bool:
        """Tell whether a tensor is made of parameters and of what the network holds alone."""
        return tensor is not None and self.of(tensor) in (MADE, HELD)

    def compute_weight(self, first: Tensor, second: Tensor) -> bool:
        """Tell whether a product of these computes a weight: of parameters, and constants at most."""
        constant = all(self.of(each) in (MADE, HELD) or is_parameter(each) for each in (first, second))
        return constant and (self.is_weight(first) or self.is_weight(second))

    def note(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Keep what the result of a function is made of, if it is not of activations."""
        if isinstance(result, Tensor):
            self.set(result, self._together(args, kwargs, result))
        elif isinstance(result, tuple | list):
            origin = self._together(args, kwargs, result)
            for each in result:
                if isinstance(each, Tensor):
                    self.set(each, origin)

    def set(self, tensor: Tensor, origin: str | None) -> None:
        """Keep the origin of a tensor, which may have been written into."""
        if origin is not None:
            if origin != self.of(tensor):  # buffers count batches
                self._known[tensor] = origin
        elif self._known:
            self._known.pop(tensor, None)

    def _together(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> str | None:
        if args and isinstance(args[0], Tensor) and self.of(args[0]) is None:
            return None  # most often
        found = set()
        for each in _tensors((*args, *kwargs.values())):
            if (origin := self.of(each)) is None:
                return None
            found.add(origin)
        if found == {MADE, FRESH} and isinstance(result, Tensor) and not isinstance(args[0], tuple | list):
            # Noise times a scale is no weight: it is larger than what it is made of.
            made = [t.numel() for t in _tensors((*args, *kwargs.values())) if self.of(t) == MADE]
            return MADE if result.numel() <= max(made) else None
        return MADE if MADE in found else HELD if found == {HELD} else FRESH

    @contextmanager
    def following(self, network: nn.Module) -> Iterator[None]:
        """Follow what no mode sees as well, functions with a backward of their own; hide parametrisations."""
        self._network = network

        def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
            result = _APPLY.__func__(cls, *args, **kwargs)
            self.note(args, kwargs, result)
            return result

        def parametrise(module: ParametrizationList) -> Tensor:
            self.hidden += 1
            try:
                weight = _PARAMETRISE(module)
            finally:
                self.hidden -= 1
            self.set(weight, MADE)
            return weight

        torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment,method-assign]
        ParametrizationList.forward = parametrise  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            torch.autograd.Function.apply = _APPLY  # type: ignore[method-assign]
            ParametrizationList.forward = _PARAMETRISE  # type: ignore[method-assign]


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for each in values:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, tuple | list):
            yield from _tensors(each)


def _held_by(network: nn.Module) -> dict[int, Tensor]:
    """Return the tensors that a network has now, besides its parameters, by their identity."""
    if network not in _HELD:
        _HELD[network] = (
            [(module._buffers, name) for module in network.modules() for name in module._buffers],
            [t for module in network.modules() for t in _tensors(vars(module).values()) if _is_held(t)],
        )
    buffers, others = _HELD[network]
    # A buffer may be another tensor in each pass.
    now = [own[name] for own, name in buffers if own.get(name) is not None]
    return {id(tensor): tensor for tensor in (*now, *others)}


def _is_held(tensor: Tensor) -> bool:
    return not tensor.requires_grad and not isinstance(tensor, nn.Parameter)

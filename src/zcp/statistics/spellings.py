"""Activations that are written as something else, and functions that work in place.

The pattern of a rectifier is the sign of what enters, however it is written: `x.clamp(min=0)`, with an upper
bound or without, and any clamp with two bounds (hardtanh); `clamp_min`, `clip`; `torch.maximum(x, 0)` and
`torch.max(x, 0)`; `torch.where(x > 0, x, …)` and `x * (x > 0)`, for any comparison of x with 0. Any other
element-wise function (`abs`, `sin`, `exp`), one bound that is not 0, and a `torch.autograd.Function` of one's
own are no activations.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[..., Any]


def named(*names: str) -> set[Function]:
    """Return every function of these names, in each of the places where PyTorch has it."""
    found = (getattr(place, name, None) for name in names for place in (F, torch, Tensor))
    return {each for each in found if each is not None}


def _bound(place: int, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _is_zero(bound: Any) -> bool:
    if isinstance(bound, Tensor):
        return not bound.requires_grad and not bool(bound.any())
    return isinstance(bound, int | float) and bound == 0


def clamped(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a clamp rectifies; None if it does not."""
    least, most = _bound(1, "min", args, kwargs), _bound(2, "max", args, kwargs)
    between = all(isinstance(each, int | float) for each in (least, most))
    return _bound(0, "input", args, kwargs) if between or _is_zero(least) else None


def larger(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what the larger of two tensors rectifies: the other one of zeros; None if neither is."""
    first, second = _bound(0, "input", args, kwargs), _bound(1, "other", args, kwargs)
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return None
    return first if _is_zero(second) else second if _is_zero(first) else None


#: Functions that rectify for some of their arguments -> what tells what they rectify.
RECTIFIERS: dict[Function, Callable[[tuple[Any, ...], dict[str, Any]], Any]] = {
    **dict.fromkeys(named("clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_"), clamped),
    **dict.fromkeys(named("maximum", "max"), larger),
}
#: Comparisons; with 0 they tell which units are on.
COMPARISONS = named(
    *("gt", "ge", "lt", "le", "greater", "greater_equal", "less", "less_equal"),
    *("__gt__", "__ge__", "__lt__", "__le__"),
)
#: What makes numbers of a comparison.
CASTS = named("to", "float", "double", "half", "bfloat16", "type", "type_as")
#: What takes a comparison to switch units off.
GATES = named("where", "mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__")
#: What adds a bias to a product.
ADDITIONS = named("add", "add_", "__add__", "__radd__", "__iadd__")
#: Methods whose names end as if they worked in place.
_OTHERS = {"detach_", "requires_grad_", "share_memory_", "rename_", "retain_grad_"}


def _in_place() -> set[Function]:
    found: set[Function] = {Tensor.__setitem__}
    for place in (F, torch, Tensor):
        for name in dir(place):
            plain = name.endswith("_") and not name.startswith("_") and name not in _OTHERS
            if plain and callable(getattr(place, name)):
                found.add(getattr(place, name))
    operators = ("add", "sub", "mul", "truediv", "floordiv", "pow", "mod", "and", "or", "xor")
    return found | named(*(f"__i{name}__" for name in operators))


IN_PLACE = _in_place()


class Compared(dict[Tensor, Tensor]):
    """What comparisons of activations with 0 gave -> the activations."""

    def keep(self, args: tuple[Any, ...], result: Tensor) -> None:
        """Keep what a comparison gave, or what was made of it."""
        first = args[0]
        if first in self:
            self[result] = self[first]
        elif first.is_floating_point() and any(isinstance(n, int | float) and n == 0 for n in args[1:2]):
            self[result] = first

    def gated(self, args: tuple[Any, ...]) -> Tensor | None:
        """Return the activations that a comparison of themselves switches off, if this is what happens."""
        tensors = [each for each in args if isinstance(each, Tensor)]
        compared = [self[each] for each in tensors if each in self]
        return next((each for each in tensors if any(each is one for one in compared)), None)

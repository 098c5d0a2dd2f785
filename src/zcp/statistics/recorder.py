"""What sees the operations of a network while it runs, whatever they were written as."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from zcp.statistics.calls import Call, is_parameter
from zcp.statistics.operations import COMPOSED, KINDS, LAYERS, OPERATIONS, TWICE, Operation

#: What runs for `tensor.requires_grad = True`.
_ASK = {Tensor.requires_grad.__set__}  # type: ignore[attr-defined]


class Recorder(TorchFunctionMode):
    """Keeps what the operations of a network see while it runs inside the block.

    Args:
        kinds: of the operations to keep.
        own_inputs: give each layer a view of its input, so that the gradient with respect to it is what flows
            through this layer alone, also where others read the same tensor.
        copies: give each operation a copy of its input and the network a copy of its output, so that what it
            overwrites in place is not what was kept.
        without_norms: let every norm hand on its input.
        twice: run what has no second derivative as a composition of what has one.
        arguments: keep the arguments of functions.
        take: is given each call when it ends; the calls are then not kept.
    """

    def __init__(
        self,
        kinds: Sequence[str] = KINDS,
        *,
        own_inputs: bool = False,
        copies: bool = False,
        without_norms: bool = False,
        twice: bool = False,
        arguments: bool = False,
        take: Callable[[Call], None] | None = None,
    ) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.kinds, self.arguments = frozenset(kinds), arguments
        self.own_inputs, self.copies, self.without_norms, self.twice = (
            own_inputs,
            copies,
            without_norms,
            twice,
        )
        self._take = take or self.calls.append
        self._last: Call | None = None
        self._composed = False
        self._hidden = 0
        self._sources: dict[Tensor, tuple[Tensor, int]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function of PyTorch, and keep what it saw if it is an operation."""
        kwargs = kwargs or {}
        if self._hidden:
            return func(*args, **kwargs)
        operation = OPERATIONS.get(func)
        if operation is not None:
            return self._run(operation, func, args, kwargs)
        if func in COMPOSED:
            self._composed = True
            try:
                with self:
                    return COMPOSED[func](*args, **kwargs)
            finally:
                self._composed = False
        if func in _ASK and args[0].requires_grad:
            # Some networks ask for the gradient of their inputs, which are no leaves here.
            return None
        return func(*args, **kwargs)

    def _run(
        self, operation: Operation, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        given = _argument(operation.input, args, kwargs)
        weight = _argument(operation.weight, args, kwargs) if operation.weight else None
        kind, channels = operation.kind, 1 if operation.kind == "convolution" else -1
        if kind == "product":
            kind, given, weight, channels = _product(given, weight)
        if not isinstance(given, Tensor) or isinstance(given, nn.Parameter) or not given.is_floating_point():
            return func(*args, **kwargs)
        if kind == "norm" and self.without_norms:
            # A copy, because the network may overwrite what it takes for another tensor.
            return given.clone()
        # A layer without elements adds nothing that could be looked at.
        if kind not in self.kinds or (isinstance(weight, Tensor) and not weight.numel()):
            return self._evaluate(func, args, kwargs)
        own = given
        may_overwrite = kind == "activation" and _may_overwrite(func, args, kwargs)
        if self.copies or may_overwrite:
            own = given.clone()
        elif self.own_inputs and kind in LAYERS:
            own = given.view_as(given)
        entered = own.clone() if may_overwrite else own
        if entered is not given:
            args, kwargs = _replaced(given, entered, args, kwargs)
        result = self._evaluate(func, args, kwargs)
        output = result if isinstance(result, Tensor) else result[0]
        source, version = self._sources.get(given, (given, given._version))
        if version != given._version:
            source = given
        versions = own._version, output._version
        call = Call(kind, own, output, weight, source, versions, func, channels, self._composed)
        if self.arguments:
            call.args, call.kwargs = args, kwargs
        if result is entered is not given:
            # Who calls an activation in place may read what it was given, and not what it returns.
            result = given.copy_(output)
        elif self.copies and isinstance(result, Tensor):
            result = output.clone()
        if result is not output and isinstance(result, Tensor):
            self._sources[result] = output, result._version
        self._last = call
        self._take(call)
        return result

    def _evaluate(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.twice:
            return func(*args, **kwargs)
        if func is torch.nn.functional.scaled_dot_product_attention:
            with sdpa_kernel(SDPBackend.MATH):
                return func(*args, **kwargs)
        return TWICE.get(func, func)(*args, **kwargs)

    def hide(self, network: nn.Module) -> list[RemovableHandle]:
        """Do not see what computes the weights of parametrised layers: it works on no activations.

        Returns:
            The hooks that this needs; the caller removes them.
        """

        def begin(*_: Any) -> None:
            self._hidden += 1

        def end(*_: Any) -> None:
            self._hidden -= 1

        return [
            handle
            for module in network.modules()
            if isinstance(module, ParametrizationList)
            for handle in (
                module.register_forward_pre_hook(begin),
                module.register_forward_hook(end, always_call=True),
            )
        ]

    def name(self, kind: str, module: nn.Module, _args: Any, _output: Any) -> None:
        """Tell, as a forward hook, which module the last operation was."""
        if self._last and self._last.kind == kind:
            self._last.module = module


def _argument(place: tuple[int, str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    position, name = place
    return args[position] if len(args) > position else kwargs.get(name)


def _may_overwrite(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether an activation may work in place: by its name or by an argument."""
    return func.__name__.endswith("_") or bool(kwargs.get("inplace")) or any(a is True for a in args[1:])


def _replaced(
    given: Tensor, own: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments with one tensor in the place of another."""
    return (
        tuple(own if each is given else each for each in args),
        {name: own if each is given else each for name, each in kwargs.items()},
    )


def _product(first: Any, second: Any) -> tuple[str, Any, Any, int]:
    """Return (kind, activations, weight, channels) of a product."""
    if is_parameter(second):
        return "linear", first, second, -1
    if is_parameter(first) and isinstance(second, Tensor):
        return "linear", second, first, -2
    return "product", first, None, -1

"""What sees the operations of a network while it runs, whatever they were written as."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from zcp.statistics.calls import Call
from zcp.statistics.compositions import CHAINS, COMPOSED, exchanged
from zcp.statistics.operations import ATTENTION, KINDS, LAYERS, OPERATIONS, TWICE, WEIGHTED, Operation
from zcp.statistics.origins import MADE, Origins
from zcp.statistics.product_layers import Form, as_layer
from zcp.statistics.products import PRODUCTS, Product, operands_of, read_product
from zcp.statistics.readings import argument, replaced
from zcp.statistics.spellings import ADDITIONS, CASTS, COMPARISONS, GATES, IN_PLACE, Compared

#: What runs for `tensor.requires_grad = True`.
_ASK = {Tensor.requires_grad.__set__}  # type: ignore[attr-defined]
Function = Callable[..., Any]
_GATE, _PRODUCT = Operation("activation"), Operation("product")


class Overwrites(Exception):
    """A network overwrites activations in place."""


class Recorder(TorchFunctionMode):
    """Keeps what the operations of a network see while it runs inside the block.

    Args:
        kinds: of the operations to keep.
        own_inputs: give each layer a view of its input, so that the gradient with respect to it is what flows
            through this layer alone, also where others read the same tensor.
        copies: give each operation a copy of its input and the network a copy of its output, so that what it
            overwrites in place is not what was kept, or is needed by a backward. None: raise `Overwrites`
            when the network first overwrites what has a gradient.
        without_norms: let every norm hand on its input.
        twice: run what has no second derivative as a composition of what has one.
        arguments: keep the arguments of functions.
        biases: let the output of a layer be that with its bias, also where the network adds it by itself.
        take: is given each call when it ends, of a layer without a bias when the next one begins; the calls
            are then not kept.

    Attributes:
        calls: what was kept, in order of execution.
        last: the last operation that was seen.
        origins: what tensors are made of.
        owners: id of a weight -> the module that operations with it are.
    """

    def __init__(
        self,
        kinds: Sequence[str] = KINDS,
        *,
        own_inputs: bool = False,
        copies: bool | None = False,
        without_norms: bool = False,
        twice: bool = False,
        arguments: bool = False,
        biases: bool = True,
        take: Callable[[Call], None] | None = None,
    ) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.kinds, self.arguments, self.biases = frozenset(kinds), arguments, biases
        self.own_inputs, self.copies, self.without_norms, self.twice = (
            own_inputs,
            copies,
            without_norms,
            twice,
        )
        self._take = take or self.calls.append
        self.last: Call | None = None
        self._attends = self._chained = False
        self.origins = Origins()
        self.owners: dict[int, nn.Module] = {}
        self._sources: dict[Tensor, tuple[Tensor, int]] = {}
        self._compared = Compared()
        # A layer that may yet get its bias, what it returned, and how the network has that.
        self._open: tuple[Call, Tensor, Form | None] | None = None

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        if error[0] is None:
            self._close()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """See what a function that was seen calls."""
        super().__enter__()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            super().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _close(self) -> None:
        """Hand the last layer on as it is."""
        if self._open is not None:
            (call, *_), self._open = self._open, None
            self._take(call)

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function of PyTorch, and keep what it saw if it is an operation."""
        kwargs = kwargs or {}
        if self.origins.hidden:
            return func(*args, **kwargs)
        operation = OPERATIONS.get(func)
        if operation is not None:
            return self._run(operation, func, args, kwargs)
        if self._compared and func in GATES and (gated := self._compared.gated(args)) is not None:
            self._close()
            return self._see(_GATE, gated, func, args, kwargs)
        if self._open is not None and func in ADDITIONS and self._adds_bias(*args[:2]):
            return self._biased(func, args, kwargs)
        if func in PRODUCTS and (product := read_product(func, args, kwargs)) is not None:
            return self._multiply(product, func, args, kwargs)
        if func in COMPOSED and (func is not torch.einsum or len(operands_of(args[1:])) > 2):
            return self._compose(func, args, kwargs)
        if func in _ASK and args[0].requires_grad:
            # Some networks ask for the gradient of their inputs, which are no leaves here.
            return None
        return self._other(func, args, kwargs)

    def _other(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run what is no operation."""
        if self.copies is None and (func in IN_PLACE or kwargs.get("inplace")):
            _require_no_gradient(argument((0, "input"), args, kwargs))
        result = func(*args, **kwargs)
        if func in COMPARISONS or (self._compared and func in CASTS):
            self._compared.keep(args, result)
        self.origins.note(args, kwargs, result)
        return result

    def _compose(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that is made of operations, which are seen."""
        before = self._attends, self._chained
        self._attends, self._chained = func in ATTENTION or self._attends, func in CHAINS or self._chained
        try:
            with self._inside():
                return COMPOSED[func](*args, **kwargs)
        finally:
            self._attends, self._chained = before

    def _multiply(
        self, product: Product, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a product: of two activations, with a weight as a layer, or unseen what computes a weight."""
        factors = product.first, product.second
        made = self.origins.compute_weight(*factors)
        if (made and not self._chained) or not product.first.is_floating_point():
            return self._other(func, args, kwargs)
        weights = [not made and self.origins.is_weight(each) for each in factors]
        if not any(weights):
            self._close()
            result = self._see(_PRODUCT, product.first, func, args, kwargs)
            self.origins.set(result, MADE if made else None)
            return result
        layer = as_layer(product if weights[1] else product.turned())
        with self._inside():
            outputs = layer.run()
        if layer.form is None:
            return outputs
        result = layer.form.give(outputs)
        if self._open is not None:
            self._open = self._open[0], result, layer.form
        return result

    def _run(
        self, operation: Operation, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if operation.rectified is None:
            given = argument(operation.input, args, kwargs)
        elif (given := operation.rectified(args, kwargs)) is None:
            return self._other(func, args, kwargs)
        self._close()
        if not isinstance(given, Tensor) or not given.is_floating_point():
            return self._other(func, args, kwargs)
        if self.origins.is_constant(given):
            if operation.kind not in WEIGHTED:
                return self._other(func, args, kwargs)
            if func is F.linear and not self.origins.is_constant(argument(operation.weight, args, kwargs)):
                return self._compose(exchanged, args, kwargs)
        if operation.kind == "norm" and self.without_norms:
            # A copy, because the network may overwrite what it takes for another tensor.
            return given.clone()
        return self._see(operation, given, func, args, kwargs)

    def _see(
        self,
        operation: Operation,
        given: Tensor,
        func: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        kind, weight = operation.kind, argument(operation.weight, args, kwargs)
        may_overwrite = kind == "activation" and _may_overwrite(func, args, kwargs)
        # A layer without elements adds nothing that could be looked at.
        is_seen = kind in self.kinds and not (isinstance(weight, Tensor) and not weight.numel())
        if not is_seen and not self.copies:
            if may_overwrite and self.copies is None:
                _require_no_gradient(given)
            return self._evaluate(func, args, kwargs)
        own = given
        if self.copies or may_overwrite:
            own = given.clone()
        elif self.own_inputs and kind in LAYERS:
            own = given.view_as(given)
        entered = own.clone() if may_overwrite else own
        if entered is not given:
            args, kwargs = replaced(given, entered, args, kwargs)
        result = self._evaluate(func, args, kwargs)
        output = result if isinstance(result, Tensor) else result[0]
        versions = own._version, output._version
        channels = 1 if kind == "convolution" else -1
        call = Call(kind, own, output, weight, self._source(given), versions, func, channels)
        # Who calls an activation in place may read what it was given, and not what it returns.
        in_place = result is entered is not given
        result = given.copy_(output) if in_place else self._returned(output, result)
        if is_seen:
            self._keep(call, operation, args, kwargs, result)
        return result

    def _source(self, given: Tensor) -> Tensor:
        """Return the tensor that this one is a copy of, unless it was overwritten since."""
        if not self._sources:  # without copies
            return given
        source, version = self._sources.get(given, (given, given._version))
        return source if version == given._version else given

    def _returned(self, output: Tensor, result: Any) -> Any:
        """Return what the network gets of an operation, such that it may overwrite it."""
        if self.copies and isinstance(result, Tensor):
            result = output.clone()
        if result is not output and isinstance(result, Tensor):
            self._sources[result] = output, result._version
        return result

    def _keep(
        self, call: Call, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        call.tokens_first, call.module = self._attends, self.owners.get(id(call.weight))
        if self.arguments:
            call.args, call.kwargs = args, kwargs
        if call.kind in WEIGHTED and operation.bias:
            bias = argument(operation.bias, args, kwargs)
            call.biased = isinstance(bias, Tensor)
        self.last = call
        if self.biases and call.kind in WEIGHTED and not call.biased:
            self._open = call, result, None
        else:
            self._take(call)

    def _adds_bias(self, first: Any = None, second: Any = None) -> bool:
        """Tell whether a sum is that of the last layer and a parameter with a number for each channel."""
        assert self._open is not None
        call, result, form = self._open
        bias = second if first is result else first if second is result else None
        if not self.origins.is_weight(bias):
            return False
        if form is not None:
            return form.is_bias(bias.shape)
        shape = [1] * result.ndim
        shape[call.channels] = result.shape[call.channels]
        return shape[result.ndim - bias.ndim :] == [*bias.shape]

    def _biased(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the sum of the last layer and its bias, and keep it as what the layer gave."""
        assert self._open is not None
        call, result, form = self._open
        in_place = func in IN_PLACE
        if in_place and self.copies is None:
            _require_no_gradient(result)
        found = torch.add(*args, **kwargs) if in_place else func(*args, **kwargs)
        call.output = found if form is None else form.take(found)
        call.biased, call.versions = True, (call.versions[0], call.output._version)
        self._close()
        if form is not None:
            found = form.give(call.output)
        if not in_place:
            return self._returned(call.output, found)
        self._sources[result] = call.output, result._version + 1
        return result.copy_(found)

    def _evaluate(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.twice:
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            with sdpa_kernel(SDPBackend.MATH):
                return func(*args, **kwargs)
        return TWICE.get(func, func)(*args, **kwargs)


def _may_overwrite(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether an activation may work in place: by its name or by an argument."""
    return func.__name__.endswith("_") or bool(kwargs.get("inplace")) or any(a is True for a in args[1:])


def _require_no_gradient(overwritten: Any) -> None:
    if isinstance(overwritten, Tensor) and overwritten.requires_grad:
        raise Overwrites

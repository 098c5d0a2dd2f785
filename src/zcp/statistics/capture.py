"""One forward of a network, and what its operations saw, whatever they were written as."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from zcp.errors import InputError, Undefined
from zcp.statistics.operations import COMPOSED, KINDS, LAYERS, OPERATIONS, TWICE, Operation

#: Modules that are named in calls -> the kind of what they run; an operation of any other has no module.
NAMED = {nn.Conv2d: "convolution", nn.BatchNorm2d: "norm", nn.ReLU: "activation"}


#: What runs for `tensor.requires_grad = True`.
_ASK = {Tensor.requires_grad.__set__}  # type: ignore[attr-defined]


@dataclass(slots=True, eq=False)
class Call:
    """One execution of an operation: a module that runs twice gives two calls.

    Attributes:
        kind: of `zcp.statistics.operations`.
        input: the activations that entered; gradients with respect to it are what flows through this alone
            where the pass was asked for it.
        output: what left. weight: what was multiplied, as the operation got it: what a parametrisation gave,
        not its leaves; None
            where there is none.
        source: the tensor that `input` is or is a copy of, as the operation before gave it.
        versions: of input and output when the operation ended.
        function: what ran.
        channels: the dimension of `output` that the rows of a weight make; the last where there is none.
        tokens_first: whether tensors are (T, B, C) or, without dimensions for both, (T * B, C).
        module: the module that the operation is, if it is one of `NAMED`.
        args, kwargs: of the function, where the pass was asked for them.
    """

    kind: str
    input: Tensor
    output: Tensor
    weight: Tensor | None
    source: Tensor
    versions: tuple[int, int]
    function: Callable[..., Any]
    channels: int = -1
    tokens_first: bool = False
    module: nn.Module | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def by_sample(self, tensor: Tensor, samples: int) -> Tensor:
        """Return a tensor of the shape of input or output with its samples in the first dimension.

        Raises:
            Undefined: if they cannot be told.
        """
        if self.tokens_first:
            tokens = tensor if tensor.ndim > 2 else tensor.reshape(-1, samples, *tensor.shape[1:])
            return tokens.transpose(0, 1)
        if len(tensor) == samples:
            return tensor
        if tensor.ndim > 2 and tensor.shape[1] == samples:
            return tensor.transpose(0, 1)
        if len(tensor) % samples:
            raise Undefined(f"an operation has {len(tensor)} rows for {samples} samples")
        # Some have one for each sample and token, or window.
        return tensor.reshape(samples, -1, *tensor.shape[1:])

    @property
    def intact(self) -> bool:
        """Whether no in-place operation has overwritten input or output since."""
        return (self.input._version, self.output._version) == self.versions


class Pass(NamedTuple):
    """What one forward gave: the logits, and the calls in order of execution."""

    inputs: Tensor
    logits: Tensor
    calls: list[Call]

    def of(self, *kinds: str) -> list[Call]:
        """Return the calls of these kinds, in order of execution."""
        return [call for call in self.calls if call.kind in kinds]

    def intact(self, *kinds: str) -> list[Call]:
        """Return the same calls, for those who read values.

        Raises:
            Undefined: if an in-place operation has overwritten an input or output since.
        """
        return require_intact(self.of(*kinds))


def require_intact(calls: list[Call]) -> list[Call]:
    """Return `calls`.

    Raises:
        Undefined: if an in-place operation has overwritten an input or output since.
    """
    for call in calls:
        if not call.intact:
            raise Undefined(
                f"the network overwrites what an operation ({call.kind}) read or gave, and does so in some "
                "passes only; use the out-of-place form of relu_, += and the like"
            )
    return calls


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
        if kind not in self.kinds:
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
            with sdpa_kernel(SDPBackend.MATH):  # type: ignore[no-untyped-call]
                return func(*args, **kwargs)
        return TWICE.get(func, func)(*args, **kwargs)

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


def is_parameter(tensor: Any) -> bool:
    """Tell whether this is a parameter or a view of one."""
    base = tensor if getattr(tensor, "_base", None) is None else tensor._base
    return isinstance(base, nn.Parameter)


class Rebound(nn.Module):
    """A network that runs with tensors of its own in place of its parameters and buffers.

    Args:
        network: any module.
        change: makes the own tensors of the network's.
    """

    def __init__(
        self, network: nn.Module, change: Callable[[Tensor], Tensor] = lambda tensor: tensor
    ) -> None:
        super().__init__()
        self.network = network
        self._leaves: dict[Tensor, Tensor] = {
            p: nn.Parameter(change(p.detach()).detach()) for p in network.parameters()
        }
        self._bound = {name: self._leaves[p] for name, p in network.named_parameters()}
        self._bound |= {
            name: change(b) if b.is_floating_point() else b for name, b in network.named_buffers()
        }

    def leaf(self, parameter: Tensor) -> Tensor:
        """Return the tensor in the place of a parameter; gradients are with respect to it."""
        return self._leaves[parameter]

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = functional_call(self.network, self._bound, (inputs,))
        return output


def forward(network: nn.Module, inputs: Tensor, kinds: Sequence[str] = KINDS, **asked: Any) -> Pass:
    """Run `network` on `inputs` and keep what its operations saw; nothing stays behind.

    Args:
        network: any module.
        inputs: what it runs on.
        kinds: of the operations to keep.
        asked: further arguments of `Recorder`.

    Raises:
        InputError: if the network returns something other than one tensor.
    """
    if not kinds and not any(asked.values()):
        return Pass(inputs, check_logits(network(inputs)), [])
    recorder = Recorder(kinds, **asked)
    handles: list[RemovableHandle] = []
    if kinds and not asked.get("take"):
        handles = [
            module.register_forward_hook(partial(recorder.name, kind))
            for module in network.modules()
            for known, kind in NAMED.items()
            if isinstance(module, known)
        ]
    with ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        with recorder:
            logits = network(inputs)
    return Pass(inputs, check_logits(logits), recorder.calls)


def check_logits(logits: object) -> Tensor:
    """Return what a network returned, if it is a tensor.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(logits, Tensor):
        parts = f" of {len(logits)} items" if isinstance(logits, Sequence) else ""
        raise InputError(
            f"the network returned a {type(logits).__name__}{parts}, not a tensor of logits; wrap it in a "
            "module whose forward returns the logits alone, such as network(x)[1] for (features, logits)"
        )
    return logits


def gradients(
    outputs: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool = False, create_graph: bool = False
) -> list[Tensor]:
    """Return the gradients of the sum of `outputs`, zeros where a tensor does not take part.

    Nothing is written to any `.grad`.
    """
    if not wrt:
        return []
    if not outputs.requires_grad:
        return [torch.zeros_like(tensor) for tensor in wrt]
    found = torch.autograd.grad(
        outputs.sum(),
        list(wrt),
        retain_graph=keep_graph or create_graph,
        create_graph=create_graph,
        allow_unused=True,
    )
    return [torch.zeros_like(t) if g is None else g for t, g in zip(wrt, found, strict=True)]

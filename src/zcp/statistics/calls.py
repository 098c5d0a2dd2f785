"""What one forward of a network is remembered by: the calls of its operations."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from zcp.errors import Undefined


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
        biased: whether a layer adds a bias, by itself or in the next operation.
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
    biased: bool = False
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
            raise Undefined(
                f"an operation has {len(tensor)} rows for {samples} samples, as those on packed sequences "
                "have, so which row belongs to which sample is not known"
            )
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


def is_parameter(tensor: Any) -> bool:
    """Tell whether this is a parameter or a view of one."""
    base = tensor if getattr(tensor, "_base", None) is None else tensor._base
    return isinstance(base, nn.Parameter)

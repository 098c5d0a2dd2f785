"""What the last layer of a network gave."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from zcp.statistics.calls import is_parameter
from zcp.statistics.compositions import COMPOSED
from zcp.statistics.operations import OPERATIONS, WEIGHTED
from zcp.statistics.products import PRODUCTS
from zcp.statistics.spellings import ADDITIONS


class LastLayer(TorchFunctionMode):
    """Remembers what the last layer gave, with its bias, and has no hand in how anything runs.

    Attributes:
        output: of the last convolution, linear layer, product, or whatever is composed of these.
    """

    def __init__(self) -> None:
        super().__init__()
        self.output: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run a function, and look whether it is a layer or adds a bias to the last one."""
        result = func(*args, **(kwargs or {}))
        if _is_layer(func) or (func in ADDITIONS and self._adds_bias(*args[:2])):
            self.output = result if isinstance(result, Tensor) else result[0]
        return result

    def _adds_bias(self, first: Any = None, second: Any = None) -> bool:
        pairs = ((first, second), (second, first))
        return self.output is not None and any(
            one is self.output and is_parameter(other) for one, other in pairs
        )


def _is_layer(func: Callable[..., Any]) -> bool:
    operation = OPERATIONS.get(func)
    is_weighted = operation is not None and operation.kind in WEIGHTED
    return is_weighted or func in PRODUCTS or func in COMPOSED

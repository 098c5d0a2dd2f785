"""What the functions of PyTorch do to activations: the kinds of operations that the passes keep.

A kind is what an operation computes, however it was written: `nn.Conv1d`, `F.conv1d` and `torch.conv1d` are
convolutions, `@`, `torch.einsum` and `x.matmul` are products, `F.relu_` and `nn.ReLU` are activations.

* `convolution`: of any rank, transposed or not;
* `linear`: `F.linear`, and a product with a weight, by `zcp.statistics.products`;
* `product`: of two activations; `attention`: scaled dot products, fused;
* `norm`: batch, layer, group, instance, RMS and local response normalisation;
* `activation`: element-wise and not linear, gates such as the sigmoid among them, by name or written as
  `zcp.statistics.spellings` lists; softmax is none;
* `pool`: windows and averages, `mean` among them.

A norm or an activation that is written out in other arithmetic is seen as what its parts are.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zcp.statistics.spellings import RECTIFIERS, named

#: Operations with a weight that formulas take as layers.
LAYERS = ("convolution", "norm", "linear")
#: Operations whose weight is multiplied with activations.
WEIGHTED = ("convolution", "linear")
KINDS = (*LAYERS, "product", "attention", "activation", "pool")


class Operation(NamedTuple):
    """How a function is read.

    Attributes:
        kind: what it computes.
        input: position and name of the activations that enter.
        weight: of the weight; None where there is none.
        bias: of the bias of a layer.
        rectified: tells from the arguments which activations enter, and whether it is an operation at all.
    """

    kind: str
    input: tuple[int, str] = (0, "input")
    weight: tuple[int, str] | None = None
    bias: tuple[int, str] | None = None
    rectified: Callable[[tuple[Any, ...], dict[str, Any]], Any] | None = None


_ACTIVATIONS = """
    relu relu_ relu6 leaky_relu leaky_relu_ prelu rrelu rrelu_ elu elu_ selu selu_ celu celu_ gelu silu mish
    hardswish hardsigmoid hardtanh hardtanh_ sigmoid sigmoid_ tanh tanh_ softplus softsign logsigmoid
    threshold _threshold threshold_ hardshrink softshrink tanhshrink glu
"""
_POOLS = """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d lp_pool1d lp_pool2d
    mean
"""
_CONVOLUTIONS = """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
"""
#: Norms by the position of their weight in `torch.nn.functional`.
_NORMS = {
    "batch_norm": 3, "instance_norm": 3, "layer_norm": 2, "group_norm": 2, "rms_norm": 2,
    "local_response_norm": None,
}  # fmt: skip


def _table() -> dict[Callable[..., Any], Operation]:
    table = {f: Operation("activation", rectified=tell) for f, tell in RECTIFIERS.items()}
    table |= {f: Operation("activation") for f in named(*_ACTIVATIONS.split())}
    table |= {f: Operation("pool") for f in named(*_POOLS.split())}
    layer = {"weight": (1, "weight"), "bias": (2, "bias")}
    table |= {f: Operation("convolution", **layer) for f in named(*_CONVOLUTIONS.split())}  # type: ignore[arg-type]
    for name, position in _NORMS.items():
        table[getattr(F, name)] = Operation("norm", weight=None if position is None else (position, "weight"))
    # Those of `torch` take their arguments in another order.
    for name, position in {"batch_norm": 1, "instance_norm": 1, "layer_norm": 2, "group_norm": 2}.items():
        table[getattr(torch, name)] = Operation("norm", weight=(position, "weight"))
    table[F.linear] = Operation("linear", **layer)  # type: ignore[arg-type]
    table[F.scaled_dot_product_attention] = Operation("attention", (0, "query"))
    return table


OPERATIONS = _table()


def _seen_through(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of PyTorch that is written in Python, so that a mode sees what it calls."""
    assert isinstance(function, FunctionType)
    inside = {**function.__globals__, "has_torch_function": lambda _: False}
    twin = FunctionType(function.__code__, inside, function.__name__, function.__defaults__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


#: Attention with its projections -> its twin, whose operations are seen.
ATTENTION = {F.multi_head_attention_forward: _seen_through(F.multi_head_attention_forward)}


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    return F.relu6(input + 3) / 6


def _hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    return input * _hardsigmoid(input)


#: Activations without a second derivative -> the same, composed of what has one.
TWICE: dict[Callable[..., Any], Callable[..., Any]] = {F.hardsigmoid: _hardsigmoid, F.hardswish: _hardswish}

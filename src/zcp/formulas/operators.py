"""The operators of EZNAS and GreenMachine, completed where the originals raise an error.

EZNAS (Akhauri et al. 2022) published its operators; GreenMachine (Cortes et al. 2024) published formulas over
them and no code. Where operands do not fit, EZNAS drops the layer. **What is done instead is ours**, and all
of it is in this module:

* operands of different shapes: a 0-d one is repeated; otherwise all are flattened and the longer are cut;
* `softmax`, `kl_div`: over dimension 1, of 1-d and 3-d tensors 0 (PyTorch's implicit choice); a 0-d gives 1;
* `kl_div(a, b)`: of softmax(b) from softmax(a), divided by the length of the first dimension;
* `cosine_similarity`: summed over the rows (first dimension, rest), each 0 where a row is 0;
* `mat_mul`: of (first dimension, rest), 1-d on the left a row and on the right a column, the inner dimension
  cut to the shorter; a product with a 0-d is elementwise;
* `determinant`: of the last two dimensions cut to a square, in float64, and of whole numbers without rounding
  (`zcp.kernels.exact`); 0-d and 1-d give their first element;
* `transpose`: swaps the last two dimensions, nothing below 2-d;
* `eigenvalue_ratio`, `general_eigenvalue_ratio`: NaN where A A^T is not finite;
* `log`: 0 for what is not positive; `standardise`: NaN becomes 0, so that a single element gives 0.

To take a formula's cost down to what its value needs, an operator tells how many leading elements (in memory
order) of its arguments the leading n elements of its result depend on: a comparison with a weight gradient
reads as many activations as there are weights and no more. Values are therefore flat, shapes go beside them.

Layers of equal shapes are computed together: a value is (layers, elements), or (1, elements) where it is the
same for all of them. Operators work on each layer by itself; shapes and counts are those of one layer.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from zcp import kernels
from zcp.formulas.tree import Expression
from zcp.kernels import exact
from zcp.kernels.eigenvalues import eigenvalues

#: Multiplications and additions of a matrix product that cost as much as one operation on elements.
FUSED = 16

Shape = tuple[int, ...]
Shapes = Sequence[Shape]


class Maker(Protocol):
    """Makes the tensors that do not come from arguments."""

    def constant(self, value: float, count: int) -> Tensor: ...
    def normal(self, shape: Shape) -> Tensor: ...


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        arity: number of arguments.
        shape: from the arguments' shapes to the result's.
        need: (count, shapes) -> how many leading elements of each argument `count` elements need.
        compute: (values, shapes, count, maker) -> (layers, `count`).
        meaning: one line.
        elementwise: whether an element of the result depends on that element of the arguments alone.
        order_free: whether the result stays the same when the elements of each row (first dimension) change
            places, in all arguments of equal shapes alike.
        host: whether it looks at values, which would make the host wait for a device: then it computes there.
        inner: how many elements its largest intermediate value has, where that may be more than all others.
        work: (count, shapes) -> element operations that `count` elements cost, each about a nanosecond of a
            core, where it is more than reading arguments and writing the result.
    """

    arity: int
    shape: Callable[[Shapes], Shape]
    need: Callable[[int, Shapes], list[int]]
    compute: Callable[[Sequence[Tensor], Shapes, int, Maker], Tensor]
    meaning: str
    elementwise: bool = False
    order_free: bool = False
    host: bool = False
    inner: Callable[[Shapes], int] = lambda _shapes: 0
    work: Callable[[int, Shapes], int] = lambda _count, _shapes: 0


def _joint(shapes: Shapes) -> Shape:
    """Shape that operands are brought to."""
    return reduce(_fit, shapes)


def _fit(a: Shape, b: Shape) -> Shape:
    if a == () or a == b:
        return b
    return a if b == () else (min(math.prod(a), math.prod(b)),)


def _same(shapes: Shapes) -> Shape:
    return shapes[0]


def _scalar(_shapes: Shapes) -> Shape:
    return ()


def _each(count: int, shapes: Shapes) -> list[int]:
    return [count if shape else 1 for shape in shapes]


def _all(_count: int, shapes: Shapes) -> list[int]:
    return [math.prod(shape) for shape in shapes]


def _none(_count: int, shapes: Shapes) -> list[int]:
    return [0 for _ in shapes]


def _paired(_count: int, shapes: Shapes) -> list[int]:
    return _each(math.prod(_joint(shapes)), shapes)


def _cut(value: Tensor, count: int) -> Tensor:
    """Return the first elements of each layer; a slice costs as much as a comparison of small tensors."""
    return value if value.shape[1] <= count else value[:, :count]


def _pair(values: Sequence[Tensor], shapes: Shapes) -> tuple[Tensor, Tensor]:
    """Both operands in their joint shape, behind the dimension of the layers."""
    shape = _joint(shapes)
    count = math.prod(shape)
    a, b = (v[:, :count].expand(-1, count).reshape(-1, *shape) for v in values)
    return a, b


def _unary(function: Callable[[Tensor], Tensor], meaning: str) -> Operator:
    return Operator(1, _same, _each, lambda v, _s, n, _m: function(_cut(v[0], n)), meaning, elementwise=True)


def _joined(function: Callable[..., Tensor], meaning: str, arity: int = 2) -> Operator:
    def compute(v: Sequence[Tensor], _s: Shapes, n: int, _m: Maker) -> Tensor:
        found = function(*(_cut(value, n) for value in v))
        return found if found.shape[1] == n else found.expand(-1, n)

    return Operator(arity, _joint, _each, compute, meaning, elementwise=True)


def _compare(function: Callable[..., Tensor], meaning: str) -> Operator:
    # Written straight into floats, which is four times faster than a cast afterwards.
    def compare(a: Tensor, b: Tensor) -> Tensor:
        return function(a, b, out=a.new_empty([max(sizes) for sizes in zip(a.shape, b.shape, strict=True)]))

    return _joined(compare, meaning)


def _test(function: Callable[..., Tensor], meaning: str) -> Operator:
    return _unary(lambda a: function(a, 0, out=torch.empty_like(a)), meaning)


def _reduce(function: Callable[[Tensor], Tensor], meaning: str) -> Operator:
    """`function` maps (layers, elements) to (layers, 1)."""

    def compute(v: Sequence[Tensor], s: Shapes, _n: int, _m: Maker) -> Tensor:
        return function(v[0][:, : math.prod(s[0])])

    return Operator(1, _scalar, _all, compute, meaning, order_free=True)


def _reduce_pair(
    function: Callable[[Tensor, Tensor], Tensor], meaning: str, *, order_free: bool = True
) -> Operator:
    """`function` maps two (layers, *shape) to (layers,)."""

    def compute(v: Sequence[Tensor], s: Shapes, _n: int, _m: Maker) -> Tensor:
        return function(*_pair(v, s))[:, None]

    return Operator(2, _scalar, _paired, compute, meaning, order_free=order_free)


def _fill(value: Callable[[Shape], float], shape: Callable[[Shapes], Shape], meaning: str) -> Operator:
    return Operator(1, shape, _none, lambda _v, s, n, m: m.constant(value(s[0]), n), meaning)


def _blocks(count: int, shape: Shape, keep: int) -> int:
    """Number of elements in the whole blocks of the last dimensions, from `keep` on, that hold `count`."""
    block = math.prod(shape[keep:])
    return -(-count // block) * block


# --- softmax and what rests on it


def _softmax_dim(shape: Shape) -> int:
    return 0 if len(shape) in (0, 1, 3) else 1


def _softmax_need(count: int, shapes: Shapes) -> list[int]:
    (shape,) = shapes
    if not shape:
        return [0]
    return [_blocks(count, shape, 1) if _softmax_dim(shape) else math.prod(shape)]


def _softmax(v: Sequence[Tensor], s: Shapes, n: int, maker: Maker) -> Tensor:
    (shape,) = s
    if not shape:
        return maker.constant(1.0, 1)
    (need,) = _softmax_need(n, s)
    whole = v[0][:, :need].reshape(len(v[0]), -1, *shape[1:])
    return torch.softmax(whole, _softmax_dim(shape) + 1).flatten(1)[:, :n]


def _kl_div(a: Tensor, b: Tensor) -> Tensor:
    if a.ndim == 1:
        # The softmax of a scalar is 1, so nothing diverges.
        return torch.zeros_like(a + b)
    dim = _softmax_dim(a.shape[1:]) + 1
    return _kl_div_raw(a.log_softmax(dim), b.softmax(dim))


def _kl_div_raw(a: Tensor, b: Tensor) -> Tensor:
    # A value that is the same for all layers has length 1.
    layers = max(len(a), len(b))
    a, b = a.expand(layers, *a.shape[1:]), b.expand(layers, *b.shape[1:])
    total = F.kl_div(a, b, reduction="none").reshape(layers, -1).sum(1)
    return total / (a.shape[1] if a.ndim > 1 else 1)


# --- matrices


def _matrices(shapes: Shapes) -> tuple[int, int, int, int]:
    """Return rows and columns of the left and the right matrix of a product."""
    left, right = shapes
    left = (1, *left) if len(left) == 1 else left
    right = (*right, 1) if len(right) == 1 else right
    return left[0], math.prod(left[1:]), right[0], math.prod(right[1:])


def _mat_mul_shape(shapes: Shapes) -> Shape:
    if () in shapes:
        return _joint(shapes)
    rows, _, _, columns = _matrices(shapes)
    return rows, columns


def _mat_mul_need(count: int, shapes: Shapes) -> list[int]:
    if () in shapes:
        return _each(count, shapes)
    _, width, height, columns = _matrices(shapes)
    return [-(-count // columns) * width, min(width, height) * columns]


def _mat_mul_work(count: int, shapes: Shapes) -> int:
    if () in shapes:
        return 0
    _, width, height, columns = _matrices(shapes)
    return -(-count // columns) * min(width, height) * columns // FUSED


def _mat_mul(v: Sequence[Tensor], s: Shapes, n: int, _maker: Maker) -> Tensor:
    left, right = (value[:, :need] for value, need in zip(v, _mat_mul_need(n, s), strict=True))
    if () in s:
        return (left * right).expand(-1, n)
    _, width, height, columns = _matrices(s)
    inner = min(width, height)
    left = left.reshape(len(left), -1, width)[..., :inner]
    return (left @ right.reshape(len(right), inner, columns)).flatten(1)[:, :n]


def _determinant_shape(shapes: Shapes) -> Shape:
    return shapes[0][:-2]


def _determinant_need(count: int, shapes: Shapes) -> list[int]:
    (shape,) = shapes
    return [count * math.prod(shape[-2:]) if len(shape) > 1 else 1]


def _determinant(
    function: Callable[[Tensor], Tensor], meaning: str, power: int, *, host: bool = False
) -> Operator:
    """`function` maps (count, side, side) to (count,), in side to this power operations each."""

    def compute(v: Sequence[Tensor], s: Shapes, n: int, _m: Maker) -> Tensor:
        (shape,) = s
        if len(shape) < 2:
            return v[0][:, :1]
        side = min(shape[-2:])
        matrices = v[0][:, : n * math.prod(shape[-2:])].reshape(-1, *shape[-2:])[:, :side, :side]
        return function(matrices).reshape(len(v[0]), n)

    def work(count: int, shapes: Shapes) -> int:
        return count * min(shapes[0][-2:]) ** power if len(shapes[0]) > 1 else 0

    return Operator(1, _determinant_shape, _determinant_need, compute, meaning, host=host, work=work)


def _determinants(matrices: Tensor) -> Tensor:
    """Return determinants, of matrices of whole numbers without rounding."""
    whole = exact.are_whole(matrices)
    if whole.all():
        return exact.determinants(matrices).to(matrices.dtype)
    found = kernels.batched_determinant(matrices)
    if whole.any():
        found[whole] = exact.determinants(matrices[whole]).to(found.dtype)
    return found


def _transpose_shape(shapes: Shapes) -> Shape:
    (shape,) = shapes
    return (*shape[:-2], *shape[:-3:-1]) if len(shape) > 1 else shape


def _transpose(v: Sequence[Tensor], s: Shapes, n: int, _maker: Maker) -> Tensor:
    (shape,) = s
    if len(shape) < 2:
        return v[0][:, :n]
    blocks = v[0][:, : _blocks(n, shape, -2)].reshape(len(v[0]), -1, *shape[-2:])
    return blocks.mT.flatten(1)[:, :n]


def _eigenvalue_ratio(solver: Callable[[Tensor], Tensor], meaning: str, factor: int) -> Operator:
    """`solver` takes `factor` times the time of a product of its matrix with itself."""

    def compute(v: Sequence[Tensor], s: Shapes, _n: int, maker: Maker) -> Tensor:
        (shape,) = s
        if not shape:
            return maker.constant(0.0, 1)
        rows = v[0][:, : math.prod(shape)].reshape(len(v[0]), shape[0], -1)
        product = rows @ rows.mT
        found = eigenvalues(product + product.mT, solver)
        return found.amax(1, keepdim=True) / found.amin(1, keepdim=True)

    def work(_count: int, shapes: Shapes) -> int:
        rows = shapes[0][0] if shapes[0] else 0
        return (rows * math.prod(shapes[0]) + factor * rows**3) // FUSED

    return Operator(1, _scalar, _all, compute, meaning, host=True, inner=_rows_squared, work=work)


def _rows_squared(shapes: Shapes) -> int:
    return shapes[0][0] ** 2 if shapes[0] else 1


# --- the rest


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    rows = a.shape[1] if a.ndim > 1 else 1
    a, b = a.reshape(len(a), rows, -1), b.reshape(len(b), rows, -1)
    norms = a.norm(dim=2).clamp_min(1e-8) * b.norm(dim=2).clamp_min(1e-8)
    products: Tensor = torch.linalg.vecdot(a, b) if a.shape[2] > 1 else (a * b)[..., 0]
    return products.div(norms).sum(1)


def _log(a: Tensor) -> Tensor:
    return torch.where(a > 0, a, 1.0).log_()


def _deviation(a: Tensor) -> Tensor:
    centred = a - a.mean(1, keepdim=True)
    # The norm is several times faster than torch.std and than an inner product.
    found: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / math.sqrt(a.shape[1] - 1)
    return found


def _standardise(a: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return ((a - mean) / deviation).nan_to_num_(0.0, math.inf, -math.inf)


def _standardised_norm(v: Sequence[Tensor], s: Shapes, _n: int, _maker: Maker) -> Tensor:
    spread = v[1][:, :1]
    # Where standardising gives NaN, and so 0: of one value, of equal ones, and of such that are not finite.
    usual = (spread > 0) & spread.isfinite()
    return usual.to(spread.dtype) * math.sqrt(max(math.prod(s[0]) - 1, 0))


def _deviation_of_tests(v: Sequence[Tensor], s: Shapes, _n: int, _maker: Maker) -> Tensor:
    count = math.prod(s[0])
    # Near 1 the mean has lost what the number of ones has not.
    ones = (v[1][:, :1].double() * count).round()
    return (ones * (count - ones) / count).div(count - 1).sqrt().to(v[1].dtype)


OPERATORS: dict[str, Operator] = {
    "sum": _joined(torch.add, "a + b"),
    "subtract": _joined(torch.sub, "a - b"),
    "element_wise_product": _joined(torch.mul, "a * b"),
    "min": _joined(torch.minimum, "the smaller of a and b, elementwise"),
    "max": _joined(torch.maximum, "the larger of a and b, elementwise"),
    "less_than": _compare(torch.lt, "1 where a < b, else 0"),
    "greater_than": _compare(torch.gt, "1 where a > b, else 0"),
    "equal": _compare(torch.eq, "1 where a = b, else 0"),
    "mat_mul": Operator(
        2, _mat_mul_shape, _mat_mul_need, _mat_mul, "matrix product of (first dim, rest)", work=_mat_mul_work
    ),
    "cosine_similarity": _reduce_pair(_cosine, "cosine of each row of a and b, summed"),
    "kl_div": _reduce_pair(
        _kl_div, "Kullback-Leibler divergence of softmax(b) from softmax(a)", order_free=False
    ),
    "kl_div_raw": _reduce_pair(_kl_div_raw, "sum(b log b - b a) / first dimension, as in EZNAS's code"),
    "hamming_distance": _reduce_pair(
        lambda a, b: ((a > 0) != (b > 0)).reshape(max(len(a), len(b)), -1).sum(1).to(a.dtype),
        "number of differing signs (> 0 or not)",
    ),
    "abs": _unary(torch.abs, "|a|"),
    "power": _unary(torch.square, "a squared"),
    "exp": _unary(torch.exp, "e to the a"),
    "log": _unary(_log, "natural logarithm, 0 where a <= 0"),
    "abslog": _unary(
        lambda a: torch.where(a == 0, 1.0, a).log_().abs_(), "|log a|, 0 where a = 0, NaN below"
    ),
    "signed_log": _unary(lambda a: a.log().nan_to_num_(0.0, math.inf, -math.inf), "log a, 0 where a < 0"),
    "round": _unary(torch.round, "nearest integer"),
    "relu": _unary(torch.relu, "a where positive, else 0"),
    "sign": _unary(torch.sign, "-1, 0 or 1"),
    "sigmoid": _unary(torch.sigmoid, "1 / (1 + exp(-a))"),
    "heaviside": _test(torch.gt, "1 where a > 0, else 0"),
    "greater_than_zero": _test(torch.gt, "1 where a > 0, else 0"),
    "less_than_zero": _test(torch.lt, "1 where a < 0, else 0"),
    "element_wise_invert": _unary(torch.reciprocal, "1 / a, infinite at 0"),
    "softmax": Operator(1, _same, _softmax_need, _softmax, "softmax over the implicit dimension"),
    "standardise": _joined(_standardise, "(a - b) / c, 0 where that is NaN", arity=3),
    "transpose": Operator(
        1, _transpose_shape, lambda n, s: [_blocks(n, s[0], -2)], _transpose, "last two dimensions swapped"
    ),
    "determinant": _determinant(_determinants, "determinant of the last two dimensions", 4, host=True),
    "determinant_literal": _determinant(
        kernels.batched_determinant, "the same in floating point: rounding decides which is 0", 3
    ),
    "eigenvalue_ratio": _eigenvalue_ratio(
        torch.linalg.eigvalsh, "largest by smallest eigenvalue of A A^T", 4
    ),
    "general_eigenvalue_ratio": _eigenvalue_ratio(torch.linalg.eigvals, "the same by a general solver", 16),
    "frobenius_norm": _reduce(
        lambda a: torch.linalg.vector_norm(a, dim=1, keepdim=True), "root of the sum of squares"
    ),
    "l1_norm": _reduce(lambda a: a.abs().mean(1, keepdim=True), "mean of |a|, as EZNAS names it"),
    "normalized_sum": _reduce(lambda a: a.mean(1, keepdim=True), "mean"),
    "deviation": _reduce(_deviation, "standard deviation of all elements"),
    "range": _reduce(lambda a: a.amax(1, keepdim=True) - a.amin(1, keepdim=True), "largest minus smallest"),
    "standardised_norm": Operator(
        2, _scalar, lambda _n, _s: [0, 1], _standardised_norm, "norm of a at mean 0, deviation 1; b its range"
    ),
    "deviation_of_tests": Operator(
        2, _scalar, lambda _n, _s: [0, 1], _deviation_of_tests, "standard deviation of a, 0 or 1, b its mean"
    ),
    "numel": _fill(lambda shape: float(math.prod(shape)), _scalar, "number of elements"),
    "ones_like": _fill(lambda _shape: 1.0, _same, "ones of a's shape"),
    "zeros_like": _fill(lambda _shape: 0.0, _same, "zeros of a's shape"),
    "gaussian_init": Operator(
        1, _same, _none, lambda _v, s, n, m: m.normal(s[0])[:, :n], "standard normal of a's shape"
    ),
}

#: Operators that are composed of others, from their one argument.
DERIVED: dict[str, Callable[[Expression], Expression]] = {
    "logdet": lambda a: Expression("signed_log", (Expression("determinant", (a,)),)),
    # (a - mean) / deviation over all elements
    "normalize": lambda a: Expression(
        "standardise", (a, Expression("normalized_sum", (a,)), Expression("deviation", (a,)))
    ),
}

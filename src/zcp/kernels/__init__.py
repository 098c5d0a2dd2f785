"""Triton kernels for what stays hot on a GPU, and the choice between them and their eager twins.

A kernel runs where the tensors are on a CUDA device and Triton can be imported (pip install 'zcp-nas[gpu]');
everywhere else, on a CPU always, its eager PyTorch twin does (`zcp.kernels.eager`; of a fused formula, the
operators themselves), and so it does where a kernel cannot be built (`refused` says why). No module here
imports Triton before it is needed. Tensors in, tensors out: what a formula is, they do not know.

* `gram`: agreements between samples, exact;
* `determinants`: of many small matrices, to the rounding of double precision;
* `elementwise`: an element-wise part of a formula in one pass over memory, to the rounding of its operators;
* `eigenvalues`: no kernel, LAPACK made safe for values that are not finite.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from zcp.kernels import eager

_enabled = True
#: Kernels that could not be built or launched in this process -> why.
refused: dict[str, str] = {}
_PASSED_ON = (torch.OutOfMemoryError, torch.AcceleratorError)


@cache
def _installed() -> bool:
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def disabled() -> Iterator[None]:
    """Use the eager twins only, in all threads, as the reference that kernels are compared with."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def usable(tensor: Tensor) -> bool:
    """Tell whether kernels run on the device of this tensor."""
    return _enabled and tensor.is_cuda and _installed()


def agreements(values: Tensor) -> Tensor:
    """Return how many units each two samples agree on, both > 0 or both not.

    Args:
        values: (samples, ...).

    Returns:
        (samples, samples), whole numbers in float64.
    """
    if not usable(values):
        return eager.agreements(values)
    from zcp.kernels import gram

    return _or_twin("gram", lambda: gram.agreements(values), lambda: eager.agreements(values))


def batched_determinant(matrices: Tensor) -> Tensor:
    """Return determinants, computed in float64, in the precision of the matrices.

    Of matrices of whole numbers rounding decides which are zero; see `zcp.kernels.exact`.

    Args:
        matrices: (count, side, side).

    Returns:
        (count,).
    """
    if not usable(matrices):
        return eager.determinants(matrices)
    from zcp.kernels import determinants as kernel

    if not 0 < matrices.shape[1] <= kernel.LARGEST:
        return eager.determinants(matrices)
    name = f"determinants of side {matrices.shape[1]}"
    return _or_twin(name, lambda: kernel.determinants(matrices), lambda: eager.determinants(matrices))


def fused(
    source: str, ending: str, values: Sequence[Tensor], count: int, twin: Callable[[], Tensor]
) -> Tensor:
    """Evaluate an element-wise formula.

    Args:
        source: of the kernel, in Triton, over leaves x0, x1, ... (`zcp.formulas.source`).
        ending: `mean`, `norm` (root of the sum of squares), or empty.
        values: of the leaves, (layers or 1, at least `count` or 1).
        count: how many leading elements.
        twin: gives the same from the operators one by one.

    Returns:
        (layers, `count`), or (layers, 1) with an ending.
    """
    if not usable(values[0]):
        return twin()
    from zcp.kernels import elementwise as kernel

    return _or_twin(source, lambda: kernel.evaluate(source, ending, values, count), twin)


def _or_twin(name: str, kernel: Callable[[], Tensor], twin: Callable[[], Tensor]) -> Tensor:
    """Return what a kernel gives, and where it cannot be built, from then on, what its twin does."""
    if name not in refused:
        try:
            return kernel()
        except _PASSED_ON:
            raise
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"
            warnings.warn(
                f"zcp goes on without a kernel that does not run here, more slowly: {refused[name]}\n{name}",
                RuntimeWarning,
                stacklevel=2,
            )
    return twin()

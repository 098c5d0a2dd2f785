"""Numerical kernels: determinants and eigenvalues of many matrices, and a Triton kernel where one pays.

The Triton kernel runs where the tensors are on a CUDA device and Triton can be imported (pip install
'zcp-nas[gpu]'). Everywhere else, on a CPU always, its eager PyTorch twin does (`zcp.kernels.eager`), and so
it does where the kernel cannot be built (`refused` says why). Triton is not imported before it is needed.
Tensors in, tensors out: what a formula is, they do not know.

* `determinants`: of many small matrices, to the rounding of double precision, in Triton;
* `exact`: of matrices of whole numbers, where no rounding may decide what is zero;
* `eigenvalues`: LAPACK made safe for values that are not finite.
"""

import warnings
from collections.abc import Callable, Iterator
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
    """Use the eager twin only, in all threads, as the reference that the kernel is compared with."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def usable(tensor: Tensor) -> bool:
    """Tell whether the kernel runs on the device of this tensor."""
    return _enabled and tensor.is_cuda and _installed()


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

"""The empirical neural tangent kernel."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from zcp.statistics.capture import gradients


def tangent_kernel(outputs: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return the Gram matrix (B, B), float64, of the gradients of each of `outputs` (B,).

    One backward a sample over the one graph: batch norm in training mode couples the samples, so gradients of
    single samples computed apart (as `torch.func.vmap` would) differ. Batched vector-Jacobian products give
    the same matrix; on a CPU they are slower, where 16 copies of every activation leave the cache, on a GPU
    they are a sixteenth of the launches. Rows are kept in the precision of the network; only one parameter at
    a time is cast to float64.
    """
    rows = jacobians(outputs, parameters) if outputs.device.type != "cpu" else None
    if rows is None:
        each = [gradients(output, parameters, keep_graph=True) for output in outputs]
        rows = (torch.stack(per_sample) for per_sample in zip(*each, strict=True))
    kernel = torch.zeros(len(outputs), len(outputs), dtype=torch.float64, device=outputs.device)
    for row in rows:
        jacobian = row.flatten(1).double()
        kernel += jacobian @ jacobian.T
    return kernel


def jacobians(outputs: Tensor, parameters: Sequence[Tensor]) -> Iterable[Tensor] | None:
    """Return the gradients of each of `outputs` (B,) in one backward: (B, ...) for each parameter.

    None where an operation of the network knows no batches of gradients.
    """
    if not outputs.requires_grad:
        return None
    wanted = list(parameters)

    def pull_back(cotangent: Tensor) -> list[Tensor]:
        found = torch.autograd.grad(outputs, wanted, cotangent, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, found, strict=True)]

    try:
        each = torch.eye(len(outputs), dtype=outputs.dtype, device=outputs.device)
        return torch.func.vmap(pull_back)(each)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except RuntimeError:
        return None

"""The empirical neural tangent kernel."""

from collections.abc import Sequence

import torch
from torch import Tensor

from zcp.statistics.capture import gradients


def tangent_kernel(outputs: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return the Gram matrix (B, B), float64, of the gradients of each of `outputs` (B,).

    One backward a sample over the one graph: batch norm in training mode couples the samples, so gradients of
    single samples computed apart (as `torch.func.vmap` would) differ. Batched vector-Jacobian products give
    the same matrix but are slower on a CPU, where 16 copies of every activation leave the cache. Rows are
    kept in the precision of the network; only one parameter at a time is cast to float64.
    """
    rows = [gradients(output, parameters, keep_graph=True) for output in outputs]
    kernel = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=outputs.device)
    for per_sample in zip(*rows, strict=True):
        jacobian = torch.stack(per_sample).flatten(1).double()
        kernel += jacobian @ jacobian.T
    return kernel

"""NNGP-NAS: how well the Gaussian process of the untrained network classifies (Park et al. 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zcp.errors import Undefined
from zcp.proxies.registry import proxy
from zcp.statistics.gaussian_process import DRAWS
from zcp.statistics.network import Statistics

#: Added to the diagonal of the kernel, relative to its mean.
RIDGE = 1e-3


@proxy(
    init="default",
    source="park2020nngp",
    data=True,
    labels=True,
    larger_is_better=False,
    batches=2,
    optional=f"takes {DRAWS} forwards over all batches, each with newly drawn weights",
)
def nngp(s: Statistics) -> Tensor:
    """Mean squared error of the network's Gaussian process on half of the samples, given the other half.

    The kernel is the inner product of the features before the last linear layer, averaged over four draws of
    the weights (PyTorch's default, also where weights are kept). Targets are one-hot, centred. The samples of
    all batches form one batch for the forwards; the first half conditions, the rest is predicted. Smaller is
    better. Ours: the number of draws, a ridge of 1e-3 and the error in place of the accuracy, which is too
    coarse on a hundred samples. Undefined for a dead network (zero kernel) and below two samples.
    """
    half = sum(len(inputs) for inputs, _ in s.batches) // 2
    if not half:
        raise Undefined("nngp predicts half of the samples from the other half and got only one sample")
    kernel, labels, classes = s.gaussian_process
    targets = F.one_hot(labels, classes).double() - 1 / classes
    ridge = RIDGE * kernel.diagonal().mean() * torch.eye(half, dtype=kernel.dtype, device=s.device)
    weights = torch.linalg.solve(kernel[:half, :half] + ridge, targets[:half])
    return F.mse_loss(kernel[half:, :half] @ weights, targets[half:])

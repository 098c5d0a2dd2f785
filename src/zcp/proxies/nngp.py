"""NNGP-NAS: how well the Gaussian process of the untrained network classifies (Park et al. 2020)."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zcp.errors import Undefined
from zcp.proxies.registry import proxy
from zcp.statistics import capture
from zcp.statistics.initialisation import initialise
from zcp.statistics.network import Statistics

#: Draws of the weights that the kernel is averaged over.
DRAWS = 4
#: Added to the diagonal of the kernel, relative to its mean.
RIDGE = 1e-3


@proxy(
    init="default",
    source="park2020nngp",
    data=True,
    labels=True,
    larger_is_better=False,
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
    inputs, labels = (torch.cat(parts) for parts in zip(*s.batches, strict=True))
    half = len(inputs) // 2
    if not half:
        raise Undefined("nngp predicts half of the samples from the other half and got only one sample")
    kernel, classes = _kernel(s, inputs, labels)
    targets = F.one_hot(labels, classes).double() - 1 / classes
    ridge = RIDGE * kernel.diagonal().mean() * torch.eye(half, dtype=kernel.dtype, device=s.device)
    weights = torch.linalg.solve(kernel[:half, :half] + ridge, targets[:half])
    return F.mse_loss(kernel[half:, :half] @ weights, targets[half:])


@torch.no_grad()
def _kernel(s: Statistics, inputs: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Return (kernel over all samples in float64, number of classes)."""
    network = copy.deepcopy(s.network)
    kernel = torch.zeros(len(inputs), len(inputs), dtype=torch.float64, device=s.device)
    for draw in range(DRAWS):
        # The draws depend on the seed through the noise, the one source of randomness that proxies have.
        initialise(network, "default", "nngp", draw, s.noise(f"nngp {draw}", (1,)).item())
        s.passes["forward"] += 1
        forward = capture.forward(network, inputs, watched=(nn.Linear,))
        if not forward.calls:
            raise Undefined("the network ran no nn.Linear, so the features before it cannot be told")
        s.loss(forward.logits, labels)  # refuses what has no classes, and labels that have no logit
        features = forward.calls[-1].input.flatten(1).double()
        kernel += features @ features.T / features.shape[1] / DRAWS
    if not kernel.any():
        raise Undefined("the features before the last nn.Linear are all zero (a dead network)")
    return kernel, forward.logits.shape[1]

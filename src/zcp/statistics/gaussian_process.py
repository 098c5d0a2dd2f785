"""The Gaussian process that a network is before training, from forwards with newly drawn weights."""

from typing import NamedTuple

import torch
from torch import Tensor

from zcp.errors import Kind, Undefined
from zcp.statistics.adapted import on_batch
from zcp.statistics.copies import duplicate
from zcp.statistics.head import entering
from zcp.statistics.initialisation import initialise
from zcp.statistics.operations import WEIGHTED
from zcp.statistics.runner import Runner

#: Draws of the weights that the kernel is averaged over.
DRAWS = 4


class Process(NamedTuple):
    """A Gaussian process over the samples of all batches.

    Attributes:
        kernel: (samples, samples), float64.
        labels: (samples,).
        classes: how many logits the network has.
    """

    kernel: Tensor
    labels: Tensor
    classes: int


@torch.no_grad()
def gaussian_process(s: Runner) -> Process:
    """Return the inner products of the features before the last linear layer, averaged over draws of weights.

    The samples of all batches form one batch for the forwards, on a copy of the network.
    It alone waits for the device: each draw needs a seed that is a value, and the weights on the host.

    Raises:
        InputError: if a label has no logit.
        Undefined: if the network ran no layer, or is dead.
    """
    inputs, labels = (torch.cat(parts) for parts in zip(*s.batches, strict=True))
    network = duplicate(s.network)
    kernel = torch.zeros(len(inputs), len(inputs), dtype=torch.float64, device=s.device)
    for draw in range(DRAWS):
        # The draws depend on the seed through the noise, the one source of randomness that proxies have.
        initialise(network, "default", "nngp", draw, s.noise(f"nngp {draw}", (1,)).item())
        with on_batch(network, None):
            forward = s.forward(network, inputs, WEIGHTED)
        s.cross_entropy(forward.logits, labels)  # refuses what has no classes, and labels that have no logit
        features = entering(forward).reshape(len(inputs), -1).double()
        kernel += features @ features.T / features.shape[1] / DRAWS
    if not kernel.any():
        raise Undefined("the features before the last layer are all zero (a dead network)", Kind.ZERO)
    return Process(kernel, labels, forward.logits.shape[1])

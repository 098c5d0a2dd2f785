"""Synaptic flow (Tanaka et al. 2020): a product of all weights along all paths."""

import math

import torch
from torch import Tensor

from zcp.proxies.registry import proxy
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later


@proxy(init="default", source="tanaka2020synflow", data=False, labels=False)
def synflow(s: Statistics) -> Tensor:
    r"""Synaptic saliency, $\sum_w |w\,\partial R/\partial w|$, R the logits summed on an image of ones.

    The network is linearised: absolute parameters and buffers, every norm bypassed, float64. The reference
    knows batch norms; that layer, group, instance and RMS norms are bypassed alike is ours, and so is that
    nothing is dropped (dropout, stochastic depth: evaluation mode) and that a buffer which masks attention,
    of zeros and values of -1e4 or less alone, stays as it is. What a network makes in single precision is
    made in double. Values reach 1e40; use `log_synflow` for anything but ranks. A network without a live path
    gives 0.
    """
    return torch.stack([saliency.sum() for saliency in s.synaptic_saliency]).sum()


@proxy(init="default", source="krishnakumar2022nasbenchsuitezero", data=False, labels=False)
def log_synflow(s: Statistics) -> float | Later[float]:
    """Natural logarithm of `synflow`, the form in which it is published; -inf without a live path."""
    return s.later(lambda value: math.log(value) if value > 0 else -math.inf, synflow(s))


@proxy(init="default", source="abdelfattah2021zerocost", data=False, labels=False)
def synflow_bn(s: Statistics) -> Tensor:
    r"""`synflow` with norms in place: another number, and no product of all weights.

    Each channel is normalised over the positions of the one image of ones, as in training mode. A dead
    network gives 0. Away from the border of that image all units tie, so that rounding may decide which fire,
    and with them the value: `zcp golden` names where; trained weights are moved more than fresh ones.
    """
    return torch.stack([saliency.sum() for saliency in s.synaptic_saliency_bn]).sum()

"""Pruning at initialisation turned into scores of networks (Abdelfattah et al. 2021).

All read the gradient g of the mean cross-entropy with respect to convolution and linear weights w.
"""

import torch
from torch import Tensor

from zcp.proxies.registry import proxy
from zcp.statistics.calls import require_intact
from zcp.statistics.network import Statistics


@proxy(init="default", source="abdelfattah2021zerocost", data=True, labels=True)
def grad_norm(s: Statistics) -> Tensor:
    r"""Sum over layers of the Euclidean norm of the gradient, $\sum_l \|g_l\|_2$.

    Grows with depth and falls with the batch size. A dead network gives 0.
    """
    return torch.stack([g.norm() for g in s.loss_gradients.weights]).sum()


@proxy(init="default", source="lee2019snip", data=True, labels=True)
def snip(s: Statistics) -> Tensor:
    r"""Connection sensitivity, $\sum_w |w\,g|$. A dead network gives 0."""
    return _inner(s, absolute=True)


@proxy(init="default", source="abdelfattah2021zerocost", data=True, labels=True)
def plain(s: Statistics) -> Tensor:
    r"""Signed connection sensitivity, $\sum_w w\,g$. A dead network gives 0.

    The sum cancels: it is taken in float64, and still hangs on the rounding of gradients in single precision.
    """
    return _inner(s, absolute=False)


def _inner(s: Statistics, *, absolute: bool) -> Tensor:
    products = [w.detach() * g for w, g in zip(s.weights, s.loss_gradients.weights, strict=True)]
    return torch.stack([(p.abs() if absolute else p).sum(dtype=torch.float64) for p in products]).sum()


@proxy(init="default", source="wang2020grasp", data=True, labels=True, second_order=True)
def grasp(s: Statistics) -> Tensor:
    r"""Change of the gradient norm when a weight goes, $\sum_w -w\,(Hg)_w$, H the Hessian of the loss.

    The sign is that of zero-cost-nas, chosen so that larger should be better. Can be negative and is noisy.
    A dead network gives 0.
    """
    products = [-(w.detach() * h).sum() for w, h in zip(s.weights, s.hessian_gradient, strict=True)]
    return torch.stack(products).sum()


@proxy(init="default", source="turner2020blockswap", data=True, labels=True)
def fisher(s: Statistics) -> Tensor:
    r"""Fisher information: $\sum_l n_l \sum_k \frac{1}{2B}\sum_b (\sum_{hw} a\,a')^2$, a' = dL/da.

    a is the output of a convolution or linear layer (before batch norm), k its channel, hw its positions:
    pixels, or the tokens that a linear layer runs over. The fan-in n_l is a side effect of the reference,
    which spreads a channel's value over its weights; all published tables have it. Falls with the square of
    the batch size. In a dead network only a classifier's bias contributes.
    """
    total = torch.zeros((), device=s.device, dtype=s.dtype)
    found, samples = s.loss_gradients, len(s.data.inputs)
    for call, gradient in zip(require_intact(found.calls), found.outputs, strict=True):
        assert call.weight is not None
        product = call.output.detach() * gradient
        fan_in = call.weight.numel() // product.shape[call.channels]
        apart = call.by_sample(product, samples)
        # Where positions lay beside the samples there is one dimension more.
        channels = call.channels + (call.channels > 0) * (apart.ndim - product.ndim)
        per_channel = apart.movedim(channels, 1).flatten(2).sum(-1) if apart.ndim > 2 else apart
        total += per_channel.square().sum() / (2 * samples) * fan_in
    return total


@proxy(init="default", source="abdelfattah2021zerocost", data=False, labels=False)
def l2_norm(s: Statistics) -> Tensor:
    r"""Sum over layers of the Euclidean norm of the weights, $\sum_l \|W_l\|_2$."""
    return torch.stack([w.detach().norm() for w in s.weights]).sum()


@proxy(init="default", source="shu2022nasi", data=True, labels=True)
def nasi(s: Statistics) -> Tensor:
    r"""Trace of the tangent kernel, approximated by one mini-batch: $\sum_w g^2$ (NASI).

    The constraint that NASI's search puts on too large traces has a threshold for each search space and is
    left out, and so are batch norms and biases. With Gaussian inputs and random labels it is the method's
    data- and label-agnostic form. A dead network gives 0.
    """
    return torch.stack([g.square().sum() for g in s.loss_gradients.weights]).sum()


@proxy(init="kaiming_fan_in", source="lee2024aznas", data=False, labels=False)
def grad_norm_l2(s: Statistics) -> Tensor:
    r"""Norm of the gradient as one vector, $\sqrt{\sum_\theta g_\theta^2}$, on noise with random labels.

    The form of Zen-NAS's and AZ-NAS's ports: all parameters count, biases and batch norms too, so that a dead
    network does not give 0 (its classifier bias has a gradient). The weights are those of AZ-NAS's port.
    """
    norm: Tensor = torch.stack([g.norm() for g in s.noise_gradients]).norm()
    return norm

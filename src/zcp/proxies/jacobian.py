"""Correlation of input gradients (Mellor et al. 2020), also by class (Lopes et al. 2021)."""

import torch
from torch import Tensor

from zcp.errors import Kind, Undefined
from zcp.kernels.eigenvalues import eigenvalues
from zcp.proxies.registry import proxy
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later

#: Added to the eigenvalues by the reference.
EPSILON = 1e-5


@proxy(init="default", source="mellor2021naswot", data=True, labels=False)
def jacob_cov(s: Statistics) -> Tensor | Later[Tensor]:
    r"""$-\sum_i \log(\lambda_i+k) + 1/(\lambda_i+k)$, λ eigenvalues of the correlation of input gradients.

    One gradient for each sample: of the sum of all logits with respect to its pixels. k = 1e-5. At most about
    minus the batch size, which uncorrelated gradients reach. Undefined where a gradient is constant.
    """
    return s.later(_divergence, *_correlation(s))


def _divergence(correlation: Tensor, norms: Tensor, total: Tensor) -> Tensor:
    shifted = eigenvalues(_defined(correlation, norms, total)) + EPSILON
    terms: Tensor = torch.log(shifted) + 1 / shifted
    return -terms.sum()


@proxy(init="default", source="lopes2021epenas", data=True, labels=True)
def epe_nas(s: Statistics) -> Tensor | Later[Tensor]:
    r"""$\sum_c |s_c|$, $s_c = \sum_{i,j\in c}\log(|\rho_{ij}| + k)$, ρ as in `jacob_cov`, c the classes.

    k = 1e-5. As in the authors' code a network of more than 100 classes has another form: $s_c$ is divided by
    the number of its samples, and the score is the mean over classes of $\sum_{c'} |s_c - s_{c'}|$. Only
    classes of the first batch count; one with a single sample contributes about nothing. Undefined where
    `jacob_cov` is.
    """
    if s.data.logits.ndim != 2:
        raise Undefined(f"classes need logits (B, classes), the network gave {tuple(s.data.logits.shape)}")
    labels = s.batches[0][1]
    if labels.ndim != 1 or labels.is_floating_point():
        raise Undefined(
            f"the samples are compared by class, which needs integer labels (B,), not {labels.dtype} "
            f"{tuple(labels.shape)}"
        )
    return s.later(_by_class, *_correlation(s), labels, s.data.logits.shape[1])


def _by_class(correlation: Tensor, norms: Tensor, total: Tensor, labels: Tensor, classes: int) -> Tensor:
    logarithms = (_defined(correlation, norms, total).abs() + EPSILON).log()
    by_class = [logarithms[labels == c][:, labels == c] for c in torch.unique(labels)]
    sums = torch.stack([block.sum() for block in by_class])
    if classes <= 100:
        return sums.abs().sum()
    sums = sums / torch.tensor([len(block) for block in by_class])
    return (sums - sums[:, None]).abs().sum() / len(sums)


def _correlation(s: Statistics) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the input gradients of the samples are, float64.

    Returns:
        Their correlation matrix (B, B), norms about their means (B, 1), and the sum of all absolute values.
    """
    rows = s.input_gradient.double()
    centred = rows - rows.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    unit: Tensor = centred / norms
    return unit.mm(unit.T), norms, rows.abs().sum()


def _defined(correlation: Tensor, norms: Tensor, total: Tensor) -> Tensor:
    if (norms == 0).any() and total > 0:
        raise Undefined(
            "the gradient of a sample is the same for all of its inputs, so that it correlates with no other"
        )
    if (norms == 0).any():
        raise Undefined(
            "the logits do not depend on the input (its gradient is zero, as in a dead network or where "
            "no_grad or detach cuts it), so no correlation exists",
            Kind.ZERO,
        )
    return correlation

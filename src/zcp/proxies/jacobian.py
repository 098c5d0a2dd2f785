"""Correlation of input gradients (Mellor et al. 2020)."""

import torch
from torch import Tensor

from zcp.errors import Undefined
from zcp.registry import proxy
from zcp.statistics import Statistics

#: Added to the eigenvalues by the reference.
EPSILON = 1e-5


@proxy(init="default", source="mellor2021naswot", data=True, labels=False)
def jacob_cov(s: Statistics) -> Tensor:
    r"""$-\sum_i \log(\lambda_i+k) + 1/(\lambda_i+k)$, λ the eigenvalues of the correlation of input gradients.

    One gradient for each sample: of the sum of all logits with respect to its pixels. k = 1e-5. At most about
    minus the batch size, which uncorrelated gradients reach. Undefined where a gradient is constant.
    """
    rows = s.input_gradient.double()
    centred = rows - rows.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if (norms == 0).any():
        raise Undefined(
            "the logits do not depend on the input (zero input gradient), so no correlation exists"
        )
    unit = centred / norms
    eigenvalues = torch.linalg.eigvalsh(unit @ unit.T)
    return -(torch.log(eigenvalues + EPSILON) + 1 / (eigenvalues + EPSILON)).sum()

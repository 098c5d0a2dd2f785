"""ZiCo: inverse coefficient of variation of gradients between batches (Li et al. 2023)."""

import torch
from torch import Tensor

from zcp.errors import Undefined
from zcp.proxies.registry import proxy
from zcp.statistics.network import Statistics


@proxy(init="default", source="li2023zico", data=True, labels=True)
def zico(s: Statistics) -> Tensor:
    r"""Sum over layers of $\log\sum_w E_b|g_b(w)| / \mathrm{std}_b\,g_b(w)$ over batches $b$.

    As in the authors' code the deviation (population, ddof 0) is that of the signed gradient, where the paper
    writes |g|. Weights of zero deviation are left out, and so are layers without any; a dead network gives 0.
    Grows with the number of layers. Two batches are usual.
    """
    if len(s.batches) < 2:
        raise Undefined("zico compares gradients between batches and got only one; pass at least two")
    # The other batches first: their graphs are gone before that of the first, which is kept, is built.
    batches = [*s.other_gradients, s.loss_gradients.weights]
    total = torch.zeros((), device=s.device, dtype=torch.float64)
    for gradients in zip(*batches, strict=True):
        stacked = torch.stack(gradients)
        deviation = stacked.std(dim=0, correction=0)
        kept = deviation != 0
        ratio = torch.where(kept, stacked.abs().mean(dim=0) / torch.where(kept, deviation, 1.0), 0.0).sum()
        total += torch.where(ratio > 0, ratio.log(), 0.0)
    return total

"""ZiCo: inverse coefficient of variation of gradients between batches (Li et al. 2023)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from zcp.errors import Undefined
from zcp.proxies.registry import proxy
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later


@proxy(init="default", source="li2023zico", data=True, labels=True, batches=2)
def zico(s: Statistics) -> Tensor | Later[Tensor]:
    r"""Sum over layers of $\log\sum_w E_b|g_b(w)| / \mathrm{std}_b\,g_b(w)$ over batches $b$.

    As in the authors' code the deviation (population, ddof 0) is that of the signed gradient, where the paper
    writes |g|. Weights of zero deviation are left out, and so are layers without any; a dead network gives 0.
    Batches whose gradients are equal and not 0 give no value. Grows with the number of layers. Two batches
    are usual.
    """
    if len(s.batches) < 2:
        raise Undefined("zico compares gradients between batches and got only one; pass at least two")
    # The other batches first: their graphs are gone before that of the first, which is kept, is built.
    batches = [*s.other_gradients, s.loss_gradients.weights]
    total = torch.zeros((), device=s.device, dtype=torch.float64)
    alive, differ = (torch.zeros((), device=s.device, dtype=torch.bool) for _ in range(2))
    for gradients in zip(*batches, strict=True):
        mean, deviation = _absolute_mean(gradients), _deviation(gradients)
        ratio = torch.where(deviation != 0, mean / deviation, 0.0).sum()
        total += torch.where(ratio > 0, ratio.log(), 0.0)
        alive |= mean.any()
        for other in gradients[1:]:
            differ |= (other != gradients[0]).any()
    return s.later(_unless_equal, total, alive, differ)


def _unless_equal(total: Tensor, alive: Tensor, differ: Tensor) -> Tensor:
    if alive and not differ:
        raise Undefined("the gradients of the batches do not differ: give different batches")
    return total


def _absolute_mean(gradients: Sequence[Tensor]) -> Tensor:
    total = gradients[0].abs()
    for gradient in gradients[1:]:
        total += gradient.abs()
    return total.div_(len(gradients))


def _deviation(gradients: Sequence[Tensor]) -> Tensor:
    if len(gradients) == 2:
        # Half the difference: torch.std over a stack gives the same and takes some ten times as long.
        first, second = gradients
        return first.sub(second).abs_().div_(2)
    return torch.stack(list(gradients)).std(dim=0, correction=0)

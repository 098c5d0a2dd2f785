"""Zen-score (Lin et al. 2021)."""

from torch import Tensor

from zcp.proxies.registry import proxy
from zcp.statistics.network import Statistics


@proxy(init="normal", source="lin2021zennas", data=False, labels=False)
def zen(s: Statistics) -> Tensor:
    r"""$\log\Delta + \sum_{BN} \log\sqrt{\overline{\sigma^2}}$: sensitivity to noise, rescaled.

    Δ is the mean over 16 samples of $\|f(x) - f(x + 0.01\,\epsilon)\|_1$, f the features before the head (of
    a network without global pooling: `zcp.statistics.head`, ours), x and ε standard normal. As in the
    authors' code the variance is the running buffer after exactly these two forwards, and the distance is L1.
    Grows with the number of batch norms. A dead network gives -inf.
    """
    first, second = s.perturbed_features
    score = (first - second).abs().flatten(1).sum(1).mean().log()
    for _, variance in s.running_statistics:
        score = score + variance.mean().sqrt().log()
    return score

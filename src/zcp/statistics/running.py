"""The running statistics of batch norms: of modules, and of functions that are given buffers of their own."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zcp.errors import Undefined
from zcp.statistics.calls import Call, Pass
from zcp.statistics.initialisation import BatchNorm

#: Functions -> where their running mean and variance are given, and by what names.
_GIVEN = {F.batch_norm: (1, 2), torch.batch_norm: (3, 4)}
_NAMES = ("running_mean", "running_var")


def running_statistics(network: nn.Module, run: Callable[[], Pass]) -> list[tuple[Tensor, Tensor]]:
    """Return (mean, variance) of each batch norm, each once, modules first.

    Args:
        network: any module.
        run: gives a forward with arguments; called only where a module of one's own has tensors of its own.

    Raises:
        Undefined: if a batch norm keeps none.
    """
    found: dict[Tensor | None, Tensor | None] = {}
    for module in network.modules():
        if isinstance(module, BatchNorm):
            found[module.running_var] = module.running_mean
    if any(map(_has_own_tensors, network.modules())):
        calls = [call for call in run().of("norm") if call.function in _GIVEN]
        found |= {variance: mean for mean, variance in map(_given, calls) if variance not in found}
    pairs = [
        (mean, variance) for variance, mean in found.items() if mean is not None and variance is not None
    ]
    if len(pairs) < len(found):
        raise Undefined("a batch norm keeps no running statistics, which zen reads")
    return pairs


def _has_own_tensors(module: nn.Module) -> bool:
    own = not isinstance(module, BatchNorm) and not type(module).__module__.startswith("torch.nn.")
    return own and bool(module._parameters or module._buffers)


def _given(call: Call) -> tuple[Tensor | None, Tensor | None]:
    mean, variance = (
        call.args[place] if len(call.args) > place else call.kwargs.get(name)
        for place, name in zip(_GIVEN[call.function], _NAMES, strict=True)
    )
    return mean, variance


@torch.no_grad()
def renew(network: nn.Module, statistics: list[tuple[Tensor, Tensor]]) -> None:
    """Let batch norms begin anew."""
    for module in network.modules():
        if isinstance(module, BatchNorm) and module.num_batches_tracked is not None:
            module.num_batches_tracked.zero_()
    for mean, variance in statistics:
        # Through `data`: a graph that is kept has saved them, and does not read them.
        mean.data = torch.zeros_like(mean)
        variance.data = torch.ones_like(variance)

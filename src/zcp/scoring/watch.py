"""What a proxy of one's own may not do: write to what the proxies beside it read."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from zcp.proxies.registry import Proxy
from zcp.statistics.calls import Call
from zcp.statistics.network import Statistics


def is_watched(proxy: Proxy) -> bool:
    """Tell whether a proxy is from outside zcp, whose own are tested."""
    module = getattr(proxy.function, "__module__", None) or ""
    return not proxy.expression and module.partition(".")[0] != "zcp"


class Watch:
    """Remembers what all proxies share: weights, buffers and batches by value, what was computed by version.

    Buffers that every forward moves, such as running statistics, are nothing that a proxy can rely on.
    """

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._shared = {name: (t, t.detach().clone()) for name, t in _shared(statistics).items()}
        self._computed = {
            name: [(tensor, tensor._version) for tensor in _tensors(value)]
            for name, value in statistics.computed.items()
        }
        network = statistics.network
        self._modes = [(module, module.training) for module in network.modules()]
        self._needs = [(parameter, parameter.requires_grad) for parameter in network.parameters()]

    def written(self) -> str:
        """Name what was written to since, an empty text for nothing.

        Batches get their values back, and the network its modes; gradients that were left are removed.
        """
        now = _shared(self._statistics)
        changed = [
            name
            for name, (_, before) in self._shared.items()
            if name not in now or not _same(now[name], before)
        ]
        for name in changed:
            tensor, before = self._shared[name]
            if " of batch " in name:
                tensor.data.copy_(before)
        if any(name.startswith("the buffer") for name in changed):
            moving = self._moving()
            changed = [name for name in changed if name not in moving]
        for name, tensors in self._computed.items():
            if any(tensor._version != version for tensor, version in tensors):
                changed.append(f"the tensors of s.{name}")
        self._tidy()
        return ", ".join(changed)

    def _tidy(self) -> None:
        for module, training in self._modes:
            module.training = training
        for parameter, needs in self._needs:
            parameter.grad = None
            parameter.requires_grad_(needs)

    @torch.no_grad()
    def _moving(self) -> set[str]:
        """Return the buffers that a forward moves."""
        network, inputs = self._statistics.network, self._statistics.batches[0][0]
        before = {name: tensor.clone() for name, tensor in _shared(self._statistics).items()}
        try:
            with torch.random.fork_rng(devices=[]):
                network(inputs)
        except Exception:
            return set()
        return {name for name, tensor in _shared(self._statistics).items() if not _same(tensor, before[name])}


def _shared(statistics: Statistics) -> dict[str, Tensor]:
    """Return the tensors that proxies share before anything is computed, by what they are."""
    network = statistics.network
    found: dict[str, Tensor] = {f"the parameter {_own(name)}": p for name, p in network.named_parameters()}
    for prefix, module in network.named_modules():
        if not isinstance(module, nn.modules.batchnorm._NormBase):
            own = module.named_buffers(prefix, recurse=False)
            found |= {f"the buffer {_own(name)}": buffer for name, buffer in own}
    for number, (inputs, targets) in enumerate(statistics.batches):
        found |= {f"the inputs of batch {number}": inputs, f"the targets of batch {number}": targets}
    return found


def _own(name: str) -> str:
    """Return the name by which the owner of a network knows a tensor of it."""
    return name.removeprefix("network.")


def _same(tensor: Tensor, before: Tensor) -> bool:
    if tensor.shape != before.shape or tensor.dtype != before.dtype:
        return False
    tensor = tensor.detach()
    return bool(((tensor == before) | ((tensor != tensor) & (before != before))).all())


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a computed value but parameters."""
    for leaf in tree_leaves(value):
        if isinstance(leaf, Call):
            yield from (leaf.input, leaf.output)
        elif isinstance(leaf, Tensor) and not isinstance(leaf, nn.Parameter):
            yield leaf

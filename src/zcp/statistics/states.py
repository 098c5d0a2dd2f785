"""Buffers that a pass in training mode changes and the next one reads, such as those of `spectral_norm`.

Every pass of a network begins with what the first one found, so that no score depends on what else is asked
for. Running statistics of norms are left alone: in training mode nobody reads them.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def keep_states(network: nn.Module) -> Callable[[], None]:
    """Return what gives a network the buffers of now again.

    They become new tensors, because graphs of earlier passes may hold those that were changed.
    """
    places: dict[Tensor, list[tuple[nn.Module, str]]] = {}
    for module in network.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and not isinstance(module, _NormBase):
                places.setdefault(buffer, []).append((module, name))
    kept = [(buffer.clone(), buffer, buffer._version, held) for buffer, held in places.items()]

    def put_back() -> None:
        for number, (value, buffer, version, held) in enumerate(kept):
            as_it_was = all(module._buffers.get(name) is buffer for module, name in held)
            if as_it_was and buffer._version == version:
                continue
            new = value.clone()
            for module, name in held:
                module._buffers[name] = new
            kept[number] = (value, new, new._version, held)

    return put_back

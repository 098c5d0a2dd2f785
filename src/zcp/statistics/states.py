"""The vectors of `spectral_norm`, which each pass in training mode turns and the next one reads.

Every pass of a network begins with those that the first one found, so that no score depends on what else is
asked for.
"""

from collections.abc import Callable, Iterator

from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm


def keep_states(network: nn.Module) -> Callable[[], None]:
    """Return what gives a network the vectors of now again.

    They become new tensors, because graphs of earlier passes may hold those that were turned.
    """
    kept = [
        (module, name, module._buffers[name].clone())  # type: ignore[union-attr]
        for module in network.modules()
        for name in _vectors(module)
        if module._buffers.get(name) is not None
    ]

    def put_back() -> None:
        for module, name, value in kept:
            module._buffers[name] = value.clone()

    return put_back


def _vectors(module: nn.Module) -> Iterator[str]:
    """Yield the names of the buffers that are such vectors."""
    if isinstance(module, _SpectralNorm):
        yield from ("_u", "_v")
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm):
            yield from (f"{hook.name}_u", f"{hook.name}_v")

"""Weight initialisations that proxies were defined with. Each proxy names the one it needs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import sqrt

import torch
from torch import Tensor, nn

from zcp.errors import InputError
from zcp.statistics.seeding import generator, seed_for

BatchNorm = nn.modules.batchnorm._BatchNorm


@contextmanager
def default_generator(seed: int) -> Iterator[None]:
    """Seed PyTorch's global CPU generator for the block, then put it back as it was."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


def _default(network: nn.Module, seed: int) -> None:
    """PyTorch's own: whatever each module's `reset_parameters` does."""
    with default_generator(seed):
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


def _fill(network: nn.Module, seed: int, std: Callable[[nn.Module, Tensor], float]) -> None:
    """Draw convolution and linear weights from N(0, std), zero their biases and reset batch norms."""
    source = generator(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # Drawn apart and copied: filling in place would follow the memory format of the weight.
            draw = torch.randn(module.weight.shape, generator=source, dtype=torch.float32)
            module.weight.copy_(draw * std(module, module.weight))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, BatchNorm):
            module.reset_parameters()


def _fan_in(weight: Tensor) -> int:
    return weight[0].numel()


def _fan_out(weight: Tensor) -> int:
    return weight.shape[0] * weight[0, 0].numel()


def _normal(network: nn.Module, seed: int) -> None:
    """N(0, 1) (Zen-NAS)."""
    _fill(network, seed, lambda _module, _weight: 1.0)


def _kaiming_fan_in(network: nn.Module, seed: int) -> None:
    """Kaiming normal for ReLU, fan in (AZ-NAS)."""
    _fill(network, seed, lambda _module, weight: sqrt(2 / _fan_in(weight)))


def _kaiming_fan_out(network: nn.Module, seed: int) -> None:
    """Kaiming normal for ReLU, fan out (TE-NAS's tangent kernel)."""
    _fill(network, seed, lambda _module, weight: sqrt(2 / _fan_out(weight)))


def _eznas(network: nn.Module, seed: int) -> None:
    """Kaiming normal for ReLU, fan out, and N(0, 0.01) for linear layers (EZNAS)."""
    _fill(
        network,
        seed,
        lambda module, weight: 0.01 if isinstance(module, nn.Linear) else sqrt(2 / _fan_out(weight)),
    )


INITIALISATIONS: dict[str, Callable[[nn.Module, int], None]] = {
    "default": _default,
    "normal": _normal,
    "kaiming_fan_in": _kaiming_fan_in,
    "kaiming_fan_out": _kaiming_fan_out,
    "eznas": _eznas,
}


@torch.no_grad()
def initialise(network: nn.Module, name: str, *seed: object) -> nn.Module:
    """Draw every weight of `network` anew, in place, and return it.

    The draws are made on the CPU in float32 and then moved, so that they do not depend on the device or on
    the precision. Batch norms get weight 1, bias 0 and fresh running statistics.

    Args:
        network: any module; parameters of modules that this initialisation does not know stay as they are.
        name: a key of `INITIALISATIONS`.
        seed: what the draw is seeded by.

    Raises:
        InputError: if there is no initialisation of that name.
    """
    if name not in INITIALISATIONS:
        raise InputError(f"unknown initialisation {name!r}; choose one of {', '.join(INITIALISATIONS)}")
    first = next(network.parameters(), torch.empty(0))
    device, dtype = first.device, first.dtype  # `to` changes them in place
    here = (device.type, dtype) == ("cpu", torch.float32)
    if not here:
        network.to("cpu", torch.float32)
    INITIALISATIONS[name](network, seed_for(*seed, name))
    return network if here else network.to(device, dtype)

"""Weight initialisations that proxies were defined with. Each proxy names the one it needs."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from math import sqrt

import torch
from torch import Tensor, nn

from zcp.errors import InputError
from zcp.statistics import parametrised
from zcp.statistics.seeding import generator, seed_for
from zcp.statistics.transfer import moved

LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
BatchNorm = nn.modules.batchnorm._BatchNorm
#: Deviation of parameters of modules that do not say how they are drawn.
OTHERS = 0.02


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
    tied = _tied(network)
    with default_generator(seed):
        for module in network.modules():
            _reset(module, tied)
    _draw_others(network, seed)


def _tied(network: nn.Module) -> set[Tensor]:
    """Return the weights of layers that an embedding shares, as the head of a language model."""
    modules = list(network.modules())
    looked_up = {m.weight for m in modules if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    if not looked_up:
        return set()
    layers = (m for m in modules if isinstance(m, LAYERS))
    return {p for m in layers for p in m.parameters(recurse=False) if p in looked_up}


def _reset(module: nn.Module, tied: set[Tensor]) -> None:
    """Let a module draw its parameters; what it shares with a layer keeps what the layer drew."""
    shared = [p for p in module.parameters(recurse=False) if p in tied]
    kept = [] if isinstance(module, LAYERS) else [p.clone() for p in shared]
    parametrised.reset(module)
    for parameter, values in zip(shared, kept, strict=False):
        parameter.copy_(values)


def _fill(network: nn.Module, seed: int, std: Callable[[nn.Module, Tensor], float]) -> None:
    """Draw convolution and linear weights from N(0, std), zero their biases and reset all else."""
    source, tied = generator(seed), _tied(network)
    others: list[nn.Module] = []

    def draw(module: nn.Module, weight: Tensor) -> Tensor:
        # Drawn apart and copied: filling in place would follow the memory format of the weight.
        return torch.randn(weight.shape, generator=source, dtype=torch.float32) * std(module, weight)

    for module in network.modules():
        if isinstance(module, LAYERS):
            parametrised.write(module, "weight", draw(module, module.weight))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, BatchNorm):
            module.reset_parameters()
        else:
            others.append(module)
    with default_generator(seed):
        for module in others:
            for parameter in module.parameters(recurse=False):
                # Resets fill in place, which follows the layout that the last initialisation left.
                parameter.data = parameter.data.contiguous()
            _reset(module, tied)
    for module in others:
        if isinstance(module, nn.MultiheadAttention):
            for name, parameter in module.named_parameters(recurse=False):
                if name.endswith("proj_weight"):
                    parameter.copy_(draw(module, parameter))
    _draw_others(network, seed)


def _draw_others(network: nn.Module, seed: int) -> None:
    """Draw the parameters of modules that do not say how: N(0, 0.02) for two dimensions or more, zero biases.

    These are tokens, positions and matrices of modules of one's own, and what the reset of a module leaves.
    The deviation is that of ViT and BERT; that it serves for all of these is ours, and so for vectors whose
    values differ. Such a vector that is called a scale becomes 1, as those of norms. What else has one
    dimension, or none, stays as it is: `untouched`.
    """
    for name, parameter in _without_reset(network):
        if name.endswith("bias") and parameter.ndim < 2:
            parameter.zero_()
        elif parameter.ndim == 1 and _is_scale(name) and _differ(parameter):
            parameter.fill_(1)
        elif parameter.ndim > 1 or _differ(parameter):
            draw = torch.randn(parameter.shape, generator=generator(seed, name), dtype=torch.float32)
            parameter.copy_(OTHERS * draw)


def _without_reset(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters that no module draws itself, by name."""
    modules = {prefix: module for prefix, module in network.named_modules() if module._parameters}
    drawn = {m._parameters[name] for m in modules.values() for name in parametrised.drawn_by_reset(m)}
    for prefix, module in modules.items():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter not in drawn:
                yield f"{prefix}.{name}", parameter


def untouched(network: nn.Module) -> list[str]:
    """Return the names of the parameters that no initialisation draws, those of modules of one's own.

    They are single numbers, and vectors of one value that are no biases, such as scales.
    """
    left = [n for n, p in _without_reset(network) if p.ndim < 2 and not n.endswith("bias") and not _differ(p)]
    return [name.removeprefix(".") for name in left]


def _is_scale(name: str) -> bool:
    return any(word in name.rpartition(".")[2] for word in ("weight", "scale", "gamma", "gain"))


def _differ(parameter: Tensor) -> bool:
    return parameter.ndim > 0 and bool((parameter != parameter[:1]).any())


def _fan_in(weight: Tensor) -> int:
    # At least one: a weight without elements has nothing to draw.
    return max(weight.shape[1:].numel(), 1)


def _fan_out(weight: Tensor) -> int:
    return max(weight.shape[0] * weight.shape[2:].numel(), 1)


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
        lambda module, weight: (
            0.01 if isinstance(module, nn.Linear | nn.MultiheadAttention) else sqrt(2 / _fan_out(weight))
        ),
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
    the precision. Norms get weight 1, bias 0 and fresh running statistics. A weight that a layer shares with
    an embedding is drawn as that of the layer.

    Args:
        network: any module; parameters of modules that this initialisation does not know stay as they are.
        name: a key of `INITIALISATIONS`.
        seed: what the draw is seeded by.

    Raises:
        InputError: if there is no initialisation of that name.
    """
    if name not in INITIALISATIONS:
        raise InputError(f"unknown initialisation {name!r}; choose one of {', '.join(INITIALISATIONS)}")
    if drawn_in_place(network):
        INITIALISATIONS[name](network, seed_for(*seed, name))
    else:
        take(network, *draw_all(network, [name], *seed))
    return network


def drawn_in_place(network: nn.Module) -> bool:
    """Tell whether draws are written straight into the tensors of a network: float32 on the CPU."""
    first = next(network.parameters(), torch.empty(0))
    return first.device.type == "cpu" and first.dtype == torch.float32


@torch.no_grad()
def draw_all(network: nn.Module, names: Sequence[str], *seed: object) -> list[list[Tensor]]:
    """Return what each initialisation makes of the parameters and buffers of a network, which stays as it is.

    All are drawn on the CPU, from one copy of the network there, and arrive on its device in one copy.

    Args:
        network: any module.
        names: keys of `INITIALISATIONS`.
        seed: what the draws are seeded by.

    Returns:
        For each name the tensors that `take` expects, float32 where they are floating point.
    """
    mine = tensors_of(network)
    here = [t.float() if t.is_floating_point() else t for t in moved(mine, torch.device("cpu"))]
    fixed = [nn.Parameter(t) if isinstance(m, nn.Parameter) else t for m, t in zip(mine, here, strict=True)]
    mould = copy.deepcopy(network, {id(m): t for m, t in zip(mine, fixed, strict=True)})
    drawn: list[Tensor] = []
    for name in names:
        for original, tensor in zip(here, tensors_of(mould), strict=True):
            tensor.data = original.clone()
        INITIALISATIONS[name](mould, seed_for(*seed, name))
        drawn += [tensor.data for tensor in tensors_of(mould)]
    arrived = iter(moved(drawn, mine[0].device) if mine else [])
    return [list(islice(arrived, len(mine))) for _ in names]


def tensors_of(network: nn.Module) -> list[Tensor]:
    """Return the parameters, then the buffers of a network."""
    return [*network.parameters(), *network.buffers()]


@torch.no_grad()
def take(network: nn.Module, drawn: Sequence[Tensor]) -> None:
    """Give a network what `draw_all` drew for it."""
    if drawn:
        torch._foreach_copy_(tensors_of(network), list(drawn))

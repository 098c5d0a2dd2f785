"""Weights that are computed from others whenever they are read, and how to give them values.

`torch.nn.utils.parametrize` computes a weight at each read, the older `weight_norm` and `spectral_norm`
before each forward: writing into what was read changes nothing.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

from zcp.errors import InputError
from zcp.statistics.copies import duplicate

#: Iterations that `spectral_norm` begins with.
ITERATIONS = 15


def has_reset(module: nn.Module) -> bool:
    """Tell whether a module says how its own parameters are drawn, or its owner does."""
    return _reset_of(module) is not None or isinstance(module, parametrize.ParametrizationList)


def _reset_of(module: nn.Module) -> Callable[[], None] | None:
    for name in ("reset_parameters", "_reset_parameters"):
        if callable(reset := getattr(module, name, None)):
            return reset  # type: ignore[no-any-return]
    return None


def drawn_by_reset(module: nn.Module) -> set[str]:
    """Return the names of the own parameters of a module that its reset, or its owner, gives values.

    PyTorch's modules draw all of theirs. Of any other a copy without values is reset, to see which get some.
    """
    if not has_reset(module):
        return set()
    if type(module).__module__.startswith("torch.") or parametrize.is_parametrized(module):
        return {*module._parameters}
    own = duplicate(module)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for parameter in filter(torch.is_floating_point, own.parameters(recurse=False)):
            parameter.fill_(torch.nan)
        reset(own)
        return {name for name, p in own.named_parameters(recurse=False) if not p.isnan().any()}


def reset(module: nn.Module) -> None:
    """Let a module draw its parameters as it does when it is made.

    Raises:
        InputError: if it cannot.
    """
    if (function := _reset_of(module)) is None:
        return
    try:
        _reset(module, function)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{type(module).__name__}.{function.__name__}() fails ({type(error).__name__}: {error}), so its "
            'weights cannot be drawn anew; let it work without arguments, or pass init="keep"'
        ) from error


def _reset(module: nn.Module, function: Callable[[], None]) -> None:
    if parametrize.is_parametrized(module):
        names = list(module.parametrizations)  # type: ignore[arg-type]
        with parametrize.cached():
            function()
            drawn = {name: getattr(module, name).detach().clone() for name in names}
    else:
        function()
        names = [
            n.removesuffix("_v").removesuffix("_orig") for n, _ in module.named_parameters(recurse=False)
        ]
        drawn = {n: getattr(module, n).detach().clone() for n in names if n not in module._parameters}
    for name, values in drawn.items():
        write(module, name, values)


def write(module: nn.Module, name: str, values: Tensor) -> None:
    """Give a parameter values, or what it is computed from values that it comes out of."""
    own = module._parameters
    if parametrize.is_parametrized(module, name):
        _write_behind(module.parametrizations[name], module, name, values)  # type: ignore[index]
    elif (direction := own.get(f"{name}_v")) is not None:
        direction.copy_(values)
        scale = own[f"{name}_g"]
        assert scale is not None
        dimensions = [n for n, size in enumerate(scale.shape) if size == 1 and n < values.ndim]
        scale.copy_(torch.linalg.vector_norm(values, dim=dimensions, keepdim=True))
    else:
        parameter = own.get(f"{name}_orig") if own.get(name) is None else own[name]
        assert parameter is not None
        parameter.copy_(values)
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                vectors = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
                _restart(*vectors, hook.reshape_weight_to_matrix(values))


def _write_behind(chain: Any, module: nn.Module, name: str, values: Tensor) -> None:
    try:
        setattr(module, name, values.to(next(chain.parameters()).dtype))
    except (NotImplementedError, RuntimeError, ValueError):
        # Without a way back the largest of its parameters gets the values.
        max(chain.parameters(), key=Tensor.numel).copy_(values)
    for part in chain.modules():
        if isinstance(part, nn.utils.parametrizations._SpectralNorm) and hasattr(part, "_u"):
            matrix = part._reshape_weight_to_matrix(values)
            _restart(part._u, part._v, matrix)


def _restart(u: Tensor, v: Tensor, matrix: Tensor) -> None:
    """Give `spectral_norm` the vectors of largest gain, which it otherwise keeps from where it was made."""
    v.copy_(F.normalize(torch.ones_like(matrix[0]), dim=0))
    for _ in range(ITERATIONS):
        u.copy_(F.normalize(torch.mv(matrix, v), dim=0))
        v.copy_(F.normalize(torch.mv(matrix.T, u), dim=0))

"""What a recorder has to be told by the modules of a network, by forward hooks."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils.hooks import RemovableHandle

from zcp.statistics.origins import MADE
from zcp.statistics.recorder import Recorder

#: Modules that are named in calls -> the kind of what they run; an operation of any other has no module.
NAMED = {nn.Conv2d: "convolution", nn.BatchNorm2d: "norm", nn.ReLU: "activation"}


def modules_of(network: nn.Module) -> list[nn.Module]:
    """Return a network, first, and all modules in it, each once, in any order.

    In every pass; `nn.Module.modules` takes ten times as long in networks of hundreds of modules.
    """
    found: dict[nn.Module, None] = {}
    left = [network]
    while left:
        module = left.pop()
        if module not in found:
            found[module] = None
            left.extend(child for child in module._modules.values() if child is not None)
    return list(found)


def hide(recorder: Recorder, modules: Sequence[nn.Module]) -> list[RemovableHandle]:
    """Let a recorder see the network of these modules, but not what computes its parametrised weights.

    Returns:
        The hooks that this needs; the caller removes them.
    """
    origins = recorder.origins
    origins.network = modules[0]

    def begin(*_: Any) -> None:
        origins.hidden += 1

    def end(_module: Any, _args: Any, weight: Any) -> None:
        origins.hidden -= 1
        if isinstance(weight, Tensor):
            origins.set(weight, MADE)

    return [
        handle
        for module in modules
        if isinstance(module, ParametrizationList)
        for handle in (
            module.register_forward_pre_hook(begin),
            module.register_forward_hook(end, always_call=True),
        )
    ]


def name(recorder: Recorder, modules: Iterable[nn.Module]) -> list[RemovableHandle]:
    """Let a recorder know which module an operation was, of those in `NAMED`.

    Returns:
        The hooks that this needs; the caller removes them.
    """

    def tell(kind: str, module: nn.Module, _args: Any, _output: Any) -> None:
        if recorder.last and recorder.last.kind == kind:
            recorder.last.module = module

    return [
        module.register_forward_hook(partial(tell, kind))
        for module in modules
        for known, kind in NAMED.items()
        if isinstance(module, known)
    ]

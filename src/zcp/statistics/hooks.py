"""What a recorder has to be told by the modules of a network, by their weights or by forward hooks."""

from functools import partial
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from zcp.statistics.recorder import Recorder

#: Modules that are named in calls -> the kind of what they run; an operation of any other has no module.
NAMED = {nn.Conv2d: "convolution", nn.BatchNorm2d: "norm", nn.ReLU: "activation"}


def modules_of(network: nn.Module) -> list[nn.Module]:
    """Return a network and all modules in it, each once, in any order.

    In every pass that names modules; `nn.Module.modules` takes ten times as long in networks of hundreds.
    """
    found: dict[nn.Module, None] = {}
    left = [network]
    while left:
        module = left.pop()
        if module not in found:
            found[module] = None
            left.extend(child for child in module._modules.values() if child is not None)
    return list(found)


def name(recorder: Recorder, network: nn.Module) -> list[RemovableHandle]:
    """Let a recorder know which module an operation was, of those in `NAMED`.

    Who has a weight of its own is known by it, which costs nothing; the others need a hook each.

    Returns:
        The hooks; the caller removes them.
    """

    def tell(kind: str, module: nn.Module, _args: Any, _output: Any) -> None:
        if recorder.last and recorder.last.kind == kind:
            recorder.last.module = module

    handles = []
    for module in modules_of(network):
        kind = next((kind for known, kind in NAMED.items() if isinstance(module, known)), None)
        weight = module._parameters.get("weight")
        if weight is not None and kind and id(weight) not in recorder.owners:
            recorder.owners[id(weight)] = module
        elif kind:
            handles.append(module.register_forward_hook(partial(tell, kind)))
    return handles

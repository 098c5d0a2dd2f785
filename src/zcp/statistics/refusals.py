"""Networks that cannot be scored, told before anything runs."""

import torch
from torch import fx, nn

from zcp.errors import InputError


def require_scorable(network: object, *, values: bool = True) -> None:
    """Check that this is a network whose operations can be seen, and that its tensors have values.

    Args:
        network: the caller's.
        values: whether values are needed, which tensors on the meta device do not have.

    Raises:
        InputError: if not.
    """
    if isinstance(network, type):
        raise InputError(f"the network is the class {network.__name__}; pass an instance of it")
    if not isinstance(network, nn.Module):
        raise InputError(f"the network is a {type(network).__name__}, not a torch.nn.Module")
    for name, module in network.named_modules():
        what = f"the module {name!r}" if name else "the network"
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                f"{what} is compiled by torch.jit, which hides the operations inside; score the module that "
                "it was scripted or traced from"
            )
        if _is_exported(module):
            raise InputError(
                f"{what} is a program of torch.export, made for one batch size and without layers; score the "
                "module that it was exported from"
            )
        if values and (lacking := _on_meta(module)):
            raise InputError(
                f"{name}{'.' * bool(name)}{lacking} of the network is on the meta device and has no values; "
                'build the network on a real device, or give it memory by network.to_empty(device="cpu")'
            )


def _on_meta(module: nn.Module) -> str:
    """Return the name of a tensor of a module itself that has no values, an empty text if all have."""
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None and tensor.device.type == "meta":
                return name
    return ""


def _is_exported(module: nn.Module) -> bool:
    """Tell whether a module runs a graph of ATen operators; one of `torch.fx.symbolic_trace` does not."""
    own = vars(module)
    graphs = [each for each in (own.get("_graph"), own.get("graph")) if isinstance(each, fx.Graph)]
    return any(isinstance(node.target, torch._ops.OpOverload) for graph in graphs for node in graph.nodes)

"""Networks that cannot be scored, by any proxy or by those that read weights, told before anything runs."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, fx, nn

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


def spoilt(network: nn.Module, untouched: Collection[str] | None = None) -> str:
    """Tell which is the first parameter or buffer with NaN or infinite values, an empty text for none.

    Minus infinity in a buffer is what masks of attention hold.

    Args:
        network: a copy, or the adapted network of the caller; a GPU is waited for.
        untouched: the parameters that keep their values, where an initialisation draws the others and the
            buffers of PyTorch's own modules; None where all tensors do.
    """
    named = dict(_with_values(network, untouched))
    if not named:
        return ""
    first = next(iter(named.values())).device
    flags = torch.stack([_is_spoilt(tensor).to(first) for tensor in named.values()]).tolist()
    for name, flag in zip(named, flags, strict=True):
        if flag:
            what = f"{name.removeprefix('network.')} of the network holds NaN or infinite values"
            remedy = 'correct it, or pass init="paper" for weights drawn anew'
            if untouched is not None:
                remedy = "no initialisation draws it anew, so correct it"
            return f"{what}, which all passes would read; {remedy}"
    return ""


def _with_values(network: nn.Module, untouched: Collection[str] | None) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters, then the buffers, that a network runs with as they are."""
    for name, parameter in network.named_parameters():
        if untouched is None or name in untouched:
            yield name, parameter
    for prefix, module in network.named_modules():
        if untouched is None or not type(module).__module__.startswith("torch."):
            yield from module.named_buffers(prefix, recurse=False)


def _is_spoilt(tensor: Tensor) -> Tensor:
    if isinstance(tensor, nn.Parameter) or not tensor.is_floating_point():
        return ~tensor.detach().isfinite().all()
    return (tensor.isnan() | tensor.isposinf()).any()

"""One forward of a network, and what its layers saw."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from zcp.errors import InputError, Undefined

#: Modules whose inputs and outputs are kept.
WATCHED = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.ReLU, nn.AdaptiveAvgPool2d)
#: Modules with weights.
LAYERS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


class Call(NamedTuple):
    """One execution of a watched module: a module that runs twice gives two calls."""

    module: nn.Module
    input: Tensor
    output: Tensor
    versions: tuple[int, int]


class Pass(NamedTuple):
    """What one forward gave: the logits (B, classes), and the calls in order of execution."""

    inputs: Tensor
    logits: Tensor
    calls: list[Call]

    def of(self, *kinds: type[nn.Module]) -> list[Call]:
        """Return the calls of modules of these classes, in order of execution."""
        return [call for call in self.calls if isinstance(call.module, kinds)]

    def intact(self, *kinds: type[nn.Module]) -> list[Call]:
        """Return the same calls, for those who read values.

        Raises:
            Undefined: if an in-place operation has overwritten an input or output since.
        """
        return require_intact(self.of(*kinds))


def require_intact(calls: list[Call]) -> list[Call]:
    """Return `calls`.

    Raises:
        Undefined: if an in-place operation has overwritten an input or output since.
    """
    for module, *tensors, versions in calls:
        if tuple(tensor._version for tensor in tensors) != versions:
            raise Undefined(
                f"the network overwrites what a {type(module).__name__} read or gave (an in-place function "
                "or operator such as relu_ or +=); use the out-of-place form"
            )
    return calls


class Rebound(nn.Module):
    """A network that runs with tensors of its own in place of its parameters and buffers.

    Args:
        network: any module.
        change: makes the own tensors of the network's.
    """

    def __init__(
        self, network: nn.Module, change: Callable[[Tensor], Tensor] = lambda tensor: tensor
    ) -> None:
        super().__init__()
        self.network = network
        self._leaves = {p: change(p.detach()).detach().requires_grad_() for p in network.parameters()}
        self._bound = {name: self._leaves[p] for name, p in network.named_parameters()}
        self._bound |= {
            name: change(b) if b.is_floating_point() else b for name, b in network.named_buffers()
        }

    def leaf(self, parameter: Tensor) -> Tensor:
        """Return the tensor in the place of a parameter; gradients are with respect to it."""
        return self._leaves[parameter]  # type: ignore[index]

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = functional_call(self.network, self._bound, (inputs,))
        return output


def forward(
    network: nn.Module,
    inputs: Tensor,
    watched: tuple[type[nn.Module], ...] = WATCHED,
    *,
    own_inputs: bool = False,
    take: Callable[[Call], None] | None = None,
) -> Pass:
    """Run `network` on `inputs` and keep what the watched modules saw; no hook stays behind.

    Args:
        network: any module.
        inputs: what it runs on.
        watched: classes of modules to keep the calls of.
        own_inputs: give each of `LAYERS` a view of its input, so that the gradient with respect to it is what
            flows through this layer alone, also where others read the same tensor.
        take: is given each call when it ends; the calls are then not kept.

    Raises:
        InputError: if the network returns something other than one tensor (B, classes).
    """
    calls: list[Call] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        (take or calls.append)(Call(module, args[0], output, (args[0]._version, output._version)))

    def view(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0].view_as(args[0]), *args[1:])

    handles = [m.register_forward_hook(keep) for m in network.modules() if isinstance(m, watched)]
    if own_inputs:
        handles += [m.register_forward_pre_hook(view) for m in network.modules() if isinstance(m, LAYERS)]
    try:
        logits = network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return Pass(inputs, check_logits(logits), calls)


def check_logits(logits: object) -> Tensor:
    """Return what a network returned, if it is a tensor.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(logits, Tensor):
        parts = f" of {len(logits)} items" if isinstance(logits, Sequence) else ""
        raise InputError(
            f"the network returned a {type(logits).__name__}{parts}, not a tensor of logits; wrap it in a "
            "module whose forward returns the logits alone, such as network(x)[1] for (features, logits)"
        )
    return logits


def gradients(
    outputs: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool = False, create_graph: bool = False
) -> list[Tensor]:
    """Return the gradients of the sum of `outputs`, zeros where a tensor does not take part.

    Nothing is written to any `.grad`.
    """
    if not wrt:
        return []
    if not outputs.requires_grad:
        return [torch.zeros_like(tensor) for tensor in wrt]
    found = torch.autograd.grad(
        outputs.sum(),
        list(wrt),
        retain_graph=keep_graph or create_graph,
        create_graph=create_graph,
        allow_unused=True,
    )
    return [torch.zeros_like(t) if g is None else g for t, g in zip(wrt, found, strict=True)]

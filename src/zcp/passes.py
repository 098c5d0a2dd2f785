"""One forward of a network, and what its layers saw."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zcp.errors import InputError

#: Modules whose inputs and outputs are kept.
WATCHED = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.ReLU, nn.AdaptiveAvgPool2d)


class Call(NamedTuple):
    """One execution of a watched module: a module that runs twice gives two calls."""

    module: nn.Module
    input: Tensor
    output: Tensor


class Pass(NamedTuple):
    """What one forward gave: the logits (B, classes), and the calls in order of execution."""

    inputs: Tensor
    logits: Tensor
    calls: list[Call]

    def of(self, *kinds: type[nn.Module]) -> list[Call]:
        """Return the calls of modules of these classes, in order of execution."""
        return [call for call in self.calls if isinstance(call.module, kinds)]


def forward(network: nn.Module, inputs: Tensor) -> Pass:
    """Run `network` on `inputs` and keep what the watched modules saw; no hook stays behind.

    Raises:
        InputError: if the network returns something other than one tensor (B, classes).
    """
    calls: list[Call] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append(Call(module, args[0], output))

    handles = [m.register_forward_hook(keep) for m in network.modules() if isinstance(m, WATCHED)]
    try:
        logits = network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(logits, Tensor):
        parts = f" of {len(logits)} items" if isinstance(logits, Sequence) else ""
        raise InputError(
            f"the network returned a {type(logits).__name__}{parts}, not a tensor of logits; wrap it in a "
            "module whose forward returns the logits alone, such as network(x)[1] for (features, logits)"
        )
    return Pass(inputs, logits, calls)


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

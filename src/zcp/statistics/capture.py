"""One forward of a network, and what its operations saw, whatever they were written as."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zcp.errors import InputError
from zcp.statistics import hooks
from zcp.statistics.calls import Pass
from zcp.statistics.operations import KINDS
from zcp.statistics.recorder import Recorder


def forward(
    network: nn.Module, inputs: Tensor, kinds: Sequence[str] = KINDS, *, named: bool = False, **asked: Any
) -> Pass:
    """Run `network` on `inputs` and keep what its operations saw; nothing stays behind.

    Args:
        network: any module.
        inputs: what it runs on.
        kinds: of the operations to keep.
        named: tell which module an operation was (`zcp.statistics.hooks`), which takes its time.
        asked: further arguments of `Recorder`.

    Raises:
        InputError: if the network returns something other than one tensor.
        Overwrites: with `copies=None`, if it overwrites activations.
    """
    if not kinds and not any(asked.values()) and asked.get("copies", False) is not None:
        return Pass(inputs, check_logits(network(inputs)), [])
    recorder = Recorder(kinds, **asked)
    handles = hooks.name(recorder, network) if named else []
    try:
        with recorder.origins.following(network), recorder:
            logits = network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return Pass(inputs, check_logits(logits), recorder.calls)


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
    # What a network computes under `no_grad` takes no part.
    wanted = [tensor for tensor in wrt if tensor.requires_grad]
    found = iter(
        torch.autograd.grad(
            outputs.sum(),
            wanted,
            retain_graph=keep_graph or create_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
        if wanted
        else ()
    )
    each = ((tensor, next(found) if tensor.requires_grad else None) for tensor in wrt)
    return [torch.zeros_like(tensor) if gradient is None else gradient for tensor, gradient in each]

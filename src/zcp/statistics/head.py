"""Where the features of a network end and its head begins."""

import torch
from torch import Tensor

from zcp.errors import Undefined
from zcp.statistics.calls import Call, Pass
from zcp.statistics.operations import WEIGHTED

_MEANS = (torch.mean, Tensor.mean)


def positions(tensor: Tensor) -> int:
    """Return how many positions (pixels, tokens) a tensor (B, C, …) or (B, T, C) has."""
    if tensor.ndim < 4:
        return min(tensor.shape[1:]) if tensor.ndim == 3 else 1
    return tensor[0, 0].numel()


def features(forward: Pass) -> Tensor:
    """Return the features (B, C, …) or (B, T, C) before the head.

    The head is the last convolution or linear layer and what leads to it without positions: averages or
    maxima over all positions, the choice of one token, flattening, linear layers after them. So the features
    are what enters the last average over all positions, or else the last activations that have positions; in
    a network that has none, what enters the head.

    Raises:
        Undefined: if the network ran no convolution or linear layer.
    """
    calls = forward.calls
    last = max((number for number, call in enumerate(calls) if call.kind in WEIGHTED), default=-1)
    if last < 0:
        raise Undefined("the network ran no convolution or linear layer, so its head cannot be told")
    head = calls[last]
    if positions(head.input) > 1:
        return head.input
    for call in reversed(calls[:last]):
        if _ends_positions(call):
            return call.input
        if positions(call.output) > 1:
            return call.output
        if positions(call.input) > 1:
            return call.input
    return head.input


def _ends_positions(call: Call) -> bool:
    """Tell whether this is an average or maximum over all positions."""
    if call.kind != "pool" or call.input.ndim < 3 or positions(call.output) > 1:
        return False
    # A mean that keeps three dimensions is part of a norm that is written out.
    return not (call.function in _MEANS and call.output.ndim == 3)


def entering(forward: Pass) -> Tensor:
    """Return what enters the last linear layer, or the last convolution where there is no linear layer.

    Raises:
        Undefined: if the network ran neither.
    """
    calls = forward.of("linear") or forward.of("convolution")
    if not calls:
        raise Undefined(
            "the network ran no linear layer or convolution, so what enters the last is not known"
        )
    return calls[-1].input

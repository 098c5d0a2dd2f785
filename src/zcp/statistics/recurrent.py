"""Recurrent layers, run as their cells, one step after the other.

`nn.LSTM`, `nn.GRU`, `nn.RNN` and their cells are one function of PyTorch each. Here each step of each layer
and direction is two linear layers, of the input and of the state, and the activations of the gates: what a
person writes out who has no such module. So all that is defined for linear layers and activations is defined
for them. Their multiply-accumulates are gates * hidden * (input + hidden) a step and sample, with a
projection projected * hidden more. Sequences may be packed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: What a cell remembers: (h,), and of an LSTM (h, c).
State = tuple[Tensor, ...]
Cell = Callable[..., State]


def _lstm(x: Tensor, state: State, w: Sequence[Tensor], b: Sequence[Tensor | None]) -> State:
    h, c = state
    i, f, g, o = (F.linear(x, w[0], b[0]) + F.linear(h, w[1], b[1])).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return (h if len(w) == 2 else F.linear(h, w[2])), c


def _gru(x: Tensor, state: State, w: Sequence[Tensor], b: Sequence[Tensor | None]) -> State:
    (h,) = state
    of_input, of_state = F.linear(x, w[0], b[0]).chunk(3, -1), F.linear(h, w[1], b[1]).chunk(3, -1)
    reset, update = (torch.sigmoid(of_input[n] + of_state[n]) for n in (0, 1))
    new = torch.tanh(of_input[2] + reset * of_state[2])
    return (new + update * (h - new),)


def _plain(activation: Callable[[Tensor], Tensor]) -> Cell:
    def cell(x: Tensor, state: State, w: Sequence[Tensor], b: Sequence[Tensor | None]) -> State:
        return (activation(F.linear(x, w[0], b[0]) + F.linear(state[0], w[1], b[1])),)

    return cell


_CELLS: dict[str, Cell] = {
    "lstm": _lstm, "gru": _gru, "rnn_tanh": _plain(torch.tanh), "rnn_relu": _plain(torch.relu),
}  # fmt: skip


def _one_step(cell: Cell) -> Callable[..., Any]:
    """Return the function of a single cell."""

    def run(
        x: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
    ) -> Any:
        state = cell(x, (hx,) if isinstance(hx, Tensor) else tuple(hx), (w_ih, w_hh), (b_ih, b_hh))
        return state[0] if len(state) == 1 else state

    return run


def _all_steps(cell: Cell) -> Callable[..., Any]:
    """Return the function of all layers, directions and steps."""

    def run(x: Tensor, *args: Any) -> tuple[Tensor, ...]:
        if isinstance(args[2], list | tuple):
            sizes, hx, parameters, biased, layers, dropout, train, both = args
            split: Callable[[Tensor], Sequence[Tensor]] = lambda found: torch.split(found, sizes.tolist())  # noqa: E731
            join: Callable[[list[Tensor]], Tensor] = torch.cat
            steps = list(split(x))
        else:
            hx, parameters, biased, layers, dropout, train, both, batch_first = args
            time = 1 if batch_first else 0
            steps = list(x.unbind(time))
            join, split = (lambda found: torch.stack(found, time)), lambda found: found.unbind(time)
        states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        count, ends = len(parameters) // (layers * (1 + both)), list[State]()
        for layer in range(layers):
            found = []
            for backward in range(1 + both):
                place = layer * (1 + both) + backward
                own = parameters[place * count : (place + 1) * count]
                weights, biases = (own[:2] + own[4:], own[2:4]) if biased else (own, (None, None))
                begin = tuple(each[place] for each in states)
                outputs, end = _one_way(cell, steps, begin, weights, biases, bool(backward))
                found.append(outputs)
                ends.append(end)
            steps = [torch.cat(each, -1) for each in zip(*found, strict=True)] if both else found[0]
            if dropout and layer < layers - 1:
                steps = list(split(torch.dropout(join(steps), dropout, train)))
        return join(steps), *(torch.stack(each) for each in zip(*ends, strict=True))

    return run


def _one_way(
    cell: Cell,
    steps: Sequence[Tensor],
    begin: State,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    backward: bool,
) -> tuple[list[Tensor], State]:
    """Return the outputs of one layer and direction by step, and its last state.

    Of packed sequences the longest come first: a step has as many rows as there are sequences of its length.
    """
    rows = [len(step) for step in steps]
    state = tuple(each[: rows[-1 if backward else 0]] for each in begin)
    outputs, ended = list[Tensor](), list[State]()
    for step in reversed(steps) if backward else steps:
        size = len(state[0])
        if len(step) > size:
            state = tuple(
                torch.cat([now, first[size : len(step)]]) for now, first in zip(state, begin, strict=True)
            )
        elif len(step) < size:
            ended.append(tuple(each[len(step) :] for each in state))
            state = tuple(each[: len(step)] for each in state)
        state = cell(step, state, weights, biases)
        outputs.append(state[0])
    if ended:
        state = tuple(torch.cat(each) for each in zip(state, *reversed(ended), strict=True))
    return (outputs[::-1] if backward else outputs), state


#: Functions of PyTorch -> the same in linear layers and activations.
RECURRENT: dict[Callable[..., Any], Callable[..., Any]] = {
    **{getattr(torch, name): _all_steps(cell) for name, cell in _CELLS.items()},
    **{getattr(torch, f"{name}_cell"): _one_step(cell) for name, cell in _CELLS.items()},
}


@contextmanager
def current_weights(network: nn.Module) -> Iterator[None]:
    """Let recurrent layers read the parameters that they have now, and not their list of earlier ones."""
    layers = [module for module in network.modules() if isinstance(module, nn.RNNBase)]
    handles = [layer.register_forward_pre_hook(_refresh) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer in layers:
            _refresh(layer)


def _refresh(layer: nn.Module, _args: Any = None) -> None:
    layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]  # type: ignore[union-attr,assignment]

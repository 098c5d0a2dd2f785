"""The blocks of any network: the longest chain of modules through which everything passes.

The definition is ours; published codes name the blocks of each network by hand. Everything passes through a
module if no way from the input to the logits leads around its output. Such modules whose names differ in
numbers alone (`layer1.0`, `layer2.3`) form a chain; where no names do, all of one depth. Taken is the chain
that is longest of those that hold at least half as many weights as the largest, so that a stage gives way to
its blocks, and blocks whose inside has a way around stay whole.
"""

import re
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from zcp.errors import InputError
from zcp.statistics.recorder import Recorder

#: Share of the largest chain's weights that a longer chain must hold to be taken.
NEARLY = 0.5


class _Output(NamedTuple):
    """What a module gave, once for each time that it ran."""

    name: str
    module: nn.Module
    node: Any
    dimensions: int


def named_blocks(network: nn.Module, names: list[str]) -> list[nn.Module]:
    """Return the modules of these names.

    Raises:
        InputError: if there is no module of a name.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    for name in names:
        if name not in modules:
            raise InputError(
                f"the network has no module {name!r}; see dict(network.named_modules(remove_duplicate=False))"
            )
    return [modules[name] for name in names]


def first_tensor(output: Any) -> Tensor | None:
    """Return the first floating point tensor of what a module gave; None where there is none."""
    found = (each for each in tree_leaves(output) if isinstance(each, Tensor) and each.is_floating_point())
    return next(found, None)


def find_chain(network: nn.Module, inputs: Tensor) -> list[nn.Module]:
    """Return the blocks by the rule above, in order of execution; an empty list where there are none.

    Args:
        network: any module that maps `inputs` to one tensor; no hook stays behind.
        inputs: floating point; one sample will do.
    """
    inputs = inputs.detach().requires_grad_()
    outputs: list[_Output] = []
    handles = []
    for name, module in network.named_modules():
        if name and any(p.ndim > 1 for p in module.parameters()):

            def keep(module: nn.Module, _args: Any, output: Any, name: str = name) -> None:
                tensor = first_tensor(output)
                if tensor is not None and tensor.grad_fn is not None:
                    outputs.append(_Output(name, module, tensor.grad_fn, tensor.ndim))

            handles.append(module.register_forward_hook(keep))
    try:
        with torch.enable_grad(), Recorder(()):
            logits = network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    cuts = cut_nodes(logits.grad_fn, inputs) - {logits.grad_fn}
    return _longest([each for each in outputs if each.node in cuts])


def _longest(outputs: list[_Output]) -> list[nn.Module]:
    most = max((each.dimensions for each in outputs), default=0)
    outputs = [each for each in outputs if each.dimensions == most or each.dimensions > 2]
    by_name, by_depth = (dict[object, list[nn.Module]](), dict[object, list[nn.Module]]())
    for each in outputs:
        by_name.setdefault(re.sub(r"\d+", "#", each.name), []).append(each.module)
        by_depth.setdefault(each.name.count("."), []).append(each.module)
    chains = [chain for chain in by_name.values() if len(chain) > 1]
    largest = max(map(_weights, by_depth.values()), default=0)
    for group in (chains, list(by_depth.values())):
        large = [chain for chain in group if _weights(chain) >= NEARLY * largest]
        if large:
            return max(large, key=len)
    return []


def _weights(modules: list[nn.Module]) -> int:
    return sum({p: p.numel() for m in modules for p in m.parameters() if p.ndim > 1}.values())


def cut_nodes(sink: Any, source: Tensor) -> set[Any]:
    """Return the nodes of a graph that every way from `source` to `sink` goes through.

    In a topological order of the nodes that lie on such ways, these are the ones that no edge leads across.
    """
    order = _from_source(sink, source)
    place = {node: number for number, node in enumerate(order)}
    across = [0] * (len(order) + 1)
    for node, number in place.items():
        for before, _ in node.next_functions:
            if before in place:
                across[place[before] + 1] += 1
                across[number] -= 1
    cuts, open_edges = set(), 0
    for node, change in zip(order, across, strict=False):
        open_edges += change
        if not open_edges:
            cuts.add(node)
    return cuts


def _from_source(sink: Any, source: Tensor) -> list[Any]:
    """Return the nodes on the ways from `source` to `sink`, each after those that it needs."""
    reaches: dict[Any, bool] = {}
    order: list[Any] = []
    stack = [(sink, False)]
    while stack:
        node, done = stack.pop()
        if node is None or (node in reaches and not done):
            continue
        following = [each for each, _ in node.next_functions if each is not None]
        if not done:
            reaches[node] = getattr(node, "variable", None) is source
            stack += [(node, True), *((each, False) for each in following)]
            continue
        reaches[node] |= any(reaches[each] for each in following)
        if reaches[node]:
            order.append(node)
    return order

"""Which parameters are weights: what convolutions, linear layers and products multiply activations with.

A weight is a leaf parameter, which an optimiser would move, of two dimensions or more. Of a layer whose
weight is computed it is every such parameter behind it, whatever the way: scaled, centred, turned,
joined (`torch.cat([a, b])`), corrected by a product of two others (`w + a @ b`, where all three count), the
matrix that `spectral_norm`, `orthogonal` or pruning begins with. A parameter that only scales, with a number
a row or column, is no weight, as that of a batch norm is none: of `weight_norm` the direction counts. Norms
and gradients are those of the leaves, so they are not those of the same network with the computed weight
folded in. In `nn.MultiheadAttention` it is the packed matrix, in recurrent layers those of inputs, states and
projections. Embeddings, tokens, positions and norms have parameters and no weights, unless a product reads
them, as the tied embedding of a language model.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from zcp.errors import Undefined
from zcp.statistics.calls import Pass
from zcp.statistics.operations import LAYERS as LAYER_KINDS
from zcp.statistics.operations import WEIGHTED

#: Modules with several matrices, all of them weights.
RECURRENT = (nn.RNNBase, nn.RNNCellBase)
#: Modules whose matrices are weights.
LAYERS = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear, *RECURRENT)
#: Modules whose parameters of two dimensions or more are none.
NO_LAYERS = (nn.LayerNorm, nn.RMSNorm)
#: Operations that scale a weight, by the names that PyTorch gives their backwards.
_SCALES = re.compile("Mul|Div|Norm")


def weights_of(network: nn.Module, run: Callable[[], Pass]) -> list[Tensor]:
    """Return the weights of a network, in order of registration, those that never run among them.

    Args:
        network: any module.
        run: gives a forward with its graph; called only where modules do not tell what a parameter is.

    Raises:
        Undefined: if there is none.
    """
    found, told = _registered(network)
    if any(p.ndim > 1 and p not in told for p in network.parameters()):
        found.update(leaves_behind(run(), *WEIGHTED))
    weights: list[Tensor] = [p for p in network.parameters() if p in found]
    if not weights:
        raise Undefined("the network has no convolution or linear layer, so there are no weights to look at")
    return weights


def named_weights(network: nn.Module, run: Callable[[], Pass]) -> list[Tensor]:
    """Return the parameters that are called a weight, or that a layer or norm has as one, whatever its name.

    Args:
        network: any module.
        run: gives a forward with its graph; called only where a parameter is called neither weight nor bias.
    """
    named = dict(network.named_parameters())
    found: set[Tensor] = {p for name, p in named.items() if "weight" in name}
    if any("weight" not in name and "bias" not in name for name in named):
        found.update(leaves_behind(run(), *LAYER_KINDS))
    return [p for p in named.values() if p in found]


def _registered(network: nn.Module) -> tuple[set[Tensor], set[Tensor]]:
    """Return (weights, parameters of which it is clear what they are)."""
    found: set[Tensor] = set()
    told: set[Tensor] = set()
    for module in network.modules():
        if isinstance(module, LAYERS):
            matrices = [p for p in module.parameters() if p.ndim > 1]
            largest = max((p.numel() for p in matrices), default=0)
            # Where there are several, a weight is computed of them: of which, the forward tells.
            known = len(matrices) < 2 or isinstance(module, RECURRENT)
            found |= {p for p in matrices if p.numel() == largest or isinstance(module, RECURRENT)}
            told |= {*matrices} if known else set()
        elif isinstance(module, nn.MultiheadAttention):
            own = dict(module.named_parameters(recurse=False))
            found |= {p for name, p in own.items() if name.endswith("proj_weight")}
            told |= {*own.values()}
        elif isinstance(module, NO_LAYERS):
            told |= {*module.parameters(recurse=False)}
    return found, told


def leaves_behind(forward: Pass, *kinds: str) -> Iterator[Tensor]:
    """Yield the parameters that the weights of the operations of these kinds of a pass were made of."""
    # What comes out of an operation is an activation: a weight that is made of such ends there.
    ends = {call.output.grad_fn for call in forward.calls if call.kind != "product"}
    for call in forward.of(*kinds):
        if call.weight is not None:
            yield from _leaves_of(call.weight, ends)


def _leaves_of(weight: Tensor, ends: set[Any]) -> Iterator[Tensor]:
    base = weight if weight._base is None else weight._base
    if isinstance(base, nn.Parameter):
        yield base
        return
    found = dict[Tensor, bool]()  # whether it is a scale in all ways that lead to it
    nodes, seen = [(weight.grad_fn, "")], set[tuple[Any, str]]()
    while nodes:
        node, joined = nodes.pop()
        if node is None or node in ends or (node, joined) in seen:
            continue
        seen.add((node, joined))
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, nn.Parameter) and leaf.ndim > 1:
            found[leaf] = found.get(leaf, True) and _SCALES.search(joined) is not None
        if len(node.next_functions) > 1:
            joined = node.name()
        nodes += [(following, joined) for following, _ in node.next_functions]
    largest = max((leaf.numel() for leaf in found), default=0)
    for leaf, scales in found.items():
        if not (scales and _is_vector(leaf) and leaf.numel() < largest):
            yield leaf


def _is_vector(leaf: Tensor) -> bool:
    return sum(size > 1 for size in leaf.shape) < 2

"""Which parameters are weights: what convolutions, linear layers and products multiply activations with.

A weight is a leaf parameter, which an optimiser would move. Of a layer whose weight is computed it is what
it is computed from: the direction of `weight_norm` (the scale has one number a channel, as that of a batch
norm), the matrix that `spectral_norm`, `orthogonal` or pruning begins with. Its norm and its gradient are its
own, so they are not those of the same network with the computed weight folded in. In `nn.MultiheadAttention`
it is the packed matrix. Embeddings, tokens, positions and norms have parameters and no weights, unless a
product reads them, as the tied embedding of a language model.
"""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from zcp.errors import Undefined
from zcp.statistics.calls import Pass
from zcp.statistics.operations import LAYERS as LAYER_KINDS
from zcp.statistics.operations import WEIGHTED

#: Modules whose matrices are weights.
LAYERS = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear, nn.RNNBase)
#: Modules whose parameters of two dimensions or more are none.
NO_LAYERS = (nn.LayerNorm, nn.RMSNorm)
#: How far behind a computed weight its leaves are looked for, in operations.
REACH = 64


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
        for call in run().of(*WEIGHTED):
            if call.weight is not None:
                found.update(leaves_behind(call.weight))
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
        for call in run().of(*LAYER_KINDS):
            if call.weight is not None:
                found.update(leaves_behind(call.weight))
    return [p for p in named.values() if p in found]


def _registered(network: nn.Module) -> tuple[set[Tensor], set[Tensor]]:
    """Return (weights, parameters of which it is clear what they are)."""
    found: set[Tensor] = set()
    told: set[Tensor] = set()
    for module in network.modules():
        if isinstance(module, LAYERS):
            matrices = [p for p in module.parameters() if p.ndim > 1]
            largest = max((p.numel() for p in matrices), default=0)
            found |= {p for p in matrices if p.numel() == largest or isinstance(module, nn.RNNBase)}
            told |= {*matrices}
        elif isinstance(module, nn.MultiheadAttention):
            own = dict(module.named_parameters(recurse=False))
            found |= {p for name, p in own.items() if name.endswith("proj_weight")}
            told |= {*own.values()}
        elif isinstance(module, NO_LAYERS):
            told |= {*module.parameters(recurse=False)}
    return found, told


def leaves_behind(weight: Tensor) -> Iterator[Tensor]:
    """Yield the parameters that a weight was made of, as large as it is or larger."""
    base = weight if weight._base is None else weight._base
    if isinstance(base, nn.Parameter):
        yield base
        return
    nodes, seen = [weight.grad_fn], set[object]()
    while nodes and len(seen) < REACH:
        node = nodes.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, nn.Parameter) and leaf.ndim > 1 and leaf.numel() >= weight.numel():
            yield leaf
        nodes += [following for following, _ in node.next_functions]

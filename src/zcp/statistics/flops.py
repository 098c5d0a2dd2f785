"""Multiply-accumulates of the operations of a network."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from zcp.errors import InputError
from zcp.statistics.adapted import arguments_of
from zcp.statistics.calls import Call
from zcp.statistics.copies import materialised, own_copy, unwrapped
from zcp.statistics.products import read_product
from zcp.statistics.recorder import Recorder
from zcp.statistics.refusals import require_scorable


def multiply_accumulates(call: Call) -> int:
    """Return the multiply-accumulates of an operation that was kept with its arguments, biases aside.

    Convolutions, linear layers, products and attention (both of its products, over all pairs of positions, as
    if nothing were masked) have some, all others none.
    """
    if call.kind == "convolution":
        assert call.weight is not None
        transposed = "transpose" in call.function.__name__
        return (call.input if transposed else call.output).numel() * call.weight.shape[1:].numel()
    if call.kind == "attention":
        query, key, value = (
            _given(call, place, name) for place, name in enumerate(("query", "key", "value"))
        )
        pairs = query.shape[:-1].numel() * key.shape[-2]
        return int(pairs * (query.shape[-1] + value.shape[-1]))
    if call.kind not in ("linear", "product"):
        return 0
    if call.kind == "product":
        product = read_product(call.function, call.args, call.kwargs)
        return 0 if product is None else product.multiply_accumulates
    assert call.weight is not None
    return call.output.numel() * call.weight.shape[-1]


def biases(call: Call) -> int:
    """Return how many output elements get a bias."""
    return call.output.numel() * call.biased


def counted_as_nats_bench(calls: Iterable[Call]) -> int:
    """Return multiply-accumulates and biases together."""
    return sum(multiply_accumulates(call) + biases(call) for call in calls)


def _given(call: Call, place: int, name: str) -> Any:
    return call.args[place] if len(call.args) > place else call.kwargs.get(name)


class Flops(NamedTuple):
    """Multiply-accumulates of one forward.

    Attributes:
        total: of the whole network.
        by_module: by the name of the innermost module that an operation ran in, in order of execution; an
            empty name is the network itself.
    """

    total: int
    by_module: dict[str, int]


def flops(network: nn.Module, inputs: Any) -> Flops:
    """Count the multiply-accumulates of convolutions, linear layers, matrix products and attention.

    As PyTorch's `FlopCounterMode` counts, by half: it counts two for each, and none for fused attention on a
    CPU. Biases, norms, activations, pooling and softmax do not count, and neither does what computes the
    weight of a layer (`weight_norm`, `spectral_norm`, `orthogonal`), of which the counter takes the products:
    a layer has the operations that it has once its weight is folded. The proxy `flops` is that of one sample,
    with biases.

    Args:
        network: any module; a copy of it runs, in evaluation mode. It may be on the meta device.
        inputs: a tensor, a sequence of positional arguments, or a mapping of keyword ones; all samples count.

    Raises:
        InputError: if the network cannot be copied, or fails on these inputs.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(288, 10))
        >>> flops(network, torch.zeros(1, 3, 8, 8))
        Flops(total=10656, by_module={'0': 7776, '2': 2880})
    """
    require_scorable(network, values=False)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    # Copies, because the network may overwrite its inputs.
    args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to(device, copy=True), arguments_of(inputs))
    own = own_copy(materialised(unwrapped(network), args, kwargs)).eval()
    names = {module: name for name, module in own.named_modules()}
    running, counts = [""], dict[str, int]()

    def take(call: Call) -> None:
        count = multiply_accumulates(call)
        if count:
            counts[running[-1]] = counts.get(running[-1], 0) + count

    def end(*_: Any) -> None:
        running.pop()

    for module in own.modules():
        module.register_forward_pre_hook(lambda module, _args: running.append(names[module]))
        module.register_forward_hook(end, always_call=True)
    recorder = Recorder(arguments=True, biases=False, take=take)
    try:
        with torch.no_grad(), recorder.origins.following(own), recorder:
            own(*args, **kwargs)
    except (Exception, SystemExit) as error:
        raise InputError(f"the network fails on these inputs ({type(error).__name__}: {error})") from error
    return Flops(sum(counts.values()), counts)

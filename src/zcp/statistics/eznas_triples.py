"""The statistics of EZNAS: of triples of modules, in passes that differentiate the pooled features.

A triple (first, second, third) is ReLU, convolution, batch norm in most networks. Its features are
`<slot>_<pass>`: `inpact` (input of the first), `inpactgrad` (its gradient through this module alone),
`preact` and `preactgrad` (input of the second), `act` and `actgrad` (output of the third), `wtgrad`, and `wt`
alone (weight of the second). Passes: D (the first batch), N (standard normal inputs), P (the first batch plus
0.1 times noise, MINUS D). Differentiated is the sum of the features that enter the last linear layer; labels
play no part.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zcp.errors import Undefined
from zcp.formulas import Evaluation, Expression, Program
from zcp.statistics.blocks import find_blocks
from zcp.statistics.calls import Call, Pass
from zcp.statistics.operations import LAYERS, WEIGHTED
from zcp.statistics.runner import Runner
from zcp.statistics.transfer import Later

SLOTS = ("inpact", "inpactgrad", "preact", "preactgrad", "act", "actgrad", "wtgrad")
FEATURES = {"wt", *(f"{slot}_{which}" for slot in SLOTS for which in "DNP")}
_DERIVED = {
    f"{slot}_P": Expression("subtract", (Expression(f"{slot}_perturbed"), Expression(f"{slot}_D")))
    for slot in SLOTS
}
_KINDS = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)


class Triple(NamedTuple):
    """Three executions of modules in a row."""

    first: Call
    second: Call
    third: Call


def _origin(tensor: Tensor) -> Tensor:
    """Return the tensor that this one is a view of, or itself."""
    return tensor if tensor._base is None else tensor._base


def _follows(call: Call, before: Call) -> bool:
    return _origin(call.source) is before.output


def reference_triples(network: nn.Module, forward: Pass) -> list[Triple | None]:
    """Return the triples that EZNAS's published code reads.

    It lists modules in order of registration, drops convolutions that no batch norm follows, the stem, and
    the last ReLU and batch norm, and cuts the rest into threes. Where that fails (NATS-Bench cells without a
    convolution) it takes modules in order of execution and, expecting convolution, batch norm, ReLU in turn,
    skips what does not fit together with its successor. The projection of NATS-Bench's size space carries a
    ReLU that never runs: its triple cannot be read.
    """
    calls = {call.module: call for call in forward.calls if call.module is not None}
    listed = [module for module in network.modules() if isinstance(module, _KINDS)]
    kept = [m for m, after in pairwise([*listed, None]) if not isinstance(m, nn.Conv2d) or _is_norm(after)][
        2:
    ]
    if kept and isinstance(kept[-1], nn.ReLU):
        kept.pop()
    if len(kept) > 1 and _is_norm(kept[-1]) and _is_norm(kept[-2]):
        kept.pop()
    slots: list[nn.Module | None] = []
    for module, after in pairwise([*kept, None]):
        first = len(slots) % 3 == 0 and isinstance(module, nn.Conv2d)
        # No ReLU before a convolution that its batch norm follows in the data, too: the silent one.
        if first and module in calls and after in calls and _follows(calls[after], calls[module]):
            slots.append(None)
        slots.append(module)
    if len(slots) % 3:
        slots = list(_in_execution_order(forward))
    found: list[Triple | None] = []
    for three in zip(slots[::3], slots[1::3], slots[2::3], strict=False):
        ran = [calls[module] for module in three if module in calls]
        found.append(Triple(*ran) if len(ran) == 3 else None)
    return found


def _is_norm(module: nn.Module | None) -> bool:
    return isinstance(module, nn.BatchNorm2d)


def _in_execution_order(forward: Pass) -> list[nn.Module]:
    found: list[nn.Module] = []
    modules = iter([call.module for call in _named(forward)])
    for module in modules:
        if isinstance(module, _KINDS[len(found) % 3]):
            found.append(module)
        else:
            next(modules, None)
    return found


def triples_of(network: nn.Module, forward: Pass) -> list[Triple | None]:
    """Return the triples of any network: the published code's, or else those that its operations form.

    The published code is for networks of a stem and cells (`zcp.statistics.blocks`) whose operations are
    modules. In any other a triple is an activation of feature maps, the next convolution or linear layer, and
    the norm that follows it, or that layer again, in order of execution: ours, and the same for modules,
    functions and operators.
    """
    if _is_published(network, forward):
        return reference_triples(network, forward)
    calls, found = _read(network, forward), list[Triple | None]()
    for number, call in enumerate(calls):
        layer = next((n for n in range(number, len(calls)) if calls[n].kind in WEIGHTED), None)
        if call.kind == "activation" and call.input.ndim == 4 and layer is not None:
            third = calls[layer + 1] if calls[layer + 1 : layer + 2] else calls[layer]
            found.append(Triple(call, calls[layer], third if third.kind == "norm" else calls[layer]))
    return found


def _is_published(network: nn.Module, forward: Pass) -> bool:
    return bool(find_blocks(network)) and len({call.kind for call in _named(forward)}) == len(_KINDS)


def _named(forward: Pass) -> list[Call]:
    """Return the executions of modules that the published code reads."""
    return [call for call in forward.calls if isinstance(call.module, _KINDS)]


def _read(network: nn.Module, forward: Pass) -> list[Call]:
    """Return the executions that triples are made of."""
    return _named(forward) if _is_published(network, forward) else forward.of("activation", *LAYERS)


def activations(network: nn.Module, forward: Pass) -> list[Tensor]:
    """Return what entered and left the modules that triples are made of, without the network's own inputs.

    Without weights and inputs the backward is half as long.
    """
    calls = _read(network, forward)
    found = [tensor for call in calls for tensor in (call.input, call.output)]
    return [tensor for tensor in dict.fromkeys(found) if _origin(tensor) is not forward.inputs]


def evaluate(s: Runner, expressions: Sequence[Expression]) -> list[list[float]] | Later[list[list[float]]]:
    """Return, for each triple, the mean over the elements of each formula's value; 0 where it cannot be read.

    Raises:
        Undefined: if there is no triple.
    """
    program = Program(expressions, _DERIVED)
    evaluations: list[Evaluation | None] = []
    for which in ("D", "perturbed", "N"):
        names = [name for name in program.features if name.endswith(f"_{which}")]
        if not names and which != "D":
            continue
        forward, found = _take(s, which, weights=any(name.startswith("wtgrad") for name in names))
        triples = [_readable(triple, forward) for triple in triples_of(s.network, forward)]
        if not triples:
            raise Undefined("the network ran no activation of feature maps with a layer behind it")
        evaluations = evaluations or [triple and _evaluation(s, program, triple) for triple in triples]
        for triple, evaluation in zip(triples, evaluations, strict=True):
            if triple and evaluation:
                for name in names:
                    evaluation.offer(name, _statistic(name.split("_")[0], triple, found))
    pending = [[] if found is None else found.pending for found in evaluations]
    return s.later(_results, evaluations, pending, len(expressions))


def _results(
    evaluations: list[Evaluation | None], fetched: list[list[Tensor]], count: int
) -> list[list[float]]:
    pairs = zip(evaluations, fetched, strict=True)
    return [[0.0] * count if found is None else found.resume(values).results for found, values in pairs]


def _take(s: Runner, which: str, *, weights: bool) -> tuple[Pass, dict[Tensor, Tensor]]:
    """Return a pass and its gradients."""
    if which == "D":
        forward = s.data
        found = dict(s.feature_gradients)
    else:
        images = s.batches[0][0]
        noise = s.noise(f"eznas_{which}", images.shape)
        inputs = noise if which == "N" else images + 0.1 * noise
        forward = s.forward(s.network, inputs.requires_grad_(), named=True)
        found = s.gradients_of_features(forward, activations(s.network, forward))
    if weights:
        read = dict.fromkeys(call.weight for call in _read(s.network, forward) if call.weight is not None)
        found |= s.gradients_of_features(forward, list(read))
    return forward, found


def _readable(triple: Triple | None, forward: Pass) -> Triple | None:
    """Return the triple unless it begins with the network's inputs, which get no gradient in EZNAS."""
    return None if triple is None or _origin(triple.first.input) is forward.inputs else triple


def _statistic(slot: str, triple: Triple, found: dict[Tensor, Tensor]) -> Tensor:
    first, second, third = triple
    if slot == "inpactgrad" and isinstance(first.module, nn.ReLU):
        # What PyTorch's own backward of a ReLU calls; ten times faster than torch.where.
        return torch.ops.aten.threshold_backward(found[first.output], first.output, 0)  # type: ignore[no-any-return]
    if slot == "inpactgrad" and not first.input.requires_grad:  # under `no_grad`
        return torch.zeros_like(first.input)
    if slot == "inpactgrad":
        return torch.autograd.grad(first.output, first.input, found[first.output], retain_graph=True)[0]
    tensor = {
        "inpact": first.input, "preact": second.input, "act": third.output, "wt": second.weight
    }[slot.removesuffix("grad")]  # fmt: skip
    return found[tensor] if slot.endswith("grad") else tensor  # type: ignore[index,return-value]


def _evaluation(s: Runner, program: Program, triple: Triple) -> Evaluation:
    slots = {"inpact": triple.first.input, "preact": triple.second.input, "act": triple.third.output}
    weight = triple.second.weight
    if weight is not None:
        slots["wt"] = weight
    bases = {name: name.split("_")[0].removesuffix("grad") for name in program.features}
    shapes = {name: tuple(slots[base].shape) for name, base in bases.items() if base in slots}
    found = Evaluation(program, shapes, torch.empty(0, device=s.device, dtype=s.dtype), s.noise)
    if weight is not None:
        found.offer("wt", weight)
    return found

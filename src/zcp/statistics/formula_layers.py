"""Formulas over the statistics of every layer, from four passes.

A layer is one execution of a convolution, a norm or a linear layer. Its features are named `<pass>_<kind>`.
Passes: `pass` (the first batch), `pass_noise` (standard normal inputs), `pass_perturbation` (the first batch
plus 0.1 times standard normal noise, every statistic but the weight MINUS that of `pass`, as in EZNAS) and
`random` (inputs uniform on [0, 1), random labels). Kinds: `fwd_input`, `fwd_output`, the gradients of the
loss with respect to both, `bwd_input` (what flows through this layer alone) and `bwd_output`, `wt` (the
weight that the layer multiplies with, behind any parametrisation, the same in all passes) and `grad` (its
gradient).

The tensors of all passes of one network do not fit into memory side by side. So the passes run one after the
other, the gradients of a pass are taken while its backward runs, and each statistic goes at once into the
evaluation of its layers, which keeps what a later pass will be compared with and nothing else. Layers of
equal shapes are evaluated together, as many as fit the cache: small tensors cost less time than the calls
that work on them.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from zcp.errors import Undefined
from zcp.formulas import Evaluation, Expression, Program, views
from zcp.formulas.evaluator import APART, Rows
from zcp.formulas.identities import simplified
from zcp.formulas.operators import Shape
from zcp.formulas.program import MAX_ELEMENTS, check_work
from zcp.statistics.calls import Call, Pass
from zcp.statistics.copies import Engine
from zcp.statistics.operations import LAYERS
from zcp.statistics.runner import Runner
from zcp.statistics.transfer import Later

Noise = Callable[[str, Shape], Tensor]
#: For each formula its means, layer by layer, or why there is none.
Values = dict[Expression, list[float] | Undefined]

PASSES = ("pass", "pass_noise", "pass_perturbation", "random")
KINDS = ("fwd_input", "fwd_output", "bwd_input", "bwd_output", "wt", "grad")
#: Every feature name -> (pass, kind).
FEATURES = {f"{which}_{kind}": (which, kind) for which in PASSES for kind in KINDS}
#: Scale of the noise of `pass_perturbation`.
PERTURBATION = 0.1
#: The statistics that are taken. `perturbed` comes second: differences free what the first batch left.
_TAKEN = ("pass", "perturbed", "pass_noise", "random")
_DERIVED = {f"{which}_wt": Expression("wt") for which in PASSES} | {
    f"pass_perturbation_{kind}": Expression(
        "subtract", (Expression(f"perturbed_{kind}"), Expression(f"pass_{kind}"))
    )
    for kind in KINDS
    if kind != "wt"
}


@lru_cache(maxsize=64)
def compile_formulas(expressions: tuple[Expression, ...]) -> Program:
    """Return a program whose features are statistics as they are taken."""
    return Program(expressions, _DERIVED)


@lru_cache(maxsize=64)
def _compile_simplified(expressions: tuple[Expression, ...]) -> Program:
    return compile_formulas(tuple(map(simplified, expressions)))


@lru_cache(maxsize=512)
def _compile_views(expressions: tuple[Expression, ...], shapes: tuple[tuple[str, Shape], ...]) -> Program:
    """Return a program whose features are views of statistics of these shapes."""
    return Program(views.rewrite(_compile_simplified(expressions), dict(shapes)), _DERIVED)


def kinds_taken(program: Program, which: str) -> set[str]:
    """Return the kinds of statistics that a program needs of a pass, weights aside."""
    return {kind for kind in KINDS if f"{which}_{kind}" in program.features}


def needs_gradients(kinds: set[str]) -> bool:
    """Tell whether any of these kinds comes from a backward."""
    return bool(kinds - {"fwd_input", "fwd_output"})


def layer_tensors(forward: Pass) -> list[Tensor]:
    """Return the tensors of all layers that their gradients are with respect to."""
    return [tensor for call in forward.of(*LAYERS) for tensor in _gradients_of(call).values()]


def _gradients_of(call: Call) -> dict[str, Tensor]:
    """Return the tensors of a layer that its gradients are with respect to, by kind."""
    found = {"bwd_input": call.input, "bwd_output": call.output}
    if call.weight is not None:
        found["grad"] = call.weight
    return found


def _signature(call: Call) -> Hashable:
    """Return what makes two executions those of the same layer."""
    return call.kind, call.input.shape, call.output.shape, getattr(call.weight, "shape", None)


def evaluate_formulas(
    s: Runner, expressions: Sequence[Expression], why: Values | None = None
) -> Values | Later[Values]:
    """Return what `evaluate` gives for each formula, or why it has no value.

    Args:
        s: the statistics.
        expressions: the formulas.
        why: of others, that have no value.

    Raises:
        Undefined: if there is a reason that concerns all of them.
    """
    try:
        return s.later(_by_formula, evaluate(s, tuple(expressions)), list(expressions), why or {})
    except Undefined as error:
        # A network or labels that cross-entropy does not fit still have activations and weights.
        without = [each for each in expressions if not _reads_gradients(each)]
        if len(without) == len(expressions):
            raise
        missing: Values = dict.fromkeys(expressions, error)
        return evaluate_formulas(s, without, missing) if without else missing


def _by_formula(layers: list[list[float]], expressions: list[Expression], why: Values) -> Values:
    return why | dict(zip(expressions, map(list, zip(*layers, strict=True)), strict=True))


def _reads_gradients(expression: Expression) -> bool:
    return needs_gradients({FEATURES[name][1] for name in expression.features} - {"wt"})


def evaluate(s: Runner, expressions: tuple[Expression, ...]) -> list[list[float]] | Later[list[list[float]]]:
    """Return, for each layer in order of execution, the mean over the elements of each formula's value.

    NaN stands where a layer lacks a feature. The graph of the first batch is given up on the way.

    Raises:
        Undefined: if the passes ran different layers, or none.
    """
    layers = _Layers(s, expressions)
    taken = [which for which in _TAKEN if kinds_taken(layers.program, which)]
    for which in taken or ["pass"]:
        if which == "pass":
            layers.take_first_batch()
        else:
            layers.take_pass(which)
    return layers.results()


class _Group:
    """Layers of equal shapes that are evaluated together.

    Args:
        expressions: the formulas.
        shapes: of the features of each layer.
        like: a tensor of the device and precision to compute with.
        engine: the layout of the features and whether they are read through views.
        noise: gives the standard normal values of a text and shape.
    """

    def __init__(
        self,
        expressions: tuple[Expression, ...],
        shapes: Mapping[str, Shape],
        like: Tensor,
        engine: Engine,
        noise: Noise,
    ) -> None:
        self.program = (
            _compile_views(expressions, tuple(sorted(shapes.items())))
            if engine.views
            else compile_formulas(expressions)
        )
        self.like, self.engine, self.noise = like, engine, noise
        bases = {view: views.base_of(view) for view in self.program.features}
        self.shapes = {
            view: views.view_shape(view, shapes[base]) for view, base in bases.items() if base in shapes
        }
        program, plan = self.program, self.program.plan(self.shapes)
        most = max((math.prod(shape) for shape in shapes.values()), default=1)
        check_work(plan, program.operators, program.nodes, most, len(program.roots))
        counts = plan.counts
        self.widest = max(counts, default=1)
        self._views: dict[str, dict[str, int]] = {}
        for view, node in self.program.features.items():
            if counts[node]:
                self._views.setdefault(bases[view], {})[view] = counts[node]
        self.layers: list[int] = []
        self.evaluation: Evaluation | None = None
        self._early: list[tuple[int, str, Tensor]] = []
        self._rows: dict[str, Rows] = {}
        self._missing: dict[str, int] = {}

    @property
    def largest(self) -> int:
        """Most elements that are read of one feature, of those whose layers are brought together."""
        counts = (count for each in self._views.values() for count in each.values())
        return max((count for count in counts if not self._stays_apart(count)), default=1)

    def _stays_apart(self, count: int) -> bool:
        # On a GPU one launch for all layers costs less than their copies do.
        return count >= APART and self.like.device.type == "cpu"

    def needs(self, feature: str) -> bool:
        """Tell whether a feature is read."""
        return feature in self._views

    def close(self) -> None:
        """Let no further layer join, and begin to compute."""
        normals = [partial(_numbered, self.noise, number) for number in self.layers]
        self.evaluation = Evaluation(self.program, self.shapes, self.like, *normals)
        for early in self._early:
            self._fill(*early)
        self._early.clear()

    def offer(self, layer: int, feature: str, value: Tensor) -> None:
        """Take a feature of one layer."""
        for view, count in self._views.get(feature, {}).items():
            flat = views.read(view, value.detach(), count, self.engine.memory_format)
            if self.evaluation is None:
                self._early.append((layer, view, flat.clone()))
            else:
                self._fill(layer, view, flat)

    def _fill(self, layer: int, view: str, flat: Tensor) -> None:
        """Write a view of one layer to its row; when all rows are there, the evaluation takes them."""
        assert self.evaluation is not None
        if len(self.layers) == 1:
            self.evaluation.offer(view, flat)
            return
        apart, number = self._stays_apart(len(flat)), self.layers.index(layer)
        if view not in self._rows:
            self._rows[view] = (
                [flat] * len(self.layers) if apart else self.like.new_empty(len(self.layers), len(flat))
            )
            self._missing[view] = len(self.layers)
        self._rows[view][number] = flat.to(self.like.dtype)[None] if apart else flat
        self._missing[view] -= 1
        if not self._missing[view]:
            self.evaluation.take(view, self._rows.pop(view))


def _numbered(noise: Noise, number: int, text: str, shape: Shape) -> Tensor:
    return noise(f"{number} {text}", shape)


class _Layers:
    """The evaluations of all layers, fed by one pass after the other."""

    def __init__(self, s: Runner, expressions: tuple[Expression, ...]) -> None:
        self.s, self.expressions, self.program = s, expressions, compile_formulas(expressions)
        half = s.dtype in (torch.float16, torch.bfloat16)
        self.like = torch.empty(0, device=s.device, dtype=torch.float32 if half else s.dtype)
        self.signatures: list[Hashable] = []
        self.groups: list[_Group] = []  # of each layer
        self.complete = False
        self._open: dict[Hashable, _Group] = {}

    def results(self) -> list[list[float]] | Later[list[list[float]]]:
        """Return, for each layer, the mean of each formula."""
        groups = [(g.evaluation, g.layers) for g in dict.fromkeys(self.groups) if g.evaluation is not None]
        return self.s.later(_results, groups, [evaluation.pending for evaluation, _ in groups])

    def take_first_batch(self) -> None:
        """Take what the shared pass left, and give up its graph."""
        s, kinds = self.s, kinds_taken(self.program, "pass")
        calls = s.data.intact(*LAYERS)
        gradients = s.loss_gradients_graph.by_tensor if needs_gradients(kinds) else {}
        taken = [
            {
                f"pass_{kind}": gradients[t].detach()
                for kind, t in _gradients_of(call).items()
                if t in gradients
            }
            | {"pass_fwd_input": call.input.detach(), "pass_fwd_output": call.output.detach()}
            for call in calls
        ]
        for number, call in enumerate(calls):
            self._layer(number, call)
        self._check_end(len(calls))
        calls.clear()
        gradients = {}
        s.forget("data", "loss_gradients_graph")
        for number, group in enumerate(self.groups):
            for name, value in taken.pop(0).items():
                group.offer(number, name, value)

    def take_pass(self, which: str) -> None:
        """Run a pass of its own and take its statistics as they come; no gradient or hook stays behind."""
        s = self.s
        awaited: list[dict[str, Tensor]] = []
        hooks: list[RemovableHandle] = []

        def take(call: Call) -> None:
            number = len(awaited)
            group = self._layer(number, call)
            group.offer(number, f"{which}_fwd_input", call.input)
            group.offer(number, f"{which}_fwd_output", call.output)
            wanted = {f"{which}_{kind}": t for kind, t in _gradients_of(call).items()}
            awaited.append({})
            for name, tensor in wanted.items():
                if group.needs(name):
                    # An expanded zero stands for what is to come, should it not come.
                    awaited[-1][name] = tensor.new_zeros(()).expand(tensor.shape)
                    if tensor.requires_grad:
                        hooks.append(_listen(group, number, awaited[-1], name, tensor))

        inputs, labels = _inputs(s, which)
        try:
            logits = s.forward(s.network, inputs.requires_grad_(), LAYERS, own_inputs=True, take=take).logits
            self._check_end(len(awaited))
            if any(awaited):
                s.passes["backward"] += 1
                targets = s.random_targets("random_labels", logits) if labels is None else labels
                s.loss(logits, targets).backward()  # type: ignore[no-untyped-call]
        finally:
            for hook in hooks:
                hook.remove()
            s.network.zero_grad()
        for number, (group, missing) in enumerate(zip(self.groups, awaited, strict=True)):
            for name, zeros in missing.items():
                # The layer took no part in the loss.
                group.offer(number, name, zeros)

    def _layer(self, number: int, call: Call) -> _Group:
        """Return the group of the layer that ran as the `number`-th; the first pass makes them."""
        if not self.complete:
            self.signatures.append(_signature(call))
            self.groups.append(self._join(number, call))
        if self.signatures[number : number + 1] != [_signature(call)]:
            raise Undefined("the network ran other layers in one pass than in another")
        return self.groups[number]

    def _check_end(self, count: int) -> None:
        if not count:
            raise Undefined("the network ran no convolution, norm or linear layer")
        if count != len(self.signatures):
            raise Undefined("the network ran fewer layers in one pass than in another")
        for group in self._open.values():
            group.close()
        self._open.clear()
        self.complete = True

    def _join(self, number: int, call: Call) -> _Group:
        """Return the group of a new layer: an open one of its shapes, or one of its own."""
        shapes = {"fwd_input": call.input.shape, "fwd_output": call.output.shape}
        shapes |= {kind: tensor.shape for kind, tensor in _gradients_of(call).items()}
        features = {f"{which}_{kind}": tuple(shape) for which in _TAKEN for kind, shape in shapes.items()}
        if call.weight is not None:
            features["wt"] = tuple(call.weight.shape)
        features = {name: shape for name, shape in features.items() if name in self.program.features}
        key = tuple(sorted(features.items()))
        if key not in self._open:
            self._open[key] = _Group(self.expressions, features, self.like, self.s.engine, self.s.noise)
        group = self._open[key]
        group.layers.append(number)
        if call.weight is not None:
            group.offer(number, "wt", call.weight)
        together = self.s.engine.together[self.s.device.type != "cpu"]
        if len(group.layers) * group.largest >= together or len(group.layers) * group.widest > MAX_ELEMENTS:
            self._open.pop(key).close()
        return group


def _results(groups: list[tuple[Evaluation, list[int]]], fetched: list[list[Tensor]]) -> list[list[float]]:
    found: dict[int, list[float]] = {}
    for (evaluation, layers), values in zip(groups, fetched, strict=True):
        found |= zip(layers, evaluation.resume(values).by_layer(), strict=True)
    return [found[number] for number in sorted(found)]


def _listen(
    group: _Group, number: int, awaited: dict[str, Tensor], name: str, tensor: Tensor
) -> RemovableHandle:
    """Hand a gradient to its layer when it arrives."""

    def take(gradient: Tensor) -> None:
        del awaited[name]
        group.offer(number, name, gradient)

    if tensor.is_leaf:
        return tensor.register_post_accumulate_grad_hook(lambda leaf: take(leaf.grad))  # type: ignore[no-any-return,no-untyped-call]
    return tensor.register_hook(take)  # type: ignore[no-any-return,no-untyped-call]


def _inputs(s: Runner, which: str) -> tuple[Tensor, Tensor | None]:
    """Return inputs and labels of a pass; None for random labels."""
    images, labels = s.batches[0]
    noise = s.noise(which, images.shape)
    if which == "random":
        return torch.special.ndtr(noise), None
    return (noise if which == "pass_noise" else images + PERTURBATION * noise), labels

"""The shared passes over one network and its batches. Proxies read from here and run nothing themselves.

Every attribute marked `@lazy` is computed when a proxy first reads it and kept for the others, so the cost of
a set of proxies is the cost of the passes that they need together. `passes` counts them. (The one exception
is `gennas`, which trains a copy.)
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zcp.errors import InputError, Undefined
from zcp.formulas import Expression
from zcp.statistics import blocks, capture, eznas_triples, formula_layers, gaussian_process, ntk
from zcp.statistics.capture import Call, Pass, Rebound
from zcp.statistics.copies import ENGINES, Engine
from zcp.statistics.double_backward import make_twice_differentiable
from zcp.statistics.initialisation import BatchNorm
from zcp.statistics.lazy import Lazy, lazy
from zcp.statistics.runner import LossGradients
from zcp.statistics.seeding import generator
from zcp.statistics.transfer import Later, to_device

T = TypeVar("T")

#: Modules before which a network's last features are.
POOLS = (nn.AdaptiveAvgPool2d,)


class Draw(Protocol):
    """Where random tensors come from: standard normal values, by name and shape."""

    def __call__(self, name: str, shape: Sequence[int]) -> Tensor: ...


class SeededDraw:
    """Standard normal float32 tensors from CPU generators seeded by (seed, name)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, name: str, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=generator(self.seed, name), dtype=torch.float32)


class Statistics(Lazy):
    """Statistics of one network with the weights that it has now.

    The network is put into training mode and its batch norm buffers move; `zcp.score` passes a copy.

    Args:
        network: the network; it maps (B, C, H, W) to logits (B, classes).
        batches: (inputs, labels) pairs; all proxies use the first, zico also the second.
        draw: source of noise.
        second_order: whether `hessian_gradient` will be read; the one loss gradient then keeps its graph.
        expressions: formulas whose `formula_values` will be read.
        engine: the layout of weights and activations.

    Attributes:
        passes: how often the network ran: `forward`, `backward`, and `double_backward`, where passes on a
            single sample count as well.
        step_passes: the same by the step that they were run for, as `seconds`.
        checks: what the caller's data have to be, where it was not looked at yet: to be settled at the end.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: Sequence[tuple[Tensor, Tensor]],
        draw: Draw | None = None,
        *,
        second_order: bool = False,
        expressions: Sequence[Expression] = (),
        engine: Engine = ENGINES["plain"],
    ) -> None:
        super().__init__()
        self.network: nn.Module = network.train().to(memory_format=engine.memory_format)  # type: ignore[call-overload]
        self.engine = engine
        first = next(network.parameters(), torch.empty(0))
        self.device, self.dtype = first.device, first.dtype
        self.batches = [
            (engine.lay_out(to_device(x, self.device).to(self.dtype)), to_device(y, self.device))
            for x, y in batches
        ]
        self.passes: Counter[str] = Counter()
        self.step_passes: dict[str, Counter[str]] = {}
        self.checks: list[Later[None]] = []
        self._draw = draw or SeededDraw(0)
        self._second_order = second_order
        self._expressions = tuple(dict.fromkeys(expressions))
        self._layer_kinds = formula_layers.kinds_taken(
            formula_layers.compile_formulas(self._expressions), "pass"
        )
        if second_order:
            make_twice_differentiable(self.network)

    def clock(self) -> Any:
        """Return the time in seconds; on a GPU an event that tells when the work until now was done."""
        if self.device.type != "cuda":
            return super().clock()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def later(self, function: Callable[..., T], *given: Any) -> T | Later[T]:
        """Return what a function of tensors gives: at once on a CPU, else once all values are fetched."""
        return function(*given) if self.device.type == "cpu" else Later(function, *given)

    @contextmanager
    def reading(self, name: str) -> Iterator[set[str]]:
        """Charge the block's own time and passes to `name`; the set that it yields receives what it reads."""
        before = self.passes - self._charged()
        with super().reading(name) as needs:
            try:
                yield needs
            finally:
                own = self.passes - self._charged() - before
                self.step_passes[name] = self.step_passes.get(name, Counter()) + own

    def _charged(self) -> Counter[str]:
        return sum(self.step_passes.values(), Counter())

    def noise(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return a standard normal tensor of this shape, always the same for the same name."""
        return self.engine.lay_out(to_device(self._draw(name, shape), self.device).to(self.dtype))

    def forward(
        self,
        network: nn.Module,
        inputs: Tensor,
        watched: tuple[type[nn.Module], ...] = capture.WATCHED,
        *,
        own_inputs: bool = False,
        take: Callable[[Call], None] | None = None,
    ) -> Pass:
        """Run a network, this one or a variant, as `zcp.statistics.capture.forward` does; count the pass."""
        self.passes["forward"] += 1
        return capture.forward(network, inputs, watched, own_inputs=own_inputs, take=take)

    def gradients(
        self, outputs: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool = False, create_graph: bool = False
    ) -> list[Tensor]:
        """Return gradients as `zcp.statistics.capture.gradients` does and count the pass."""
        self.passes["backward"] += 1
        return capture.gradients(outputs, wrt, keep_graph=keep_graph, create_graph=create_graph)

    @lazy
    def layers(self) -> list[nn.Conv2d | nn.Linear]:
        """The convolutions and linear layers, in order of registration."""
        return layers_of(self.network)

    @property
    def weights(self) -> list[Tensor]:
        """The weights of `layers`, without biases."""
        return [layer.weight for layer in self.layers]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one input, channels first."""
        return tuple(self.batches[0][0].shape[1:])

    @lazy
    def shapes(self) -> Pass:
        """A forward of one zero sample in evaluation mode, for the shapes alone."""
        self.network.eval()
        try:
            with torch.no_grad():
                zeros = torch.zeros(1, *self.image_shape, device=self.device, dtype=self.dtype)
                return self.forward(self.network, zeros, (nn.Conv2d, nn.Linear))
        finally:
            self.network.train()

    @lazy
    def data(self) -> Pass:
        """The forward on the first batch, with its graph; its inputs require a gradient."""
        inputs = self.batches[0][0].detach().clone().requires_grad_()
        return self.forward(self.network, inputs, own_inputs=bool(self._layer_kinds))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of (B, classes) logits.

        Raises:
            InputError: if a label has no logit.
        """
        if logits.ndim != 2:
            raise Undefined(
                f"cross-entropy needs logits (B, classes), the network gave {tuple(logits.shape)}"
            )
        if labels.ndim != 1 or labels.is_floating_point():
            raise Undefined(
                f"cross-entropy needs integer labels (B,), not {labels.dtype} {tuple(labels.shape)}"
            )
        if labels.numel():
            check = self.later(_check_labels, labels.min(), labels.max(), logits.shape[1])
            if isinstance(check, Later):
                self.checks.append(check)
                # Until the check is made; a label out of range would cost a GPU its context.
                labels = labels.clamp(0, logits.shape[1] - 1)
        return F.cross_entropy(logits, labels)

    @lazy
    def loss_gradients_graph(self) -> LossGradients:
        """Gradients of the loss on the first batch, attached to their graph where second order is asked."""
        calls = self.data.of(nn.Conv2d, nn.Linear)
        weights = self.weights
        wanted = [*weights, *(call.output for call in calls)]
        if formula_layers.needs_gradients(self._layer_kinds):
            wanted = list(dict.fromkeys([*wanted, *formula_layers.layer_tensors(self.data)]))
        found = self.gradients(
            self.loss(self.data.logits, self.batches[0][1]),
            wanted,
            keep_graph=True,
            create_graph=self._second_order,
        )
        by_tensor = dict(zip(wanted, found, strict=True))
        outputs = [by_tensor[call.output] for call in calls]
        return LossGradients(found[: len(weights)], calls, outputs, by_tensor)

    @property
    def loss_gradients(self) -> LossGradients:
        """Gradients of the loss on the first batch, detached."""
        weights, calls, outputs, by_tensor = self.loss_gradients_graph
        return LossGradients([g.detach() for g in weights], calls, [g.detach() for g in outputs], by_tensor)

    @lazy
    def hessian_gradient(self) -> list[Tensor]:
        """H g for each of `weights`: the Hessian of the loss applied to its own gradient."""
        gradient = self.loss_gradients_graph.weights
        if not self._second_order:
            loss = self.loss(self.data.logits, self.batches[0][1])
            gradient = self.gradients(loss, self.weights, create_graph=True)
        product = torch.stack([(g.detach() * g).sum() for g in gradient]).sum()
        self.passes["double_backward"] += 1
        return capture.gradients(product, self.weights, keep_graph=True)

    @lazy
    def input_gradient(self) -> Tensor:
        """Gradient of the sum of all logits with respect to the first batch, (B, C*H*W)."""
        (found,) = self.gradients(self.data.logits, [self.data.inputs], keep_graph=True)
        return found.flatten(1)

    @lazy
    def other_gradients(self) -> list[list[Tensor]]:
        """Loss gradients of `weights` on every batch after the first."""
        found = []
        for inputs, labels in self.batches[1:]:
            loss = self.loss(self.forward(self.network, inputs, ()).logits, labels)
            found.append(self.gradients(loss, self.weights))
        return found

    @lazy
    def feature_gradients(self) -> dict[Tensor, Tensor]:
        """Gradients of the sum of the pooled features of the first batch for its activations, by tensor."""
        return self.gradients_of_features(self.data, eznas_triples.activations(self.data))

    def gradients_of_features(self, forward: Pass, wrt: list[Tensor]) -> dict[Tensor, Tensor]:
        """Return the gradients of the sum of the pooled features of a pass, by tensor."""
        found = self.gradients(eznas_triples.pooled_features(forward), wrt, keep_graph=True)
        return dict(zip(wrt, found, strict=True))

    @lazy
    def formula_values(self) -> formula_layers.Values | Later[formula_layers.Values]:
        """For each formula the mean over its elements, layer by layer; NaN where a feature lacks.

        To be read last: the graph of the first batch is given up.
        """
        return formula_layers.evaluate_formulas(self, self._expressions)

    @lazy
    def block_pass(self) -> blocks.BlockPass:
        """A forward of noise through the blocks of the network, each differentiated by itself."""
        # Together the products of the blocks go once through the network.
        self.passes.update(("forward", "backward"))
        return blocks.run_blocks(self.network, self.noise("x", self.batches[0][0].shape), self.noise)

    @lazy
    def block_entropies(self) -> Tensor | Later[Tensor]:
        """The spectral entropy of the features of each block, float64."""
        return self.entropies(literal=False)

    def entropies(self, *, literal: bool) -> Tensor | Later[Tensor]:
        """Return the spectral entropy of the features of each block; see `zcp.statistics.blocks`."""
        found = [blocks.covariance(feature, literal=literal) for feature in self.block_pass.features]
        return self.later(blocks.entropies, [c for c, _ in found], [r for _, r in found], literal)

    @lazy
    def noise_gradients(self) -> list[Tensor]:
        """Gradients of the loss for all parameters, on noise with random labels."""
        logits = self.forward(self.network, self.noise("x", self.batches[0][0].shape), ()).logits
        # The largest of as many normal values as there are classes is a uniform choice.
        labels = self.noise("labels", logits.shape).argmax(-1)
        return self.gradients(self.loss(logits, labels), list(self.network.parameters()))

    @lazy
    def few(self) -> Pass:
        """The forward on the first 16 samples of the first batch, with its graph and its ReLUs."""
        return self.forward(self.network, self.batches[0][0][:16], (nn.ReLU,))

    @lazy
    def tangent_kernel(self) -> Tensor:
        """Gram matrix of the gradients of the sum of logits of each of the `few` samples, float64."""
        wrt = [p for name, p in self.network.named_parameters() if "weight" in name]
        if not wrt:
            raise Undefined('no parameter has "weight" in its name, so there is no tangent kernel')
        self.passes["backward"] += len(self.few.inputs)
        return ntk.tangent_kernel(self.few.logits.reshape(len(self.few.inputs), -1).sum(1), wrt)

    @lazy
    def synaptic_saliency(self) -> list[Tensor]:
        """|w dR/dw| for each weight, R the sum of logits of the linearised network on an image of ones.

        Linearised: absolute parameters and buffers, batch norms bypassed, float64. The values reach e**85.
        """
        with _without_norms(self.network):
            return self._saliency()

    @lazy
    def synaptic_saliency_bn(self) -> list[Tensor]:
        """The same with batch norms in place, in training mode; the sample is a batch of its own."""
        return self._saliency()

    def _saliency(self) -> list[Tensor]:
        absolute = Rebound(self.network, lambda tensor: tensor.abs().double())
        weights = [absolute.leaf(layer.weight) for layer in self.layers]
        ones = torch.ones(1, *self.image_shape, device=self.device, dtype=torch.float64)
        found = self.gradients(self.forward(absolute, ones, ()).logits, weights)
        return [(w.detach() * g).abs() for w, g in zip(weights, found, strict=True)]

    @lazy
    def gaussian_process(self) -> gaussian_process.Process:
        """The Gaussian process over the samples of all batches, from weights drawn anew."""
        return gaussian_process.gaussian_process(self)

    @lazy
    def perturbed_features(self) -> tuple[Tensor, Tensor]:
        """Features before global pooling of noise x and of x + 0.01 e, 16 samples, without a graph.

        The batch norm buffers are fresh before the first forward and stay as the second one leaves them.
        """
        shape = (min(16, len(self.batches[0][0])), *self.image_shape)
        x, e = self.noise("x", shape), self.noise("e", shape)
        for module in self.network.modules():
            if isinstance(module, BatchNorm):
                module.reset_running_stats()
        with torch.no_grad():
            first = features(self.forward(self.network, x, POOLS))
            return first, features(self.forward(self.network, x + 0.01 * e, POOLS))


def _check_labels(smallest: Tensor, largest: Tensor, classes: int) -> None:
    if not 0 <= int(smallest) <= int(largest) < classes:
        raise InputError(
            f"labels run from {int(smallest)} to {int(largest)}, but the network has {classes} classes"
        )


def layers_of(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """Return the convolutions and linear layers, in order of registration.

    Raises:
        Undefined: if there is none.
    """
    found = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if not found:
        raise Undefined("the network has no nn.Conv2d or nn.Linear, so there are no weights to look at")
    return found


def features(forward: Pass) -> Tensor:
    """Return the features (B, C, H, W) that entered the last global average pooling.

    Raises:
        Undefined: if the network has no `nn.AdaptiveAvgPool2d`.
    """
    pools = forward.intact(*POOLS)
    if not pools:
        raise Undefined("the network ran no nn.AdaptiveAvgPool2d, so its last feature map cannot be told")
    return pools[-1].input


@contextmanager
def _without_norms(network: nn.Module) -> Iterator[None]:
    """Put the identity in the place of every batch norm while the block runs."""
    norms = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, BatchNorm)
    ]
    try:
        for parent, name, _ in norms:
            setattr(parent, name, nn.Identity())
        yield
    finally:
        for parent, name, child in norms:
            setattr(parent, name, child)

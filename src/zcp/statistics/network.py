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
from torch import Tensor, nn

from zcp.errors import Undefined, of
from zcp.formulas import Expression
from zcp.statistics import blocks, capture, eznas_triples, formula_layers, gaussian_process, head, losses, ntk
from zcp.statistics.adapted import Adapted, on_batch
from zcp.statistics.calls import Pass
from zcp.statistics.chain import find_chain, named_blocks
from zcp.statistics.copies import ENGINES, Engine, lay_out
from zcp.statistics.double_backward import make_twice_differentiable
from zcp.statistics.lazy import Lazy, lazy
from zcp.statistics.linearised import saliency
from zcp.statistics.operations import KINDS, WEIGHTED
from zcp.statistics.recorder import Overwrites
from zcp.statistics.runner import LossGradients
from zcp.statistics.running import renew, running_statistics
from zcp.statistics.seeding import generator
from zcp.statistics.states import keep_states
from zcp.statistics.transfer import Later, to_device
from zcp.statistics.weights import named_weights, weights_of

T = TypeVar("T")


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
        network: the network; it maps one floating point tensor (B, …) to another.
        batches: (inputs, targets) pairs; all proxies use the first, zico also the second.
        draw: source of noise.
        second_order: whether `hessian_gradient` will be read; the one loss gradient then keeps its graph.
        expressions: formulas whose `formula_values` will be read.
        engine: the layout of weights and activations.
        loss: a scalar function of the network's outputs and the targets; cross-entropy if None.
        block_names: modules that the network is a chain of; found if None.
        copies: whether passes work on copies because the network overwrites activations; None: not known yet.

    Attributes:
        copies: the same, as far as it is known by now.
        passes: how often the network ran: `forward`, `backward`, and `double_backward`, where passes on a
            single sample count as well.
        step_passes: the same by the step that they were run for, as `seconds`.
        checks: what the caller's data have to be, where it was not looked at yet: to be settled at the end.
        unseen: functions that patterns are without, by `zcp.statistics.activation_patterns.unseen`.
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
        loss: losses.Loss | None = None,
        block_names: Sequence[str] | None = None,
        copies: bool | None = None,
    ) -> None:
        super().__init__()
        first = next(network.parameters(), torch.empty(0))
        self.device, self.dtype = first.device, first.dtype
        self.engine = engine = engine.on(self.device)
        self.network: nn.Module = lay_out(network.train(), engine)
        self._loss, self._block_names = loss, block_names
        self.copies = copies
        self.batches = [
            (engine.lay_out(to_device(x, self.device).to(self.dtype)), to_device(y, self.device))
            for x, y in batches
        ]
        self.passes: Counter[str] = Counter()
        self.step_passes: dict[str, Counter[str]] = {}
        self.checks: list[Later[None]] = []
        self.unseen: set[str] = set()
        self._draw = draw or SeededDraw(0)
        self._second_order = second_order
        self._expressions = tuple(dict.fromkeys(expressions))
        self._layer_kinds = formula_layers.kinds_taken(
            formula_layers.compile_formulas(self._expressions), "pass"
        )
        if second_order:
            make_twice_differentiable(self.network)
        if isinstance(self.network, Adapted):
            self.network.put_back = keep_states(self.network)

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
        with of("the function draw"):
            drawn = self._draw(name, shape)
        return self.engine.lay_out(to_device(drawn, self.device).to(self.dtype))

    def forward(
        self,
        network: nn.Module,
        inputs: Tensor,
        kinds: Sequence[str] = KINDS,
        **asked: Any,
    ) -> Pass:
        """Run a network, this one or a variant, as `zcp.statistics.capture.forward` does; count the pass.

        A network that overwrites what its operations read or gave runs once more, with copies of these, and
        with copies in all later passes. Calls that are not kept are made with copies until it is known.
        """
        self.passes["forward"] += 1
        copies = True if self.copies is None and "take" in asked else self.copies
        try:
            found = capture.forward(network, inputs, kinds, copies=copies, **asked)
        except Overwrites:
            self.copies = True
            return self.forward(network, inputs, kinds, **asked)
        if copies or "take" in asked:
            return found
        if not all(call.intact for call in found.calls):
            self.copies = True
            return self.forward(network, inputs, kinds, **asked)
        if kinds == KINDS and torch.is_grad_enabled():
            self.copies = False
        return found

    def gradients(
        self, outputs: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool = False, create_graph: bool = False
    ) -> list[Tensor]:
        """Return gradients as `zcp.statistics.capture.gradients` does and count the pass."""
        self.passes["backward"] += 1
        return capture.gradients(outputs, wrt, keep_graph=keep_graph, create_graph=create_graph)

    @lazy
    def weights(self) -> list[Tensor]:
        """What is multiplied with activations, by `zcp.statistics.weights`, in order of registration."""
        return weights_of(self.network, lambda: self.shapes)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one input, of images with the channels first."""
        return tuple(self.batches[0][0].shape[1:])

    @lazy
    def shapes(self) -> Pass:
        """A forward of one zero sample in evaluation mode, for shapes and for what parameters are."""
        self.network.eval()
        try:
            zeros = torch.zeros(1, *self.image_shape, device=self.device, dtype=self.dtype)
            return self.forward(self.network, zeros, arguments=True)
        finally:
            self.network.train()

    @lazy
    def data(self) -> Pass:
        """The forward on the first batch, with its graph; its inputs require a gradient."""
        inputs = self.batches[0][0].detach().clone().requires_grad_()
        return self.forward(
            self.network,
            inputs,
            named=True,
            own_inputs=bool(self._layer_kinds),
            twice=self._second_order,
        )

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of outputs, a scalar.

        Raises:
            InputError: if a label has no logit, or the caller's loss gives no scalar.
            Undefined: if cross-entropy is not defined for these outputs and targets, or the caller's loss has
                no gradient.
        """
        if self._loss is not None:
            return losses.own_loss(self._loss, logits, targets)
        return self.cross_entropy(logits, targets)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return `zcp.statistics.losses.cross_entropy`; on a GPU the labels are checked at the end."""
        return losses.cross_entropy(logits, labels, self._check)

    def _check(self, function: Callable[..., None], *given: Any) -> None:
        check = self.later(function, *given)
        if isinstance(check, Later):
            self.checks.append(check)

    def random_targets(self, name: str, logits: Tensor) -> Tensor:
        """Return targets like those of the first batch, drawn at random."""
        return losses.random_targets(logits, self.batches[0][1], lambda shape: self.noise(name, shape))

    @lazy
    def loss_gradients_graph(self) -> LossGradients:
        """Gradients of the loss on the first batch, attached to their graph where second order is asked."""
        calls = self.data.of(*WEIGHTED)
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
        for number, (inputs, labels) in enumerate(self.batches[1:], 1):
            with on_batch(self.network, number):
                loss = self.loss(self.forward(self.network, inputs, ()).logits, labels)
            found.append(self.gradients(loss, self.weights))
        return found

    @lazy
    def feature_gradients(self) -> dict[Tensor, Tensor]:
        """Gradients of the sum of the pooled features of the first batch for its activations, by tensor."""
        return self.gradients_of_features(self.data, eznas_triples.activations(self.network, self.data))

    def gradients_of_features(self, forward: Pass, wrt: list[Tensor]) -> dict[Tensor, Tensor]:
        """Return the gradients of the sum of the pooled features of a pass, by tensor."""
        found = self.gradients(head.entering(forward), wrt, keep_graph=True)
        return dict(zip(wrt, found, strict=True))

    @lazy
    def formula_values(self) -> formula_layers.Values | Later[formula_layers.Values]:
        """For each formula the mean over its elements, layer by layer; NaN where a feature lacks.

        To be read last: the graph of the first batch is given up.
        """
        return formula_layers.evaluate_formulas(self, self._expressions)

    @lazy
    def chain(self) -> list[nn.Module]:
        """The blocks of the network: those that the caller named, `stem` and `cells`, or found by `chain`."""
        if self._block_names is not None:
            inner = self.network.network if isinstance(self.network, Adapted) else self.network
            return named_blocks(inner, list(self._block_names))
        if known := blocks.find_blocks(self.network):
            return known
        self.passes["forward"] += 1
        # Of one sample a batch norm may see a single value.
        samples = min(2, len(self.batches[0][0]))
        return find_chain(self.network, self.noise("x", (samples, *self.image_shape)))

    @lazy
    def block_pass(self) -> blocks.BlockPass:
        """A forward of noise through the blocks of the network, each differentiated by itself."""
        # Together the products of the blocks go once through the network.
        self.passes.update(("forward", "backward"))
        inputs = self.noise("x", self.batches[0][0].shape)
        return blocks.run_blocks(self.network, inputs, self.noise, self.chain)

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
        loss = self.loss(logits, self.random_targets("labels", logits))
        parameters = list(self.network.parameters())
        if not parameters:
            raise Undefined("the network has no parameters, so there is no gradient with respect to them")
        return self.gradients(loss, parameters)

    @lazy
    def few(self) -> Pass:
        """The forward on the first 16 samples of the first batch, with its graph and its ReLUs."""
        return self.forward(self.network, self.batches[0][0][:16], ("activation",))

    @lazy
    def tangent_kernel(self) -> Tensor:
        """Gram matrix of the gradients of the sum of logits of each of the `few` samples, float64."""
        wrt = named_weights(self.network, lambda: self.shapes)
        if not wrt:
            raise Undefined("the network has no weights, of layers or norms, so there is no tangent kernel")
        self.passes["backward"] += len(self.few.inputs)
        return ntk.tangent_kernel(self.few.logits.reshape(len(self.few.inputs), -1).sum(1), wrt)

    @lazy
    def synaptic_saliency(self) -> list[Tensor]:
        """|w dR/dw| for each weight, R the sum of logits of the linearised network on an image of ones.

        Linearised: see `zcp.statistics.linearised`; all norms bypassed. The values reach e**85.
        """
        return saliency(self, without_norms=True)

    @lazy
    def synaptic_saliency_bn(self) -> list[Tensor]:
        """The same with norms in place; the sample is a batch of its own."""
        return saliency(self, without_norms=False)

    @lazy
    def gaussian_process(self) -> gaussian_process.Process:
        """The Gaussian process over the samples of all batches, from weights drawn anew."""
        return gaussian_process.gaussian_process(self)

    @lazy
    def perturbed_features(self) -> tuple[Tensor, Tensor]:
        """Features before the head of noise x and of x + 0.01 e, 16 samples, without a graph.

        The buffers of batch norms are fresh before the first forward and stay as the second one leaves them.
        """
        before = self.copies
        found = self._perturbed_features()
        # Where it showed only then that the network overwrites, the buffers saw a forward too many.
        return self._perturbed_features() if self.copies and not before else found

    @torch.no_grad()
    def _perturbed_features(self) -> tuple[Tensor, Tensor]:
        shape = (min(16, len(self.batches[0][0])), *self.image_shape)
        x, e = self.noise("x", shape), self.noise("e", shape)
        renew(self.network, self.running_statistics)
        first = head.features(self.forward(self.network, x))
        return first, head.features(self.forward(self.network, x + 0.01 * e))

    @lazy
    def running_statistics(self) -> list[tuple[Tensor, Tensor]]:
        """The running mean and variance of each batch norm, as `perturbed_features` leaves them."""
        return running_statistics(self.network, lambda: self.shapes)

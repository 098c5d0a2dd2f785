"""`score`: any network, any set of proxies, one call."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

import zcp.proxies  # noqa: F401 - registers them
from zcp.errors import InputError, Undefined
from zcp.proxies.formula import formula_proxy
from zcp.proxies.registry import Proxy, default_proxies, get_proxy, list_proxies
from zcp.statistics.copies import Engine, Workspace, get_engine
from zcp.statistics.initialisation import draw_all, drawn_in_place, initialise, take
from zcp.statistics.lazy import read_marks
from zcp.statistics.network import Draw, SeededDraw, Statistics
from zcp.statistics.seeding import seed_for
from zcp.statistics.surroundings import own_surroundings, seed_generators
from zcp.statistics.transfer import Later, fetch


class Scores(dict[str, float]):
    """Scores by proxy name, with what is worth knowing about them.

    Attributes:
        reasons: why a value is NaN or infinite, by proxy name.
        seconds: time by step; a step is shared by every proxy that `steps` lists it for.
        steps: the steps that each proxy needed: its initialisation group's preparation, the statistics that
            it read, and its own arithmetic. The cost of a set of proxies is the sum over the union.
        passes: by initialisation, how often the network ran (`forward`, `backward`, `double_backward`).
        step_passes: the same by step; those of a proxy alone are the sum over its `steps`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.steps: dict[str, tuple[str, ...]] = {}
        self.passes: dict[str, Counter[str]] = {}
        self.step_passes: dict[str, Counter[str]] = {}


def score(
    network: nn.Module,
    batches: Sequence[tuple[Tensor, Tensor]],
    proxies: Iterable[str] | None = None,
    init: str = "paper",
    seed: int = 0,
    draw: Draw | None = None,
    formulas: Mapping[str, str] | None = None,
    engine: str | Engine = "fast",
) -> Scores:
    """Score a network without training it.

    The network is left as it was found (parameters, buffers, gradients, training flags, hooks), and so is the
    state of PyTorch's random generators: everything runs on copies, in training mode.

    Args:
        network: maps float inputs (B, C, H, W) to logits (B, classes). Any device, any float type.
        batches: (inputs, labels) pairs. All proxies read the first one, zico the second as well. Proxies that
            need no data read the shape of the inputs only.
        proxies: a name or several; None for all that are registered and not optional.
        init: `paper` scores each proxy with freshly drawn weights of the initialisation that it was defined
            with, one group of shared passes for each initialisation; `keep` scores the weights as they are.
        seed: of weights and noise.
        draw: source of noise, in place of the seeded one.
        formulas: further proxies, as text by name; see `zcp.proxies.formula.formula_proxy`.
        engine: `fast`, or `plain` to run the passes in PyTorch's default layout, or one of your own; the
            scores are the same within rounding (`zcp.statistics.copies`).

    Returns:
        The scores. Where a proxy is not defined for this network, or the network fails, its score is NaN and
        `reasons` says why; an infinite score is one that its definition gives (the logarithm of zero).

    Raises:
        InputError: if an argument cannot be used: unknown proxy, NaN in the inputs, labels out of range, a
            network that returns a tuple.

    Example:
        >>> import zcp
        >>> network = zcp.build("sss", "8:8:8:8:8")
        >>> zcp.score(network, zcp.gaussian_batches("cifar10", 4), ["params"])["params"]
        0.011714
    """
    names = default_proxies() if proxies is None else [proxies] if isinstance(proxies, str) else proxies
    chosen = [get_proxy(name) for name in dict.fromkeys(names)]
    chosen += [formula_proxy(name, text) for name, text in (formulas or {}).items()]
    if init not in ("paper", "keep"):
        raise InputError(f"unknown init {init!r}; choose 'paper' or 'keep'")
    _check_batches(batches)
    workspace = Workspace(network, get_engine(engine))
    groups: dict[str, list[Proxy]] = {}
    for proxy in chosen:
        groups.setdefault(proxy.init if init == "paper" else "keep", []).append(proxy)
    with own_surroundings(network):
        run = _Run(workspace, batches, seed, draw or SeededDraw(seed), groups)
        for group, members in groups.items():
            run.score_group(group, members)
        run.finish()
    scores = run.scores
    ordered = {proxy.name: scores[proxy.name] for proxy in chosen}
    scores.clear()
    scores.update(ordered)
    return scores


class _Run:
    """The scores of one network as they come: on a CPU at once, else when all passes were launched."""

    def __init__(
        self,
        workspace: Workspace,
        batches: Sequence[tuple[Tensor, Tensor]],
        seed: int,
        draw: Draw,
        groups: Iterable[str],
    ) -> None:
        self.workspace, self.batches, self.seed, self.draw = workspace, batches, seed, draw
        self.scores = Scores()
        self._open: dict[str, Later[float]] = {}
        self._checks = [
            Later(_check_finite, number, inputs.isfinite().all())
            for number, (inputs, _) in enumerate(batches)
            if inputs.device.type != "cpu"
        ]
        self._marks: dict[str, list[tuple[str, Any]]] = {}
        start = time.perf_counter()
        names = [group for group in groups if group not in ("none", "keep")]
        self._drawn: dict[str, list[Tensor]] = {}
        if not drawn_in_place(workspace.network):
            self._drawn = dict(zip(names, draw_all(workspace.network, names, seed), strict=True))
        self._each_draw = (time.perf_counter() - start) / max(len(names), 1)

    def score_group(self, group: str, members: list[Proxy]) -> None:
        """Score the proxies that share an initialisation, from shared passes."""
        scores, order = self.scores, list_proxies()
        # Formulas last: they give up the graph that the others share.
        members = sorted(members, key=lambda p: len(order) if p.expression else order.index(p.name))
        start = time.perf_counter()
        statistics = self._statistics(group, members)
        scores.seconds[f"{group}_init"] = time.perf_counter() - start
        if group in self._drawn:
            scores.seconds[f"{group}_init"] += self._each_draw
        for proxy in members:
            name = proxy.name
            with statistics.reading(name) as needs:
                self._record(name, partial(self._computed, proxy, statistics))
            scores.steps[name] = (f"{group}_init", *(f"{group}_{need}" for need in sorted(needs)), name)
        self._marks[group] = statistics.marks
        self._checks += statistics.checks
        for step, counted in statistics.step_passes.items():
            scores.step_passes[step if step in scores else f"{group}_{step}"] = counted
        scores.passes[group] = statistics.passes

    def _statistics(self, group: str, members: list[Proxy]) -> Statistics:
        second_order = any(proxy.second_order for proxy in members)
        own = self.workspace.fresh(apart=second_order, strides=group == "default")
        seed_generators(own, seed_for(self.seed, group))
        if group in self._drawn:
            take(own, self._drawn.pop(group))
        elif group not in ("none", "keep"):
            initialise(own, group, self.seed)
        return Statistics(
            own,
            self.batches,
            self.draw,
            second_order=second_order,
            expressions=[proxy.expression for proxy in members if proxy.expression],
            engine=self.workspace.engine,
        )

    def _computed(self, proxy: Proxy, statistics: Statistics) -> float:
        """Return the score, NaN for the time being where it is left open."""
        found = statistics.later(float, proxy.function(statistics))
        if not isinstance(found, Later):
            return found
        self._open[proxy.name] = found
        return math.nan

    def _record(self, name: str, compute: Callable[[], float]) -> None:
        self.scores[name], reason = _value(compute)
        if reason and name not in self._open:
            self.scores.reasons[name] = reason

    def finish(self) -> None:
        """Fetch what was left open, compute it, and read the clocks."""
        fetched, opened, self._open = fetch([*self._checks, *self._open.values()]), self._open, {}
        for check in self._checks:
            check.settle(fetched)
        for group, marks in self._marks.items():
            for step, seconds in read_marks(marks).items():
                self.scores.seconds[step if step in self.scores else f"{group}_{step}"] = seconds
        for name, later in opened.items():
            start = time.perf_counter()
            self._record(name, partial(later.settle, fetched))
            self.scores.seconds[name] += time.perf_counter() - start


def _value(compute: Callable[[], float]) -> tuple[float, str]:
    """Return (score, reason); the reason is empty for a finite score."""
    try:
        value = compute()
    except InputError:
        raise
    except Undefined as error:
        return math.nan, str(error)
    except Exception as error:
        # A network that fails must cost neither the other proxies nor the other networks of a collection.
        return math.nan, f"{type(error).__name__}: {error}"
    if math.isinf(value):
        return value, "the definition gives an infinite value (a logarithm of zero or an overflow)"
    if math.isnan(value):
        return value, "the arithmetic gave NaN (non-finite activations or gradients)"
    return value, ""


def _check_batches(batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    if isinstance(batches, Tensor) or not len(batches):
        raise InputError("batches must be a list of one or more (inputs, labels) pairs")
    for number, batch in enumerate(batches):
        if (
            isinstance(batch, Tensor)
            or len(batch) != 2
            or not all(isinstance(part, Tensor) for part in batch)
        ):
            raise InputError(f"batch {number} must be a pair (inputs, labels) of tensors")
        inputs, labels = batch
        if inputs.ndim < 2 or not inputs.is_floating_point():
            raise InputError(
                f"inputs of batch {number} must be floats (B, C, H, W), not {inputs.dtype} "
                f"{tuple(inputs.shape)}"
            )
        if len(labels) != len(inputs) or not len(inputs):
            raise InputError(f"batch {number} has {len(inputs)} inputs and {len(labels)} labels")
        if inputs.device.type == "cpu":
            _check_finite(number, inputs.isfinite().all())


def _check_finite(number: int, finite: Tensor) -> None:
    if not finite:
        raise InputError(f"inputs of batch {number} hold NaN or infinite values; clean them first")

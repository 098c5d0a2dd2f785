"""`score`: any network, any set of proxies, one call."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

import zcp.proxies  # noqa: F401 - registers them
from zcp.errors import InputError, Undefined
from zcp.proxies.formula import formula_proxy
from zcp.proxies.registry import Function, Proxy, as_proxy, default_proxies, get_proxy, list_proxies
from zcp.statistics.adapted import Adapted, Form, Output
from zcp.statistics.batches import Drawn, check, check_finite, drawn, finite
from zcp.statistics.copies import (
    ENGINES,
    Engine,
    Workspace,
    get_engine,
    materialised,
    own_copy,
    unwrapped,
)
from zcp.statistics.initialisation import draw_all, drawn_in_place, initialise, take, untouched
from zcp.statistics.lazy import read_marks
from zcp.statistics.losses import Loss
from zcp.statistics.network import Draw, SeededDraw, Statistics
from zcp.statistics.seeding import seed_for
from zcp.statistics.surroundings import own_surroundings, seed_generators
from zcp.statistics.transfer import Later, fetch

if TYPE_CHECKING:
    import pandas as pd


class Scores(dict[str, float]):
    """Scores by proxy name, with what is worth knowing about them.

    Attributes:
        reasons: why a value is NaN or infinite, by proxy name.
        seconds: time by step; a step is shared by every proxy that `steps` lists it for.
        steps: the steps that each proxy needed: its initialisation group's preparation, the statistics that
            it read, and its own arithmetic. The cost of a set of proxies is the sum over the union.
        passes: by initialisation, how often the network ran (`forward`, `backward`, `double_backward`).
        step_passes: the same by step; those of a proxy alone are the sum over its `steps`.
        larger_is_better: the direction in which networks are expected to improve, by proxy name.
        untouched: parameters that no initialisation draws anew, so that they are the network's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.steps: dict[str, tuple[str, ...]] = {}
        self.passes: dict[str, Counter[str]] = {}
        self.step_passes: dict[str, Counter[str]] = {}
        self.larger_is_better: dict[str, bool] = {}
        self.untouched: tuple[str, ...] = ()

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row a proxy: `value`, `reason`, `seconds` (of all its steps), `direction`.

        The direction is that in which networks are expected to improve, `larger` or `smaller`.
        """
        import pandas as pd

        rows = {
            name: {
                "value": value,
                "reason": self.reasons.get(name, ""),
                "seconds": sum(self.seconds.get(step, 0.0) for step in self.steps[name]),
                "direction": "larger" if self.larger_is_better.get(name, True) else "smaller",
            }
            for name, value in self.items()
        }
        columns = ["value", "reason", "seconds", "direction"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("proxy")


def score(
    network: nn.Module,
    batches: Any,
    proxies: Iterable[str | Proxy | Function] | str | Function | None = None,
    init: str = "paper",
    seed: int = 0,
    draw: Draw | None = None,
    formulas: Mapping[str, str] | None = None,
    engine: str | Engine = "fast",
    *,
    loss: Loss | None = None,
    output: Output | None = None,
    blocks: Sequence[str] | None = None,
    device: str | torch.device | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Scores:
    """Score a network without training it.

    The network is left as it was found (parameters, buffers, gradients, training flags, hooks), and so is the
    state of PyTorch's random generators: everything runs on copies, in training mode, without the network's
    own hooks and wrappers.

    Args:
        network: any module. Its first floating point input is what proxies differentiate and replace by
        noise;
            integer inputs are tokens, and what they replace are the vectors that an embedding gives for them.
        batches: (inputs, targets) pairs, in a list or a DataLoader, of which as many are drawn, once, as the
            proxies read. Inputs are a tensor (B, …), a sequence of positional arguments, or a mapping of
            keyword ones; a batch that is a mapping holds its targets under `labels`. All proxies read the
            first one, zico the second as well. Proxies that need no data read the shape of the inputs only.
        proxies: a name or several, functions of `zcp.statistics.network.Statistics` of your own, or `Proxy`
            objects; None for all that are registered and not optional.
        init: `paper` scores each proxy with freshly drawn weights of the initialisation that it was defined
            with, one group of shared passes for each initialisation; `keep` scores the weights as they are.
        seed: of weights and noise.
        draw: source of noise, in place of the seeded one.
        formulas: further proxies, as text by name; see `zcp.proxies.formula.formula_proxy`.
        engine: `fast`, or `plain` to run the passes in PyTorch's default layout, or one of your own; the
            scores are the same within rounding (`zcp.statistics.copies`). A network that cannot run in the
            fast layout runs in the plain one.
        loss: a function of the network's logits and the targets that gives a scalar; cross-entropy if None.
        output: what to take as the logits of what the network returns: a key, an index, or a function. None
            finds them: the tensor itself, an item called `logits`, or what the last layer gave.
        blocks: names of the modules that the network is a chain of; None finds them.
        device: where the copies run; where the network is if None.
        strict: raise where a proxy has no value.
        progress: show a bar.

    Returns:
        The scores. Where a proxy is not defined for this network, or the network fails, its score is NaN and
        `reasons` says why; an infinite score is one that its definition gives (the logarithm of zero).

    Raises:
        InputError: if an argument cannot be used: unknown proxy, NaN in the inputs, labels out of range,
            outputs whose logits cannot be told.
        Undefined: if a proxy has no value, with `strict`.

    Example:
        >>> import zcp
        >>> network = zcp.build("sss", "8:8:8:8:8")
        >>> zcp.score(network, zcp.gaussian_batches("cifar10", 4), ["params"])["params"]
        0.011714
    """
    chosen = _chosen(proxies)
    chosen += [formula_proxy(name, text) for name, text in (formulas or {}).items()]
    if init not in ("paper", "keep"):
        raise InputError(f"unknown init {init!r}; choose 'paper' or 'keep'")
    pairs = drawn(batches, max((proxy.batches for proxy in chosen), default=1))
    form = Form([pair.inputs for pair in pairs], output)
    for number, (pair, main) in enumerate(zip(pairs, form.inputs, strict=True)):
        check(number, pair, main)
        if main.device.type == "cpu":
            check_finite(number, *finite(pair, main))
    with own_surroundings(network, device):
        network = materialised(unwrapped(network), *form.arguments(form.inputs[0], 0)[:2])
        run = partial(
            _run, pairs=pairs, keep=init == "keep", seed=seed, draw=draw or SeededDraw(seed), loss=loss,
            blocks=blocks,
        )  # fmt: skip
        place, chosen_engine = None if device is None else torch.device(device), get_engine(engine)
        workspace = Workspace(Adapted(network, form), chosen_engine, place)
        with _bar(chosen, progress) as tick:
            scores = run(workspace, chosen, tick=tick)
            again = [proxy for proxy in chosen if _is_of_layout(scores.reasons.get(proxy.name, ""))]
            if again and chosen_engine.name != "plain":
                plain = Workspace(Adapted(network, form), ENGINES["plain"], place)
                _take_over(scores, run(plain, again, tick=tick))
            _tell_underflow(scores, workspace, chosen, run)
    if strict and (missing := [name for name in scores if math.isnan(scores[name])]):
        raise Undefined(f"{missing[0]} has no value: {scores.reasons[missing[0]]}")
    return scores


def _chosen(proxies: Iterable[str | Proxy | Function] | str | Function | None) -> list[Proxy]:
    if proxies is None:
        proxies = default_proxies()
    elif isinstance(proxies, str | Proxy) or not isinstance(proxies, Iterable):
        proxies = [proxies]
    found = [get_proxy(each) if isinstance(each, str) else as_proxy(each) for each in proxies]
    return list({proxy.name: proxy for proxy in found}.values())


def _run(
    workspace: Workspace,
    chosen: list[Proxy],
    *,
    pairs: list[Drawn],
    keep: bool,
    tick: Callable[[], object] = lambda: None,
    **options: Any,
) -> Scores:
    """Score a network with these proxies, in the order that they are named in."""
    groups: dict[str, list[Proxy]] = {}
    for proxy in chosen:
        groups.setdefault("keep" if keep else proxy.init, []).append(proxy)
    run = _Run(workspace, pairs, groups, tick=tick, **options)
    for group, members in groups.items():
        run.score_group(group, members)
    run.finish()
    scores = run.scores
    ordered = {proxy.name: scores[proxy.name] for proxy in chosen}
    scores.clear()
    scores.update(ordered)
    scores.larger_is_better = {proxy.name: proxy.larger_is_better for proxy in chosen}
    if not keep:
        scores.untouched = tuple(name.removeprefix("network.") for name in untouched(workspace.network))
    return scores


@contextmanager
def _bar(chosen: list[Proxy], progress: bool) -> Iterator[Callable[[], object]]:
    with tqdm(total=len(chosen), disable=not progress, unit="proxy") as bar:
        yield bar.update


def _is_of_layout(reason: str) -> bool:
    """Tell whether a network failed because its activations lie with the channels last."""
    return reason.startswith("RuntimeError") and any(
        word in reason for word in ("stride", "contiguous", "memory format", "memory_format")
    )


def _take_over(scores: Scores, others: Scores) -> None:
    """Replace some scores by others, and add what they cost."""
    for name in others:
        scores.reasons.pop(name, None)
    scores.update(others)
    scores.reasons |= others.reasons
    scores.steps |= others.steps
    for step, seconds in others.seconds.items():
        scores.seconds[step] = scores.seconds.get(step, 0.0) + seconds
    for mine, theirs in ((scores.passes, others.passes), (scores.step_passes, others.step_passes)):
        for step, passes in theirs.items():
            mine[step] = mine.get(step, Counter()) + passes


def _tell_underflow(
    scores: Scores, workspace: Workspace, chosen: list[Proxy], run: Callable[..., Scores]
) -> None:
    """Give a score of zero that is none in double precision as NaN, with the reason."""
    zeros = [p for p in chosen if scores[p.name] == 0 and p.init != "none" and not p.expression]
    dtype = next((p.dtype for p in workspace.network.parameters()), torch.float64)
    if not zeros or dtype == torch.float64:
        return
    double = own_copy(workspace.network, workspace.device).double()
    found = run(Workspace(double, ENGINES["plain"]), zeros)
    for name, value in found.items():
        if value != 0 and math.isfinite(value):
            scores[name] = math.nan
            scores.reasons[name] = (
                f"underflow: what is 0 in {dtype} is {value:.3g} in double precision; score network.double() "
                "and inputs of doubles"
            )


def _inputs(workspace: Workspace) -> list[Tensor]:
    assert isinstance(workspace.network, Adapted)
    return workspace.network.form.inputs


class _Run:
    """The scores of one network as they come: on a CPU at once, else when all passes were launched."""

    def __init__(
        self,
        workspace: Workspace,
        batches: list[Drawn],
        groups: Iterable[str],
        *,
        seed: int,
        draw: Draw,
        loss: Loss | None,
        blocks: Sequence[str] | None,
        tick: Callable[[], object],
    ) -> None:
        self.workspace, self.batches, self.seed, self.draw = workspace, batches, seed, draw
        self.loss, self.blocks, self.tick = loss, blocks, tick
        self.scores = Scores()
        self._open: dict[str, Later[float]] = {}
        self._checks = [
            Later(check_finite, number, *finite(batch, main))
            for number, (batch, main) in enumerate(zip(batches, _inputs(workspace), strict=True))
            if main.device.type != "cpu"
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
        scores, order = self.scores, {name: place for place, name in enumerate(list_proxies())}
        last = len(order)
        # Formulas last: they give up the graph that the others share.
        members = sorted(members, key=lambda p: last + 1 if p.expression else order.get(p.name, last))
        start = time.perf_counter()
        statistics = self._statistics(group, members)
        scores.seconds[f"{group}_init"] = time.perf_counter() - start
        if group in self._drawn:
            scores.seconds[f"{group}_init"] += self._each_draw
        for proxy in members:
            name = proxy.name
            with statistics.reading(name) as needs:
                self._record(name, partial(self._computed, proxy, statistics))
            self.tick()
            scores.steps[name] = (f"{group}_init", *(f"{group}_{need}" for need in sorted(needs)), name)
        self._marks[group] = statistics.marks
        self._checks += statistics.checks
        for step, counted in statistics.step_passes.items():
            scores.step_passes[step if step in scores else f"{group}_{step}"] = counted
        scores.passes[group] = statistics.passes

    def _statistics(self, group: str, members: list[Proxy]) -> Statistics:
        second_order = any(proxy.second_order for proxy in members)
        own = self.workspace.fresh(apart=second_order)
        seed_generators(own, seed_for(self.seed, group))
        if group in self._drawn:
            take(own, self._drawn.pop(group))
        elif group not in ("none", "keep"):
            initialise(own, group, self.seed)
        assert isinstance(own, Adapted)
        return Statistics(
            own,
            [(own.main_input(number), batch.targets) for number, batch in enumerate(self.batches)],
            self.draw,
            second_order=second_order,
            expressions=[proxy.expression for proxy in members if proxy.expression],
            engine=self.workspace.engine,
            loss=self.loss,
            block_names=self.blocks,
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
        for each in self._checks:
            each.settle(fetched)
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
        # The frames hold the tensors of a pass that failed.
        error.__traceback__ = None
        # A network that fails must cost neither the other proxies nor the other networks of a collection.
        return math.nan, f"{type(error).__name__}: {error}"
    if math.isinf(value):
        return value, "the definition gives an infinite value (a logarithm of zero or an overflow)"
    if math.isnan(value):
        return value, "the arithmetic gave NaN (non-finite activations or gradients)"
    return value, ""

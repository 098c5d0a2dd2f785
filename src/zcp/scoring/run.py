"""One network with one set of proxies: a group of shared passes for each initialisation."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor

from zcp.errors import InputError, Kind, Undefined, one_line
from zcp.proxies.registry import Proxy, list_proxies
from zcp.scoring.scores import Scores
from zcp.scoring.watch import Watch, is_watched
from zcp.statistics.adapted import Adapted
from zcp.statistics.batches import Drawn, check_finite, finite
from zcp.statistics.copies import Workspace
from zcp.statistics.initialisation import draw_all, drawn_in_place, initialise, take
from zcp.statistics.lazy import read_marks
from zcp.statistics.losses import Loss
from zcp.statistics.network import Draw, Statistics
from zcp.statistics.seeding import seed_for
from zcp.statistics.surroundings import seed_generators
from zcp.statistics.transfer import Later, fetch

_FORWARD = "the network's forward"


class Run:
    """The scores of one network as they come: on a CPU at once, else when all passes were launched.

    Args:
        workspace: gives copies of the network.
        batches: of the caller.
        groups: names of the initialisations that will be scored.
        seed, draw, loss, blocks: as of `zcp.score`.
        tick: is called when a proxy is done.
        spoilt: why no proxy that reads weights has a value; an empty text where they may have.
    """

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
        spoilt: str = "",
    ) -> None:
        self.workspace, self.batches, self.seed, self.draw = workspace, batches, seed, draw
        self.loss, self.blocks, self.tick, self.spoilt = loss, blocks, tick, spoilt
        self.scores = Scores()
        self._open: dict[str, Later[float]] = {}
        self._copies: bool | None = None  # as of `Statistics`: what one initialisation shows holds for all
        self._checks = [
            Later(check_finite, number, *finite(batch, main))
            for number, (batch, main) in enumerate(zip(batches, inputs_of(workspace), strict=True))
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
        if group in self._drawn:
            scores.seconds[f"{group}_init"] = self._each_draw
        scores.passes[group] = Counter()
        if self.spoilt:
            for proxy in members:
                scores.record(proxy.name, math.nan, self.spoilt, Kind.WEIGHTS)
                scores.steps[proxy.name] = ()
            members = [proxy for proxy in members if proxy.init == "none"]
        while members:
            members = self._score_until_written(group, members)

    def _score_until_written(self, group: str, members: list[Proxy]) -> list[Proxy]:
        """Score proxies from shared passes; return those behind one that wrote to what they would read."""
        scores, start = self.scores, time.perf_counter()
        statistics, left = self._statistics(group, members), members
        init = f"{group}_init"
        scores.seconds[init] = scores.seconds.get(init, 0.0) + time.perf_counter() - start
        for number, proxy in enumerate(members, 1):
            name, left = proxy.name, members[number:]
            watch = Watch(statistics) if is_watched(proxy) else None
            with statistics.reading(name) as needs:
                self._record(name, partial(self._computed, proxy, statistics))
            self.tick()
            scores.steps[name] = (init, *(f"{group}_{need}" for need in sorted(needs)), name)
            if watch and (written := watch.written()):
                self._open.pop(name, None)
                self._record(name, partial(_refuse, written))
                self.workspace.discard()
                break
        self._copies = statistics.copies
        self._marks.setdefault(group, []).extend(statistics.marks)
        self._checks += statistics.checks
        scores.unseen = tuple(sorted({*scores.unseen, *statistics.unseen}))
        for step, counted in statistics.step_passes.items():
            step = step if step in scores else f"{group}_{step}"
            scores.step_passes[step] = scores.step_passes.get(step, Counter()) + counted
        scores.passes[group] += statistics.passes
        return left

    def _statistics(self, group: str, members: list[Proxy]) -> Statistics:
        second_order = any(proxy.second_order for proxy in members)
        own = self.workspace.fresh(apart=second_order, strides=group == "default")
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
            copies=self._copies,
        )

    def _computed(self, proxy: Proxy, statistics: Statistics) -> float:
        """Return the score, NaN for the time being where it is left open."""
        found = statistics.later(_number, proxy.function(statistics))
        if not isinstance(found, Later):
            return found
        self._open[proxy.name] = found
        return math.nan

    def _record(self, name: str, compute: Callable[[], float]) -> None:
        self.scores.record(name, *_outcome(compute))
        if name in self._open:
            self.scores.record(name, math.nan)  # until it is computed

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


def _refuse(written: str) -> float:
    raise Undefined(f"the proxy writes to {written}; let it work on a copy, such as copy.deepcopy(s.network)")


def _outcome(compute: Callable[[], float]) -> tuple[float, str, Kind]:
    """Return (score, reason, its kind); the reason is empty for a finite score."""
    try:
        value = compute()
    except InputError:
        raise
    except Undefined as error:
        return math.nan, str(error), error.kind
    except (Exception, SystemExit) as error:
        # A network that fails must cost neither the other proxies nor the other networks of a collection.
        who = _who(error)
        reason = f"{who} fails ({type(error).__name__}: {one_line(error)})"
        # The frames hold the tensors of a pass that failed.
        error.__traceback__ = None
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return math.nan, reason, Kind.MEMORY
        return math.nan, reason, Kind.FORWARD if who == _FORWARD else Kind.CODE
    if math.isinf(value):
        why = "the definition gives an infinite value (a logarithm of zero or an overflow)"
        return value, why, Kind.VALUE
    if math.isnan(value):
        return value, "the arithmetic gave NaN (non-finite activations or gradients)", Kind.VALUE
    return value, "", Kind.VALUE


def _number(found: Any) -> float:
    try:
        return float(found)
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise Undefined(
            f"the proxy returned {what}, not a number; return a float or a tensor of one element"
        ) from error


def _who(error: BaseException) -> str:
    """Tell whose code failed: the network's own forward, a pass on it, or the proxy."""
    places = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
    known = getattr(error, "zcp_who", "")  # of an error that is raised once more
    if not known:
        known = "the proxy"
        if any(code.co_name == "_call_impl" for code in places):
            known = _FORWARD
        elif any("zcp/statistics" in code.co_filename.replace("\\", "/") for code in places):
            known = "a pass of the network"
        error.zcp_who = known  # type: ignore[attr-defined]
    return known


def inputs_of(workspace: Workspace) -> list[Tensor]:
    """Return the main input of each batch."""
    assert isinstance(workspace.network, Adapted)
    return workspace.network.form.inputs

"""What is scored once more: in the plain layout what failed, in double precision what came out as zero."""

import math
from collections import Counter
from collections.abc import Callable

import torch

from zcp.errors import Kind
from zcp.proxies.registry import Proxy
from zcp.scoring.scores import Scores
from zcp.statistics.adapted import Adapted
from zcp.statistics.copies import ENGINES, Workspace, own_copy

Runner = Callable[[Workspace, list[Proxy]], Scores]


def in_plain_layout(scores: Scores, workspace: Workspace, chosen: list[Proxy], run: Runner) -> None:
    """Score in PyTorch's default layout what failed in another, which a `view` may not allow."""
    failed = [p for p in chosen if scores.kinds.get(p.name) in (Kind.FORWARD, Kind.CODE)]
    if not failed or workspace.engine.name == "plain":
        return
    assert isinstance(workspace.network, Adapted)
    network = Adapted(workspace.network.network, workspace.network.form)
    others = run(Workspace(network, ENGINES["plain"], workspace.device), failed)
    for name, value in others.items():
        scores.record(name, value, others.reasons.get(name, ""), others.kinds.get(name, Kind.VALUE))
    scores.steps |= others.steps
    scores.unseen = tuple(sorted({*scores.unseen, *others.unseen}))
    for step, seconds in others.seconds.items():
        scores.seconds[step] = scores.seconds.get(step, 0.0) + seconds
    for mine, theirs in ((scores.passes, others.passes), (scores.step_passes, others.step_passes)):
        for step, passes in theirs.items():
            mine[step] = mine.get(step, Counter()) + passes


def in_double_precision(scores: Scores, workspace: Workspace, chosen: list[Proxy], run: Runner) -> None:
    """Give a score of zero that is none in double precision as NaN, with the reason.

    Where there is one, what is missing or -inf because of a zero gets this reason too.
    """
    read = [p for p in chosen if p.init != "none" and not p.expression]
    zeros = [p for p in read if scores[p.name] == 0 or scores.kinds.get(p.name) is Kind.ZERO]
    dtype = next((p.dtype for p in workspace.network.parameters()), torch.float64)
    if not zeros or dtype == torch.float64:
        return
    double = own_copy(workspace.network, workspace.device).double()
    found = run(Workspace(double, ENGINES["plain"]), zeros)
    told = {name: value for name, value in found.items() if value != 0 and math.isfinite(value)}
    if told and (infinite := [p for p in read if scores[p.name] == -math.inf]):
        again = run(Workspace(double, ENGINES["plain"]), infinite)
        told |= {name: value for name, value in again.items() if math.isfinite(value)}
    for name, value in told.items():
        before = "undefined" if math.isnan(scores[name]) else f"{scores[name]:g}"
        reason = (
            f"underflow: what is {before} in {dtype} is {value:.3g} in double precision; score "
            "network.double() and inputs of doubles"
        )
        scores.record(name, math.nan, reason, Kind.VALUE)

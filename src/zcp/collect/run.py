"""The collection itself: what is left to do, done, and moved into the Parquet file."""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from zcp.collect.executor import Executor, Failure, Outcomes
from zcp.collect.journal import Row
from zcp.collect.order import Unit
from zcp.collect.row import failed_row, score_row
from zcp.collect.settings import Origin, Settings
from zcp.collect.writer import ScoresWriter
from zcp.errors import InputError

#: Computes one row: (space, index, dataset, settings, device) -> row.
Scorer = Callable[[str, int, str, Settings, str], Row]

#: So many networks that fail one after the other are a fault of the set-up, not of the networks.
FAILURES_IN_A_ROW = 5


def collect(
    out: Path,
    units: Sequence[Unit],
    settings: Settings,
    executor: Executor,
    device: str = "cpu",
    scorer: Scorer = score_row,
    progress: bool = True,
) -> Path:
    """Score the networks that `out` does not hold yet, and add them to it.

    Whatever stops it, and whenever: rows that were computed stay in `<out>.journal` or in `out`, and the next
    call goes on from there. A network that fails, or kills its worker, three times gets a row of NaN with the
    reason.

    Args:
        out: Parquet file; created, or continued when its settings are the same.
        units: what the file shall hold, in the order in which it is begun.
        settings: how to score.
        executor: where to run; `zcp.collect.Pool(workers)` or `zcp.collect.Cluster(address)`.
        device: `cpu`, `cuda` or `cuda:<n>`.
        scorer: computes a row; a function at the top of a module.
        progress: whether to show a progress bar.

    Returns:
        `out`.

    Raises:
        InputError: if `out` is damaged, was made with other settings or is being written by another process;
            if the disk is full; or if the set-up makes all networks fail.
    """
    with ScoresWriter(out, Origin(settings)) as writer:
        done = writer.keys()
        left = [unit for unit in units if unit not in done]
        if left:
            writer.record(executor.environments(device))
            task = partial(_score, scorer=scorer, settings=settings, device=device)
            with (
                closing(executor.outcomes(task, left)) as outcomes,
                _bar(len(units), len(left), progress) as bar,
            ):
                _append(outcomes, writer, settings, bar)
    return out


def _bar(total: int, left: int, progress: bool) -> "tqdm[NoReturn]":
    # A log file gets a line now and then; a terminal is redrawn.
    interval = 0.5 if sys.stderr.isatty() else 30.0
    return tqdm(
        total=total,
        initial=total - left,
        unit=" networks",
        smoothing=0.05,
        mininterval=interval,
        disable=not progress,
    )


def _score(unit: Unit, scorer: Scorer, settings: Settings, device: str) -> Row:
    return scorer(unit.space, unit.index, unit.dataset, settings, device)


def _append(outcomes: Outcomes, writer: ScoresWriter, settings: Settings, bar: "tqdm[NoReturn]") -> None:
    """Append rows as they come; failures are held back until a success shows that the set-up works."""
    failed: list[Row] = []
    for unit, result in outcomes:
        if isinstance(result, Failure):
            failed.append(failed_row(unit.space, unit.index, unit.dataset, settings, result.reason))
            if len(failed) >= FAILURES_IN_A_ROW:
                raise InputError(
                    f"{len(failed)} networks in a row failed, the last one {unit}: {result.reason}. They "
                    "were not recorded; correct the cause and run the same command again"
                )
            continue
        for row in (*failed, result):
            writer.append(row)
        bar.update(len(failed) + 1)
        failed.clear()
    for row in failed:
        writer.append(row)
    bar.update(len(failed))

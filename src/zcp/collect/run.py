"""The collection itself: networks scored, row by row, and added to a folder of parts."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self

from tqdm import tqdm

from zcp.collect.order import Unit
from zcp.collect.parts import KEYS, disk_errors, list_parts, read_parts, write_once, write_part
from zcp.collect.row import failed_row, rows_to_frame, score_row
from zcp.collect.settings import Origin, Settings
from zcp.collect.workers import Failure, Function, Outcomes
from zcp.errors import InputError

Row = dict[str, Any]
#: Computes one row: (space, index, dataset, settings, device) -> row.
Scorer = Callable[[str, int, str, Settings, str], Row]

#: A part is written when its first row is so old (seconds), or when it has so many: what a kill may cost.
PART_SECONDS, PART_ROWS = 60.0, 4096
#: So many networks that fail one after the other are a fault of the set-up, not of the networks.
FAILURES_IN_A_ROW = 5


class Executor(Protocol):
    """Runs tasks in any order, each of them until it succeeds or has failed `ATTEMPTS` times."""

    def outcomes(self, function: Function, tasks: Sequence[Unit]) -> Outcomes:
        """Yield (task, result of `function` or `Failure`) as they come; closing it stops the workers.

        Raises:
            InputError: if `function` raises it, or no worker can be had.
        """
        ...

    def environments(self, device: str) -> Sequence[Mapping[str, str]]:
        """Return the environment of each worker, as `zcp.collect.settings.environment` gives it."""
        ...


def require_writable(folder: Path) -> None:
    """Make a folder where there is none, and notice a disk that is full or read-only before the work begins.

    Raises:
        InputError: if nothing can be written there.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_once(folder / "probe.tmp", bytes(2**16))
        (folder / "probe.tmp").unlink(missing_ok=True)


class Writer:
    """Adds rows to a collection, a part a minute; a context manager that writes the rest when it is left.

    Args:
        folder: of the collection; made where it does not exist.
        origin: of the rows to come; refused where the parts that are there have other settings.

    Attributes:
        done: the networks that have a row.
    """

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder, self.origin = folder, origin
        self._rows: list[Row] = []
        require_writable(folder)
        with disk_errors(folder):
            is_new = not any(folder.glob("*.parquet"))
        self.done: set[Unit] = set()
        if not is_new:
            frame, written = read_parts(list_parts(folder))
            written.joined(origin, (str(folder), "this run"))
            self.done = {Unit(*key) for key in zip(*(frame[key] for key in KEYS), strict=True)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.flush()

    def add(self, row: Row) -> None:
        """Add one row.

        Raises:
            InputError: if the disk does not take the part that it completes.
        """
        if not self._rows:
            self._begun = time.monotonic()
        self._rows.append(row)
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._begun >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that were added since the last part as a part."""
        if self._rows:
            lost = f"{len(self._rows)} networks must be computed again, what was written before is safe"
            with disk_errors(self.folder, lost):
                write_part(self.folder, rows_to_frame(self._rows, self.origin.settings.proxies), self.origin)
            # Interrupted before this line, the next attempt writes the same part.
            self._rows = []


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

    Whatever stops it, and whenever: what was written stays, the next call goes on from there, and others may
    write into `out` meanwhile. A network whose scoring fails three times gets a row of NaN with the reason;
    one that was given up for what may pass (a killed worker, too little memory) gets none, and the next call
    asks it again.

    Args:
        out: folder of the collection; created, or continued where its settings are the same.
        units: what the collection shall hold, in the order in which it is begun.
        settings: how to score.
        executor: where to run; `zcp.collect.Pool(workers)` or `zcp.collect.Cluster(address)`.
        device: `cpu`, `cuda` or `cuda:<n>`.
        scorer: computes a row; a function at the top of a module.
        progress: whether to show a progress bar.

    Returns:
        `out`.

    Raises:
        InputError: if `out` is damaged or was made with other settings, the disk is full or read-only, the
            set-up makes all networks fail, or, at the end, if networks were left open.
    """
    with Writer(out, Origin(settings)) as writer:
        left = [unit for unit in units if unit not in writer.done]
        if left:
            writer.origin = Origin(settings, executor.environments(device))
            task = partial(_score, scorer=scorer, settings=settings, device=device)
            with (
                closing(executor.outcomes(task, left)) as outcomes,
                _bar(len(units), len(left), progress) as bar,
            ):
                still_open = _add(outcomes, writer, settings, bar)
            if still_open:
                unit, reason = still_open[-1]
                raise InputError(
                    f"{len(still_open)} of {len(units)} networks are left open, the last one {unit}: "
                    f"{reason}. The others are in {out}; run the same command again, with fewer --workers "
                    "where memory is short"
                )
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


def _add(
    outcomes: Outcomes, writer: Writer, settings: Settings, bar: "tqdm[NoReturn]"
) -> list[tuple[Unit, str]]:
    """Add rows as they come, and return what is left open.

    Failures are held back until a success shows that the set-up works.
    """
    failed: list[Row] = []
    still_open: list[tuple[Unit, str]] = []
    in_a_row = 0
    for unit, result in outcomes:
        if isinstance(result, Failure):
            in_a_row += 1
            if result.may_pass:
                still_open.append((unit, result.reason))
            else:
                failed.append(failed_row(unit.space, unit.index, unit.dataset, settings, result.reason))
            if in_a_row >= FAILURES_IN_A_ROW:
                raise InputError(
                    f"{in_a_row} networks in a row failed, the last one {unit}: {result.reason}. They "
                    "were not recorded; correct the cause and run the same command again"
                )
            continue
        for row in (*failed, result):
            writer.add(row)
        bar.update(len(failed) + 1)
        failed, in_a_row = [], 0
    for row in failed:
        writer.add(row)
    bar.update(len(failed))
    return still_open

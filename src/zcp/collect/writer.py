"""A scores file while it grows: locked, journalled, and moved into Parquet every few minutes."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd

from zcp.collect.journal import Journal, Row
from zcp.collect.lock import locked
from zcp.collect.order import Unit
from zcp.collect.schema import KEYS
from zcp.collect.settings import Origin
from zcp.collect.store import read_scores, rows_to_frame, write_scores
from zcp.errors import InputError

#: How old the Parquet file may be while rows come in; the journal holds them in between.
CONSOLIDATE_SECONDS = 300.0


class ScoresWriter:
    """Adds rows to a scores file so that no row is lost or doubled, whatever happens; a context manager.

    Args:
        path: the Parquet file; continued where it exists.
        origin: where the rows that will be added come from.

    Raises:
        InputError: on entry, if the file is damaged, was made with other settings, or is being written.
    """

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path, self.origin = path, origin

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(locked(self.path))
            self._journal = Journal(self.path)
            stack.callback(self._journal.close)
            self._frame = rows_to_frame([], self.origin.settings.proxies)
            if self.path.exists():
                self._frame, written = read_scores(self.path)
                self.origin = written.joined(self.origin, (str(self.path), "this run"))
            if self._journal.origin is not None:
                names = (str(self._journal.path), "this run")
                self.origin = self._journal.origin.joined(self.origin, names)
            self._forget_rows_already_moved()
            self._stack = stack.pop_all()
        self._consolidated = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                self.consolidate()
            else:
                # The rows stay in the journal, and the first error is the one to tell.
                with suppress(InputError):
                    self.consolidate()

    def _forget_rows_already_moved(self) -> None:
        """Drop what a collector that died between writing the Parquet file and clearing the journal left."""
        rows, self._journal.rows = {_unit(row): row for row in self._journal.rows}, []
        moved = self.keys()
        self._journal.rows = [row for unit, row in rows.items() if unit not in moved]
        if not self._journal.rows:
            self._journal.clear()

    def keys(self) -> set[Unit]:
        """Return the networks that have a row."""
        moved = zip(*(self._frame[key] for key in KEYS), strict=True)
        return {Unit(*key) for key in moved} | {_unit(row) for row in self._journal.rows}

    def record(self, environments: Sequence[Mapping[str, str]]) -> None:
        """Note the environments that the rows to come are computed in."""
        run = Origin(self.origin.settings, environments)
        self.origin = self.origin.joined(run, (str(self.path), "this run"))

    def append(self, row: Row) -> None:
        """Add one row.

        Raises:
            InputError: if the disk does not take it; the rows before are safe.
        """
        steps = Origin(self.origin.settings, (), row.get("steps", {}))
        self.origin = self.origin.joined(steps, (str(self.path), "its new row"))
        self._journal.append({key: value for key, value in row.items() if key != "steps"}, self.origin)
        if time.monotonic() - self._consolidated > CONSOLIDATE_SECONDS:
            self.consolidate()

    def consolidate(self) -> None:
        """Move the journal's rows into the Parquet file.

        Raises:
            InputError: if the disk does not take it; the rows stay in the journal.
        """
        self._consolidated = time.monotonic()
        if not self._journal.rows:
            return
        new = rows_to_frame(self._journal.rows, self.origin.settings.proxies)
        frame = pd.concat([self._frame, new], ignore_index=True) if len(self._frame) else new
        try:
            write_scores(self.path, frame, self.origin)
        except OSError as error:
            raise InputError(
                f"cannot write {self.path}: {error.strerror or error}. All rows are safe in "
                f"{self._journal.path}: make room, then run the same command again"
            ) from error
        self._frame = frame
        self._journal.clear()


def _unit(row: Row) -> Unit:
    return Unit(row["space"], row["index"], row["dataset"])

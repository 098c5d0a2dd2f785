"""What a running collection has computed so far: one line of JSON a network, appended at once.

A line counts when its newline is there, so a collector that is killed, or a disk that fills up, in the middle
of a line costs that line only. Two kinds of lines: `{"origin": ...}` (before the first row, and whenever it
changes) and `{"row": ...}`.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from zcp.collect.settings import Origin
from zcp.errors import InputError

Row = dict[str, Any]

#: Seconds between two flushes to the disk itself: what a power cut may cost; a killed process costs nothing.
FLUSH_SECONDS = 2.0


class Journal:
    """An append-only file of rows beside the Parquet file that they will move into.

    Args:
        target: the Parquet file.

    Attributes:
        path: the journal, `<target>.journal`.
        rows: what it holds.
        origin: where the rows come from; None where there are none.

    Raises:
        InputError: if the journal is damaged, or its rows are of different settings.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".journal")
        self.rows: list[Row] = []
        self.origin: Origin | None = None
        content = self.path.read_bytes() if self.path.exists() else b""
        self._size = content.rfind(b"\n") + 1
        for number, line in enumerate(content[: self._size].splitlines(), start=1):
            self._read(number, line)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._flushed = time.monotonic()
        os.ftruncate(self._file, self._size)

    def _read(self, number: int, line: bytes) -> None:
        try:
            record = json.loads(line)
            if "row" in record:
                self.rows.append(record["row"])
            else:
                self.origin = Origin.from_json(record["origin"])
        except InputError as error:
            raise InputError(f"{self.path} cannot be used: {error}; move it away to begin anew") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}, line {number} is damaged ({error}); delete that line to keep the other rows, "
                "or the file to compute its rows again"
            ) from error

    def append(self, row: Row, origin: Origin) -> None:
        """Record a row, and where it comes from if that is not what the rows before said.

        Raises:
            InputError: if the disk does not take it; the rows before are safe.
        """
        if origin != self.origin:
            self._write({"origin": origin.to_json()})
            self.origin = origin
        self._write({"row": row})
        self.rows.append(row)

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                os.fsync(self._file)
                self._flushed = time.monotonic()
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise InputError(
                f"cannot write {self.path}: {error.strerror}. All rows before are safe: make room, then run "
                "the same command again"
            ) from error
        self._size += len(line)

    def clear(self) -> None:
        """Forget all rows: they are in the Parquet file now."""
        os.ftruncate(self._file, 0)
        self._size, self.rows, self.origin = 0, [], None

    def close(self) -> None:
        """Close the file, and delete it if it holds no row."""
        os.close(self._file)
        if not self.rows:
            self.path.unlink(missing_ok=True)

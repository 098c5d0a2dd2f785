"""One collector a file. The kernel releases the lock when its holder dies, however it dies."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zcp.errors import InputError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path` (the file `<path>.lock` beside it) during the block.

    Raises:
        InputError: if another process holds it; the message names the process.
    """
    file = path.with_name(path.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(file, path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(file: Path, path: Path) -> int:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise InputError(
                f"{path} is being written by {holder}; wait for it, stop it, or give this collection "
                "(or this shard) a file of its own with --out"
            ) from None
        # The holder before us removes the file: a lock on a removed file locks nothing.
        if file.exists() and os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
        os.close(descriptor)

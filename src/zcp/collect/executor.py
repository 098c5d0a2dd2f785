"""What runs the tasks of a collection: the processes of this machine, or a Dask cluster."""

import ctypes
import gc
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from zcp.collect.order import Unit
from zcp.errors import InputError

#: Computes one task; must be picklable, that is, defined at the top of a module.
Function = Callable[[Unit], Any]

#: (task, its result or `Failure`), as they come.
Outcomes = Generator[tuple[Unit, Any], None, None]

#: How often a task is begun before it is given up.
ATTEMPTS = 3


@dataclass(frozen=True)
class Failure:
    """A task that was given up.

    Attributes:
        reason: the error of its last attempt, or how its worker died.
        short_of_memory: whether the device was out of memory, which says nothing about the task.
    """

    reason: str
    short_of_memory: bool = False


class Executor(Protocol):
    """Runs tasks in any order, each of them until it succeeds or has failed `ATTEMPTS` times."""

    def outcomes(self, function: Function, tasks: Sequence[Unit]) -> Outcomes:
        """Yield (task, result of `function` or `Failure`) as they come.

        Closing the iterator stops the workers.

        Raises:
            InputError: if `function` raises it, or no worker can be had.
        """
        ...

    def environments(self, device: str) -> Sequence[Mapping[str, str]]:
        """Return the environment of each worker, as `zcp.collect.settings.environment` gives it."""
        ...


def release_memory() -> None:
    """Give back what a network has left, so that a worker's memory stays flat.

    Graphs hold cycles, and the C library keeps freed blocks that a network of other sizes cannot use.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def attempt(function: Function, task: Unit) -> Any:
    """Return the result, `Failure` where `function` raised, or the InputError that it raised."""
    try:
        return function(task)
    except InputError as error:
        return error
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", isinstance(error, MemoryError))

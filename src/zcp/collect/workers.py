"""Processes that score: each dies, stands still or runs short of memory without harm to the others.

`concurrent.futures` gives up the whole pool when a worker dies, and `multiprocessing.Pool` waits for ever.
"""

import ctypes
import gc
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from threading import current_thread, main_thread
from typing import Any

import torch

from zcp.collect.order import Unit
from zcp.collect.settings import environment
from zcp.errors import InputError

#: Computes one task; must be picklable, that is, defined at the top of a module.
Function = Callable[[Unit], Any]
#: (task, its result or `Failure`), as they come.
Outcomes = Generator[tuple[Unit, Any], None, None]

#: How often a task is begun before it is given up.
ATTEMPTS = 3
#: Seconds after which a worker that says nothing stands still and is ended. Time in which the collector
#: itself is stopped (SIGSTOP) does not count.
PATIENCE = 1800.0
#: Libraries read these when a process first imports them.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
#: What PyTorch, its libraries and Python say when there is too little memory, on a CPU or a GPU.
SHORTAGES = ("out of memory", "allocate memory", "not enough memory", "bad_alloc", "memoryerror",
             "alloc_failed")  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A task that was given up.

    Attributes:
        reason: the error of its last attempt, or how its worker ended.
        may_pass: whether it says nothing about the task: a killed worker, a shortage, a lost node.
    """

    reason: str
    may_pass: bool = False


def cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def is_shortage(text: str) -> bool:
    """Tell whether an error's text speaks of too little memory, which says nothing about the network."""
    return any(sign in text.lower() for sign in SHORTAGES)


def attempt(function: Function, task: Unit) -> Any:
    """Return the result, `Failure` where `function` raised, or the InputError that it raised."""
    try:
        return function(task)
    except InputError as error:
        return error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return Failure(reason, may_pass=is_shortage(reason))


def release_memory() -> None:
    """Give back what a network has left, so that a worker's memory stays flat.

    Graphs hold cycles, and the C library keeps freed blocks that a network of other sizes cannot use.
    """
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)


class Pool:
    """An `Executor` of local processes with one thread each.

    When one dies, its task goes to another and a new one takes its place. Where memory runs short, half of
    them go on. Values do not change: each network is scored as it would be alone.

    Args:
        workers: number of processes.
        patience: seconds on one network after which a worker that says nothing is ended.

    Raises:
        InputError: if there would be none.
    """

    def __init__(self, workers: int, patience: float = PATIENCE) -> None:
        if workers < 1:
            raise InputError(f"--workers must be 1 or more, not {workers}")
        self.workers, self.patience = workers, patience

    def environments(self, device: str) -> Sequence[Mapping[str, str]]:
        """Return the environment of this process, which is that of its workers."""
        return [environment(device)]

    def outcomes(self, function: Function, tasks: Sequence[Unit]) -> Outcomes:
        """Yield (task, result or `Failure`) as they come; see `Executor`."""
        return _Crew(function, tasks, self.workers, self.patience).run()


def _serve(connection: Connection, function: Function) -> None:
    """Body of a worker: says that it is ready, then answers tasks until the collector is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # What exists now stays, so that collecting the cycles of one network's graph is quick.
    gc.freeze()
    try:
        connection.send(None)
        while True:
            result = attempt(function, connection.recv())
            connection.send(result)
            release_memory()
            if isinstance(result, Failure) and result.may_pass:
                # What this process keeps for its next network, the others on the same GPU cannot have.
                torch.cuda.empty_cache()
    except (EOFError, ConnectionError):
        return


@contextmanager
def one_thread() -> Iterator[None]:
    """Let processes that start in this block run libraries with one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that start in this block ignore Ctrl-C, which all of a terminal's processes get.

    They inherit it, so that it holds while they import. This process ignores it for these milliseconds, too.
    """
    # The main thread alone may do this, and Python cannot set again what a program in C has set.
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Worker:
    """A process, the connection to it, and the task that it is busy with."""

    def __init__(self, function: Function) -> None:
        # A fork of a process that has used threads or CUDA may hang.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.task: Unit | None = None
        self.beside = 0  # workers that there could be when the task began
        self.is_ready, self.silent = False, 0.0
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        with one_thread(), deaf_to_ctrl_c():
            self.process.start()
        theirs.close()

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()

    def cause_of_death(self) -> str:
        self.process.join(10)
        code = self.process.exitcode
        if code is None:
            return "closed its connection"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class _Crew:
    """The workers of one call of `Pool.outcomes`."""

    def __init__(self, function: Function, tasks: Sequence[Unit], size: int, patience: float) -> None:
        self.function, self.size, self.patience = function, size, patience
        self.queue, self.failures = deque(tasks), Counter[Unit]()
        self.workers: dict[Any, _Worker] = {}
        self.deaths_at_start = 0

    def run(self) -> Outcomes:
        turn = min(5.0, self.patience / 4)
        try:
            while self.queue or self._busy():
                self._staff()
                start = time.monotonic()
                heard = wait(list(self.workers), turn)
                # A collector that was stopped has not waited: no turn counts for more than its length.
                waited = min(time.monotonic() - start, turn)
                for worker in list(self.workers.values()):
                    worker.silent += waited
                    if worker.connection in heard:
                        yield from self._hear(worker)
                    elif worker.silent >= (self.patience if worker.is_ready else PATIENCE):
                        yield from self._bury(worker, f"stood still for {worker.silent:.0f} seconds")
        finally:
            for worker in self.workers.values():
                worker.stop()

    def _busy(self) -> int:
        return sum(worker.task is not None for worker in self.workers.values())

    def _staff(self) -> None:
        """Begin and end workers as their number says, and give the idle ones a task."""
        while len(self.workers) < min(self.size, len(self.queue) + self._busy()):
            worker = _Worker(self.function)
            self.workers[worker.connection] = worker
        idle = [worker for worker in self.workers.values() if worker.task is None]
        for worker in idle[: max(len(self.workers) - self.size, 0)]:
            self.workers.pop(worker.connection).stop()
        for worker in idle:
            if self.queue and worker.is_ready and worker.connection in self.workers:
                worker.task, worker.beside, worker.silent = self.queue.popleft(), self.size, 0.0
                try:
                    worker.connection.send(worker.task)
                except OSError:
                    continue  # It died; `_hear` learns of it.

    def _hear(self, worker: _Worker) -> Outcomes:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker, worker.cause_of_death())
            return
        if worker.is_ready:
            yield from self._settle(worker, message)
        worker.is_ready, worker.silent, self.deaths_at_start = True, 0.0, 0

    def _bury(self, worker: _Worker, cause: str) -> Outcomes:
        self.workers.pop(worker.connection).stop()
        if worker.task is not None:
            yield from self._settle(worker, Failure(f"its worker {cause}", may_pass=True))
        elif not worker.is_ready:
            self.deaths_at_start += 1
            if self.deaths_at_start >= ATTEMPTS:
                raise InputError(
                    f"{ATTEMPTS} workers in a row died as they started (the last one {cause}): is there "
                    "memory for so many (--workers), and is the calling script guarded by __name__?"
                )

    def _settle(self, worker: _Worker, result: Any) -> Outcomes:
        task, worker.task = worker.task, None
        assert task is not None
        if isinstance(result, InputError):
            raise result
        if not isinstance(result, Failure):
            yield task, result
            return
        if worker.beside > 1 and is_shortage(result.reason):
            # Others that began beside it may fail as well; that is one shortage.
            if worker.beside == self.size:
                self.size //= 2
                told = f"out of memory with {worker.beside} networks at once; going on with {self.size}"
                print(f"zcp: {told}", file=sys.stderr)
            self.queue.appendleft(task)
            return
        self.failures[task] += 1
        if self.failures[task] >= ATTEMPTS:
            yield task, result
        else:
            # A little later, so that a shortage of memory may have passed.
            self.queue.insert(self.size, task)

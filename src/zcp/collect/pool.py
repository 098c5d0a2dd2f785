"""Processes that can be replaced: when one dies, its task goes to another and a new one takes its place.

Where they share a device that runs out of memory, half of them go on. Values do not change: each network is
scored as it would be alone.

`concurrent.futures` gives up the whole pool when a worker dies, and `multiprocessing.Pool` waits for ever.
"""

import gc
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from zcp.collect.executor import ATTEMPTS, Failure, Function, Outcomes, attempt, release_memory
from zcp.collect.order import Unit
from zcp.collect.settings import environment
from zcp.errors import InputError

#: Libraries read these when a process first imports them.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Pool:
    """An `Executor` of local processes with one thread each.

    Args:
        workers: number of processes.

    Raises:
        InputError: if there would be none.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError(f"--workers must be 1 or more, not {workers}")
        self.workers = workers

    def environments(self, device: str) -> Sequence[Mapping[str, str]]:
        """Return the environment of this process, which is that of its workers."""
        return [environment(device)]

    def outcomes(self, function: Function, tasks: Sequence[Unit]) -> Outcomes:
        """Yield (task, result or `Failure`) as they come; see `Executor`."""
        return _Crew(function, tasks, self.workers).run()


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
            if isinstance(result, Failure) and result.short_of_memory:
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


class _Worker:
    """A process, the connection to it, and the task that it is busy with."""

    def __init__(self, function: Function) -> None:
        # A fork of a process that has used threads or CUDA may hang.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.task: Unit | None = None
        self.beside = 0  # workers that there could be when the task began
        self.is_ready = False
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        with one_thread():
            self.process.start()
        theirs.close()

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()

    def cause_of_death(self) -> str:
        self.process.join(10)
        code = self.process.exitcode
        self.stop()
        if code is None:
            return "closed its connection"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class _Crew:
    """The workers of one call of `Pool.outcomes`."""

    def __init__(self, function: Function, tasks: Sequence[Unit], size: int) -> None:
        self.function, self.size = function, size
        self.queue, self.failures = deque(tasks), Counter[Unit]()
        self.workers: dict[Any, _Worker] = {}
        self.deaths_at_start = 0

    def run(self) -> Outcomes:
        try:
            while self.queue or self._busy():
                self._hire()
                self._dismiss()
                self._assign()
                for connection in wait(list(self.workers)):
                    yield from self._hear(self.workers[connection])
        finally:
            for worker in self.workers.values():
                worker.stop()

    def _busy(self) -> int:
        return sum(worker.task is not None for worker in self.workers.values())

    def _hire(self) -> None:
        while len(self.workers) < min(self.size, len(self.queue) + self._busy()):
            worker = _Worker(self.function)
            self.workers[worker.connection] = worker

    def _dismiss(self) -> None:
        idle = [worker for worker in self.workers.values() if worker.task is None]
        for worker in idle[: max(len(self.workers) - self.size, 0)]:
            del self.workers[worker.connection]
            worker.stop()

    def _assign(self) -> None:
        for worker in self.workers.values():
            if self.queue and worker.is_ready and worker.task is None and self._busy() < self.size:
                worker.task, worker.beside = self.queue.popleft(), self.size
                try:
                    worker.connection.send(worker.task)
                except OSError:
                    continue  # It died; `_hear` learns of it.

    def _hear(self, worker: _Worker) -> Outcomes:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if worker.is_ready:
            yield from self._settle(worker, message)
        worker.is_ready, self.deaths_at_start = True, 0

    def _bury(self, worker: _Worker) -> Outcomes:
        del self.workers[worker.connection]
        cause = worker.cause_of_death()
        if worker.task is not None:
            yield from self._settle(worker, Failure(f"its worker {cause}"))
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
        if isinstance(result, Failure) and result.short_of_memory and worker.beside > 1:
            # Others that began beside it may fail as well; that is one shortage.
            if worker.beside == self.size:
                self.size //= 2
                print(
                    f"zcp: out of memory with {worker.beside} networks at once; going on with {self.size}",
                    file=sys.stderr,
                )
            self.queue.appendleft(task)
            return
        self.failures[task] += isinstance(result, Failure)
        if isinstance(result, Failure) and self.failures[task] < ATTEMPTS:
            # A little later, so that a shortage of memory may have passed.
            self.queue.insert(self.size, task)
        else:
            yield task, result

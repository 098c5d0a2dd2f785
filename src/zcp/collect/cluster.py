"""A Dask cluster as the executor: the same function, on workers that may come and go."""

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from queue import Empty, Queue
from typing import Any
from uuid import uuid4

import torch

from zcp.collect.order import Unit
from zcp.collect.settings import environment
from zcp.collect.workers import (
    ATTEMPTS,
    PATIENCE,
    Failure,
    Function,
    Outcomes,
    attempt,
    is_shortage,
    release_memory,
)
from zcp.errors import InputError

#: Seconds to wait for the scheduler's first answer.
ANSWER = 10.0


class Cluster:
    """An `Executor` on a running Dask cluster.

    Every worker needs zcp and, for image inputs, the same images. A process scores one network at a time, so
    start workers with one thread: `dask worker ADDRESS --nworkers 8 --nthreads 1`.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`.
        patience: seconds after which a cluster that sends nothing is given up.

    Raises:
        InputError: if Dask is not installed, or no scheduler answers at the address.
    """

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        if not address.strip():
            raise InputError("--cluster is empty; give the scheduler's address, such as tcp://10.0.0.1:8786")
        try:
            import distributed
        except ImportError:
            raise InputError("--cluster needs Dask; run: pip install 'zcp-nas[cluster]'") from None
        self.address, self.patience = address, patience
        self._distributed: Any = distributed
        self._require_scheduler()

    def environments(self, device: str) -> Sequence[Mapping[str, str]]:
        """Return the environment of each worker that is there now.

        Raises:
            InputError: if there is none, or one has no such device.
        """
        with self._connect() as client:
            found = client.run(environment, device, on_error="return")
        if not found:
            raise InputError(f"the Dask cluster at {self.address} has no workers; start some")
        for worker, answer in found.items():
            if isinstance(answer, Exception):
                raise InputError(f"the Dask worker {worker} cannot use {device!r}: {answer}")
        return list(found.values())

    def outcomes(self, function: Function, tasks: Sequence[Unit]) -> Outcomes:
        """Yield (task, result or `Failure`) as they come; see `Executor`."""
        with self._connect() as client:
            waiting, begun, finished = iter(tasks), dict[str, tuple[Unit, Any]](), Queue[Any]()

            def begin(count: int) -> None:
                for task in islice(waiting, count):
                    key = f"zcp-{uuid4()}"
                    future = client.submit(_attempt, function, task, key=key, retries=ATTEMPTS - 1)
                    begun[key] = task, future
                    future.add_done_callback(finished.put)

            # A bounded lead keeps the scheduler small however long the collection is.
            begin(max(64, 4 * sum(client.nthreads().values())))
            while begun:
                future = self._next(finished)
                yield begun.pop(future.key)[0], self._result(future)
                begin(1)

    def _require_scheduler(self) -> None:
        """Raise InputError unless a scheduler answers."""

        async def probe() -> None:
            # A client waits for ever for a scheduler that accepts and says nothing.
            comm = await asyncio.wait_for(self._distributed.core.connect(self.address, ANSWER), ANSWER)
            comm.abort()

        with self._answering():
            # Dask tries again and again where nobody listens, or no host has that name.
            if place := self._host_and_port():
                socket.create_connection(place, ANSWER).close()
            with ThreadPoolExecutor(1) as thread:  # The caller's may have a loop of its own.
                thread.submit(asyncio.run, probe()).result()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, OverflowError) as error:
            told = getattr(error, "strerror", None) or str(error) or f"silent for {ANSWER:.0f} seconds"
            raise InputError(f"no Dask scheduler answers at {self.address!r} ({told})") from error

    def _host_and_port(self) -> tuple[str, int] | None:
        """Return where the scheduler listens; None where that is no host, as within a process."""
        with suppress(ValueError):
            host, port = self._distributed.comm.get_address_host_port(self.address)
            return host, port
        return None

    def _connect(self) -> Any:
        self._require_scheduler()
        with self._answering():
            return self._distributed.Client(self.address, timeout=ANSWER)

    def _next(self, finished: "Queue[Any]") -> Any:
        turn = min(5.0, self.patience)
        for _ in range(int(self.patience / turn)):
            try:
                return finished.get(timeout=turn)
            except Empty:
                continue
        raise InputError(
            f"the Dask cluster at {self.address} has sent nothing for {self.patience:.0f} seconds; what it "
            "had computed is safe: look after its workers, then run the same command again"
        )

    def _result(self, future: Any) -> Any:
        if future.cancelled():
            raise InputError(
                f"the Dask cluster at {self.address} was lost; what it had computed is safe: "
                "run the same command again when it is back"
            )
        if error := future.exception():
            if isinstance(error, _Failed):
                return Failure(str(error), may_pass=is_shortage(str(error)))
            # What is not the task's own error is the cluster's: a worker that was killed, a lost node.
            return Failure(f"{type(error).__name__}: {error}", may_pass=True)
        result = future.result()
        if isinstance(result, InputError):
            raise result
        return result


class _Failed(RuntimeError):
    """The error of a task, as text: its type may be unknown here."""


def _attempt(function: Function, task: Unit) -> Any:
    """Run on a worker: what failed is raised, so that Dask tries again."""
    torch.set_num_threads(1)
    result = attempt(function, task)
    release_memory()
    if isinstance(result, Failure):
        raise _Failed(result.reason)
    return result

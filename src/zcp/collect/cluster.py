"""A Dask cluster as the executor: the same function, on workers that may come and go."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

import torch

from zcp.collect.executor import ATTEMPTS, Failure, Function, Outcomes, release_memory
from zcp.collect.order import Unit
from zcp.collect.settings import environment
from zcp.errors import InputError

#: How long to wait for the scheduler's first answer.
PATIENCE = "10s"


class Cluster:
    """An `Executor` on a running Dask cluster.

    Every worker needs zcp and, for image inputs, the same images. A process scores one network at a time, so
    start workers with one thread: `dask worker ADDRESS --nworkers 8 --nthreads 1`.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`.

    Raises:
        InputError: if Dask is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise InputError("--cluster needs Dask; run: pip install 'zcp-nas[cluster]'") from None
        self.address = address
        self._distributed: Any = distributed

    def environments(self, device: str) -> Sequence[Mapping[str, str]]:
        """Return the environment of each worker that is there now."""
        with self._connect() as client:
            found = client.run(environment, device)
        if not found:
            raise InputError(f"the Dask cluster at {self.address} has no workers; start some")
        return list(found.values())

    def outcomes(self, function: Function, tasks: Sequence[Unit]) -> Outcomes:
        """Yield (task, result or `Failure`) as they come; see `Executor`."""
        with self._connect() as client:
            # A bounded lead keeps the scheduler small however long the collection is.
            lead = max(64, 4 * sum(client.nthreads().values()))
            waiting = iter(tasks)
            begun: dict[str, Unit] = {}
            stream = self._distributed.as_completed()

            def begin(count: int) -> None:
                for task in islice(waiting, count):
                    future = client.submit(
                        _attempt, function, task, key=f"zcp-{uuid4()}", retries=ATTEMPTS - 1
                    )
                    begun[future.key] = task
                    stream.add(future)

            begin(lead)
            for future in stream:
                yield begun.pop(future.key), self._result(future)
                begin(1)

    def _connect(self) -> Any:
        class Client(self._distributed.Client):  # type: ignore[misc,name-defined]
            """Closes where it cannot start: collected while the next one starts, it would hang that."""

            def start(self, **kwargs: Any) -> None:
                try:
                    super().start(**kwargs)
                except BaseException:
                    self.close()
                    raise

        try:
            return Client(self.address, timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(f"no Dask scheduler answers at {self.address!r} ({error})") from error

    def _result(self, future: Any) -> Any:
        if future.cancelled():
            raise InputError(
                f"the Dask cluster at {self.address} was lost; what it had computed is safe: "
                "run the same command again when it is back"
            )
        if error := future.exception():
            return Failure(f"{type(error).__name__}: {error}")
        result = future.result()
        if isinstance(result, InputError):
            raise result
        return result


def _attempt(function: Function, task: Unit) -> Any:
    """Run on a worker: other exceptions are raised, so that Dask tries again."""
    torch.set_num_threads(1)
    try:
        return function(task)
    except InputError as error:
        return error
    finally:
        release_memory()

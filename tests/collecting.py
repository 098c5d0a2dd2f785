"""Stand-ins for `score_row` that worker processes can import; they take no time and misbehave on demand.

`ZCP_TEST_FOLDER` names a folder where they leave one file a call and look for orders.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from zcp.collect.order import Unit
from zcp.collect.settings import Settings
from zcp.errors import InputError
from zcp.spaces import get_space
from zcp.statistics.seeding import seed_for

SETTINGS = Settings(proxies=("params", "synflow"), batch=4, inputs="gaussian")


def units(count: int) -> list[Unit]:
    return [Unit("sss", index, "cifar10") for index in range(count)]


def fake_row(space: str, index: int, dataset: str, settings: Settings, device: str = "cpu") -> dict:
    rng = np.random.default_rng(seed_for(settings.seed, space, index, dataset))
    row = {"space": space, "index": index, "arch": get_space(space).arch(index), "dataset": dataset}
    row |= dict(zip(settings.proxies, rng.normal(size=len(settings.proxies)).tolist(), strict=True))
    reasons = {}
    if index % 5 == 4:
        row[settings.proxies[-1]], reasons = float("nan"), {settings.proxies[-1]: "made for a test"}
    return row | {"reason": json.dumps(reasons), "seconds_default": time.time() % 1}


def _calls(index: int) -> int:
    """Leave a trace of this call and return how many there were before it."""
    folder = Path(os.environ["ZCP_TEST_FOLDER"])
    before = len(list(folder.glob(f"{index}-*")))
    (folder / f"{index}-{before}-{os.getpid()}").touch()
    return before


def slow_row(*arguments: object) -> dict:
    time.sleep(0.05)
    return fake_row(*arguments)


def deadly_row(space: str, index: int, *rest: object) -> dict:
    """Index 3 kills its first worker, index 5 every one."""
    if (_calls(index) == 0 and index == 3) or index == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return fake_row(space, index, *rest)


def greedy_row(*arguments: object) -> dict:
    """No more than two fit into memory at once; the first ones wait until there are more, however long."""
    folder = Path(os.environ["ZCP_TEST_FOLDER"])
    mine, told = folder / f"running-{os.getpid()}", folder / "told"
    mine.touch()
    try:
        while (running := len(list(folder.glob("running-*")))) <= 2 and not told.exists():
            time.sleep(0.01)
        if running > 2:
            told.touch()
            raise MemoryError("CUDA out of memory")
        return fake_row(*arguments)
    finally:
        mine.unlink()


def standing_row(space: str, index: int, *rest: object) -> dict:
    """Index 3 stops its first worker for good."""
    if index == 3 and _calls(index) == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
    return fake_row(space, index, *rest)


def too_large_row(space: str, index: int, *rest: object) -> dict:
    if index == 0:
        _calls(index)
        torch.empty(1 << 50)
    return fake_row(space, index, *rest)


def faulty_row(space: str, index: int, *rest: object) -> dict:
    if index % 2 == 0:
        _calls(index)
        raise RuntimeError(f"no luck with {index}")
    return fake_row(space, index, *rest)


def always_faulty_row(*_arguments: object) -> dict:
    raise RuntimeError("nothing works")


def sleeping_task(_task: Unit) -> None:
    time.sleep(3)


def refusing_row(*_arguments: object) -> dict:
    raise InputError("the images here are others")


def dying_at_start() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DiesWhenUnpickled:
    def __call__(self, task: Unit) -> None: ...

    def __reduce__(self) -> tuple:
        return (dying_at_start, ())


def interrupted_at_start() -> Callable[..., dict]:
    signal.raise_signal(signal.SIGINT)
    return task_of_a_test


def task_of_a_test(task: Unit) -> dict:
    return fake_row(task.space, task.index, task.dataset, SETTINGS)


class InterruptedWhenUnpickled(DiesWhenUnpickled):
    """Ctrl-C reaches a worker that has not begun to serve."""

    def __reduce__(self) -> tuple:
        return (interrupted_at_start, ())


class NeverUnpickled(DiesWhenUnpickled):
    """A worker that never becomes ready."""

    def __reduce__(self) -> tuple:
        return (time.sleep, (600,))

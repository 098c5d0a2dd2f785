"""Measured accuracies of any space as one table, whatever they come from; and a place for your own.

The table joins any table of scores: `scores.merge(zcp.accuracies("tss", "cifar10"), on=["index", "arch"])`.
"""

from collections.abc import Mapping
from math import isfinite
from numbers import Real

import pandas as pd

from zcp.benchmarks import load, tasks
from zcp.data.datasets import DATASETS, get_dataset
from zcp.errors import InputError
from zcp.spaces import SPACES, get_space

#: (space, dataset, target) -> index of an architecture -> accuracy, as registered.
REGISTERED: dict[tuple[str, str, str], dict[int, float]] = {}


def register_accuracies(
    space: str, dataset: str, accuracies: Mapping[str, float] | Mapping[int, float], target: str = "test"
) -> None:
    """Give `accuracies` a benchmark of your own, for this process; it goes before the built-in ones.

    Args:
        space: a registered search space.
        dataset: a name of `zcp.data.datasets.ALL_DATASETS`.
        accuracies: architecture string or index -> accuracy, percent where it is one; larger is better.
        target: what was measured, in a word.

    Raises:
        InputError: if the space, the dataset or an architecture does not exist, one is there twice, or an
            accuracy is no finite number.
    """
    get_dataset(dataset)
    found: dict[int, float] = {}
    for arch, value in accuracies.items():
        index, string = get_space(space).resolve(arch)
        if index in found:
            raise InputError(f"architecture {string!r} of {space!r} has two accuracies; give one")
        if not isinstance(value, Real) or not isfinite(value):
            raise InputError(f"the accuracy of {string!r} of {space!r} must be a finite number: {value!r}")
        found[index] = float(value)
    REGISTERED[space, dataset, target] = found


def accuracies(space: str, dataset: str, target: str = "test") -> pd.DataFrame:
    """Return what was measured for the architectures of a space.

    Args:
        space: a search space.
        dataset: a dataset or task of its benchmark.
        target: `test`, `test_12ep` or `valid` of NATS-Bench (`zcp.benchmarks.base.Benchmark`), `task` for the
            one measure of a task in `zcp.benchmarks.tasks.TASKS`, or what you registered.

    Returns:
        Columns `index` (of the architecture in its space), `arch` (its string) and `accuracy` (larger is
        better; percent, or the unit of the task), by index; without those that were not measured.

    Raises:
        InputError: if nothing was measured, or its file or package is missing.

    Example:
        >>> register_accuracies("sss", "cifar10", {"8:8:8:8:8": 70.5}, "mine")
        >>> accuracies("sss", "cifar10", "mine").to_dict("records")
        [{'index': 0, 'arch': '8:8:8:8:8', 'accuracy': 70.5}]
    """
    facts = get_space(space)
    if (space, dataset, target) in REGISTERED:
        found = pd.Series(REGISTERED[space, dataset, target], dtype="float64")
    elif target == "task":
        measured = tasks.accuracy(space, dataset)
        found = measured.set_axis([facts.index(arch) for arch in measured.index])
    elif space in SPACES and dataset in DATASETS:
        found = load(space).accuracy(dataset, target)
    else:
        raise InputError(
            f"no {target!r} accuracies of {space} on {dataset!r}; give yours to zcp.register_accuracies, or "
            "ask for target 'task' (zcp.benchmarks.tasks) or for a space and dataset of NATS-Bench"
        )
    table = found.dropna().sort_index().rename("accuracy").rename_axis("index").reset_index()
    table.insert(1, "arch", [facts.arch(index) for index in table["index"]])
    return table


def is_measured(space: str, dataset: str, target: str) -> bool:
    """Tell whether `accuracies` knows of these, whether or not they can be had here."""
    return (
        (space, dataset, target) in REGISTERED
        or (target == "task" and (space, dataset) in tasks.TASKS)
        or (target in ("test", "test_12ep", "valid") and space in SPACES and dataset in DATASETS)
    )

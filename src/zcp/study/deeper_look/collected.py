"""Our scores of the Deeper Look: which were collected, on what, and what was measured beside them."""

from functools import cache
from typing import NamedTuple

import pandas as pd

from zcp.analysis.scores import turn
from zcp.benchmarks.tasks import TASKS, accuracy
from zcp.collect import load_scores
from zcp.data.datasets import get_dataset
from zcp.errors import InputError
from zcp.proxies.registry import list_proxies
from zcp.spaces import get_space


class Collection(NamedTuple):
    """A scores file of one space, and the tasks whose accuracies it is compared with.

    Attributes:
        file: a name in `data/scores`.
        dataset: that the networks were scored on.
        tasks: of the same space; empty where none was measured.
    """

    file: str
    dataset: str
    tasks: tuple[str, ...]


#: The tasks of TransNAS-Bench-101.
TRANSNAS = tuple(task for space, task in TASKS if space == "transnas")

#: Space -> its collections; those of one task hold different proxies.
COLLECTIONS: dict[str, tuple[Collection, ...]] = {
    "tss": (
        Collection("post-tss-b64", "cifar100", ("cifar100", "cifar10", "ImageNet16-120", "ninapro", "darcy")),
        Collection("tss-scifar100-b8", "scifar100", ("scifar100",)),
        Collection("tss-synthetic-b16", "synthetic_cifar10", ()),
    ),
    "transnas": (
        Collection("transnas-weights", "class_scene", TRANSNAS),
        Collection("transnas-noise-b16", "class_scene", TRANSNAS),
    ),
    "darts": (
        Collection("darts-scifar100-b8", "scifar100", ("scifar100",)),
        Collection("darts-cifar10-b8", "cifar10", ("cifar10",)),
    ),
}

#: Space -> tasks whose correlation with the sizes is taken over all architectures that were trained.
COUNTED = {"tss": ("scifar100", "svhn"), "transnas": TRANSNAS}

#: Fewer networks than this tell nothing: their correlations are not reported.
LEAST = 20


@cache
def accuracy_by_index(space: str, task: str) -> pd.Series:
    """Return `zcp.benchmarks.tasks.accuracy`, indexed by the architecture's index in its space."""
    measured = accuracy(space, task)
    return measured.rename(index=get_space(space).index).rename_axis("index")


def our_scores(collection: Collection) -> pd.DataFrame:
    """Return a collection's scores, a column a proxy, by architecture index.

    Raises:
        InputError: if the file is missing or damaged.
    """
    table = load_scores(collection.file)
    table = table[table["dataset"] == collection.dataset].set_index("index")
    return turn(table[[name for name in list_proxies() if name in table]])


@cache
def counts_of_all(space: str) -> pd.DataFrame:
    """Return parameters and multiply-accumulates, in millions, of every architecture of a space, by index.

    They are those of the dataset of the space's first collection.
    """
    facts, dataset = get_space(space), get_dataset(collections_of(space)[0].dataset)
    classes, resolution = dataset.classes, dataset.resolution
    archs = [facts.arch(index) for index in range(facts.size)]
    counts = {
        "params": [facts.params(arch, classes) / 1e6 for arch in archs],
        "flops": [facts.flops(arch, classes, resolution) / 1e6 for arch in archs],
    }
    return pd.DataFrame(counts).rename_axis("index")


def collections_of(space: str) -> tuple[Collection, ...]:
    """Return the collections of a space.

    Raises:
        InputError: if there are none.
    """
    if space not in COLLECTIONS:
        raise InputError(f"no scores of space {space!r} here; choose one of {', '.join(COLLECTIONS)}")
    return COLLECTIONS[space]


def large_enough(space: str) -> list[Collection]:
    """Return the collections of a space that hold at least `LEAST` networks so far."""
    return [each for each in collections_of(space) if len(our_scores(each)) >= LEAST]


def describe(space: str) -> pd.DataFrame:
    """Return what was collected: scores, dataset, networks, inputs, batch, seconds (mean of a network)."""
    rows = []
    for each in collections_of(space):
        table = load_scores(each.file)
        settings = table.attrs["settings"]
        spent = table.filter(regex="^seconds_").sum(axis=1)
        found = {"scores": each.file, "dataset": each.dataset, "networks": len(table)}
        found |= {"inputs": settings["inputs"], "batch": settings["batch"], "seconds": float(spent.mean())}
        rows.append(found)
    return pd.DataFrame(rows)

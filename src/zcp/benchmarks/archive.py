"""The official NATS-Bench archive, read through the official API only (Dong et al. 2022).

The archive consists of pickles and the API unpickles them without restriction: use archives from the authors
only (https://github.com/D-X-Y/NATS-Bench).
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from zcp import optional
from zcp.benchmarks.base import Benchmark, check_order
from zcp.data.datasets import DATASETS
from zcp.errors import InputError
from zcp.spaces import get_space

VARIABLE = "ZCP_NATS_ARCHIVE"
NAMES = {"tss": "NATS-tss-v1_0-3ffb9", "sss": "NATS-sss-v1_0-50262"}
META = "meta.pickle.pbz2"
TARGETS = ("test", "test_12ep", "valid")
FULL = {"tss": "200", "sss": "90"}


def _locate(space: str, path: Path | None) -> Path | None:
    """Return the archive of a space: a folder with one file an architecture, or one file with all of them."""
    named = path or os.environ.get(VARIABLE)
    if not named:
        return None
    base = Path(named).expanduser()
    if base.name.startswith("NATS-") and not base.name.startswith(f"NATS-{space}"):
        return None
    places = [base, base / f"{NAMES[space]}-simple", base / f"{NAMES[space]}.pickle.pbz2"]
    return next((place for place in places if place.is_file() or (place / META).is_file()), None)


def _query(api: Any, space: str, index: int, dataset: str, target: str) -> float:
    """Return one accuracy, the mean over the seeds, or NaN where that training does not exist.

    The API's own default would be a random seed of the 12-epoch training, so both are stated here.
    """
    epochs = "12" if target == "test_12ep" else FULL[space]
    # The validation half of CIFAR-10's training set is held out in a run of its own.
    run = "cifar10-valid" if (dataset, target) == ("cifar10", "valid") else dataset
    kind = "valid-accuracy" if target == "valid" else "test-accuracy"
    try:
        return float(api.get_more_info(index, run, hp=epochs, is_random=False)[kind])
    except KeyError:
        return np.nan


class Archive(Benchmark):
    """Official archive; answers for the architectures that it holds, NaN for the others.

    `path` (or the environment variable `ZCP_NATS_ARCHIVE`) is `NATS-tss-v1_0-3ffb9-simple`,
    `NATS-sss-v1_0-50262-simple`, a folder that holds them, or the single file `….pickle.pbz2` (which takes
    tens of gigabytes of memory). The first question reads all records: minutes for a complete archive.
    """

    source = "archive"

    @classmethod
    def why_missing(cls, space: str, path: Path | None = None) -> str:
        if _locate(space, path) is None:
            where = (
                f"{path or os.environ.get(VARIABLE)} holds no such archive; "
                if path or VARIABLE in os.environ
                else ""
            )
            return (
                f"{where}download {NAMES[space]}-simple.tar from https://github.com/D-X-Y/NATS-Bench, "
                f"extract it and set {VARIABLE} to its folder"
            )
        return optional.why_missing("nats_bench")

    def _open(self, path: Path | None) -> None:
        located = _locate(self.space, path)
        assert located is not None  # why_missing has asked already
        self._path = located
        create = optional.require("nats_bench").create
        try:
            self._api = create(str(located), self.space, fast_mode=located.is_dir(), verbose=False)
        except Exception as error:  # a damaged pickle may raise anything
            raise InputError(f"{located} cannot be read by nats_bench ({error}); extract it again") from error
        check_order(self.space, self._api.meta_archs, str(located))
        self.targets = TARGETS
        self._frame: pd.DataFrame | None = None

    def _accuracy(self, dataset: str, target: str) -> pd.Series:
        if self._frame is None:
            self._frame = self._read_all()
        return self._frame[dataset, target]

    def _indices(self) -> list[int]:
        if self._path.is_file():
            return sorted(self._api.evaluated_indexes)
        return [
            i for i in range(get_space(self.space).size) if (self._path / f"{i:06d}.pickle.pbz2").is_file()
        ]

    def _read_all(self) -> pd.DataFrame:
        cells = pd.MultiIndex.from_product([DATASETS, TARGETS])
        values = np.full((get_space(self.space).size, len(cells)), np.nan)
        for index in tqdm(self._indices(), desc=f"NATS-Bench {self.space}", unit="arch", leave=False):
            values[index] = self._read_record(index, list(cells))
        return pd.DataFrame(values, columns=cells)

    def _read_record(self, index: int, cells: list[tuple[str, str]]) -> list[float]:
        try:
            if self._path.is_dir():
                self._api.reload(str(self._path), index)
            found = [_query(self._api, self.space, index, *cell) for cell in cells]
        except Exception as error:  # a damaged pickle may raise anything
            raise InputError(
                f"record {index} of {self._path} cannot be read ({error!r}); extract the archive again"
            ) from error
        self._api.arch2infos_dict.pop(index)  # a whole archive does not fit in memory
        return found

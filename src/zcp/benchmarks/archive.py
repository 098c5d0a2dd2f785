"""The official NATS-Bench archive, interpreted by the official API (Dong et al. 2022).

The archive (https://github.com/D-X-Y/NATS-Bench) consists of pickles, which the API would unpickle without
restriction. Here it never sees a file: an unpickler that refuses all but plain data reads them for it.
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
from zcp.data.pickles import NATS, load_restricted
from zcp.errors import InputError
from zcp.paths import is_file
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
    try:
        base = Path(named).expanduser()
        if base.name.startswith("NATS-") and not base.name.startswith(f"NATS-{space}"):
            return None
        places = [base, base / f"{NAMES[space]}-simple", base / f"{NAMES[space]}.pickle.pbz2"]
        return next((place for place in places if place.is_file() or (place / META).is_file()), None)
    except (OSError, RuntimeError, ValueError):
        return None  # no name of a file: too long, or of no user


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
    variable = VARIABLE

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
        content = load_restricted(located / META if located.is_dir() else located, NATS)
        try:
            archs, self._records = list(content["meta_archs"]), dict(content["arch2infos"] or {})
            for index in self._records:
                get_space(self.space).check_index(index)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{located} is no archive of NATS-Bench ({error!r}); extract it again") from None
        check_order(self.space, archs, str(located))
        empty = {"meta_archs": archs, "arch2infos": {}, "evaluated_indexes": ()}
        self._api = optional.require("nats_bench").create(empty, self.space, verbose=False)
        self.targets = TARGETS
        self._frame: pd.DataFrame | None = None

    def _accuracy(self, dataset: str, target: str) -> pd.Series:
        if self._frame is None:
            self._frame = self._read_all()
        return self._frame[dataset, target]

    def _file(self, index: int) -> Path:
        return self._path / f"{index:06d}.pickle.pbz2"

    def _indices(self) -> list[int]:
        if self._path.is_file():
            return sorted(self._records)
        return [index for index in range(get_space(self.space).size) if is_file(self._file(index))]

    def _read_all(self) -> pd.DataFrame:
        cells = pd.MultiIndex.from_product([DATASETS, TARGETS])
        values = np.full((get_space(self.space).size, len(cells)), np.nan)
        for index in tqdm(self._indices(), desc=f"NATS-Bench {self.space}", unit="arch", leave=False):
            values[index] = self._read_record(index, list(cells))
        return pd.DataFrame(values, columns=cells)

    def _read_record(self, index: int, cells: list[tuple[str, str]]) -> list[float]:
        states = self._records[index] if self._path.is_file() else load_restricted(self._file(index), NATS)
        create = optional.require("nats_bench").ArchResults.create_from_state_dict
        try:
            if not all(isinstance(state, dict) for state in states.values()):
                raise TypeError("a training is not a dict")  # The API takes a text for the path of a pickle.
            self._api.arch2infos_dict[index] = {epochs: create(state) for epochs, state in states.items()}
            self._api.evaluated_indexes.add(index)
            found = [_query(self._api, self.space, index, *cell) for cell in cells]
            if any(value < 0 or value > 100 for value in found):
                raise ValueError("an accuracy is not within 0 to 100")
        except Exception as error:  # data of another form may raise anything
            raise InputError(
                f"record {index} of {self._path} cannot be read ({error!r}); extract the archive again"
            ) from error
        self._api.arch2infos_dict.pop(index)  # a whole archive does not fit in memory
        return found

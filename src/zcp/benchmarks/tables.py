"""The compact tables of the data folder: `nats/tss.parquet` and `nats/sss.parquet`."""

from pathlib import Path
from typing import Any

import pandas as pd

from zcp import optional
from zcp.benchmarks.base import Benchmark, check_order, read_parquet
from zcp.data.checksums import verify
from zcp.data.datasets import DATASETS
from zcp.errors import InputError, choose
from zcp.paths import data_folder, is_file
from zcp.spaces import get_space

TARGETS = {"tss": ("test", "test_12ep", "valid"), "sss": ("test", "valid")}
#: Dataset -> how its columns begin.
PREFIXES = {dataset: dataset.lower().replace("-", "_") for dataset in DATASETS}
SEEDS = ("seed0", "seed1", "seed2")


def _schema(space: str) -> Any:
    """Return the pandera schema of a table: complete, unique, percentages within 0 to 100."""
    pandera = optional.require("pandera", "pandas")
    size = get_space(space).size
    percent = pandera.Check.in_range(0, 100)
    columns = {
        "index": pandera.Column(
            int, pandera.Check(lambda s: s == range(len(s)), name="official order"), unique=True
        ),
        "arch": pandera.Column(str, unique=True),
    }
    for prefix in PREFIXES.values():
        for target in TARGETS[space]:
            columns[f"{prefix}_{target}"] = pandera.Column(float, percent)
        if space == "tss":
            for seed in SEEDS:
                columns[f"{prefix}_valid_{seed}"] = pandera.Column(float, percent, nullable=True)
    if space == "tss":
        columns["unique_str"] = pandera.Column(str)
    rows = pandera.Check(lambda frame: len(frame) == size, name=f"{size} rows")
    return pandera.DataFrameSchema(columns, checks=rows)


def _read(space: str, path: Path) -> pd.DataFrame:
    """Read a table and check it against the schema.

    Raises:
        InputError: if it is not Parquet or violates the schema; the message names every kind of violation.
    """
    errors = optional.require("pandera", "errors")
    frame = read_parquet(path)
    try:
        return pd.DataFrame(_schema(space).validate(frame, lazy=True))
    except errors.SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates(["column", "check"])
        faults = "; ".join(f"{c.column}: {c.check} ({str(c.failure_case)[:60]})" for c in cases.itertuples())
        raise InputError(f"{path} does not have the expected content: {faults}") from error


class Tables(Benchmark):
    """Compact tables, verified against `SHA256SUMS`, a schema and the official order of the space.

    `path` is the data folder; `zcp.paths.data_folder()` by default. TSS values are means over the two or
    three training seeds, SSS has a single one.
    """

    source = "tables"
    variable = "ZCP_DATA"

    @classmethod
    def why_missing(cls, space: str, path: Path | None = None) -> str:
        folder = path or data_folder()
        if folder is None:
            return f"set ZCP_DATA to the data folder, which holds nats/{space}.parquet"
        if not is_file(folder / f"nats/{space}.parquet"):
            return f"{folder} holds no nats/{space}.parquet; set ZCP_DATA to the folder that does"
        return optional.why_missing("pandera")

    def _open(self, path: Path | None) -> None:
        folder = path or data_folder()
        assert folder is not None  # why_missing has asked already
        file = verify(folder, f"nats/{self.space}.parquet")
        self._frame = _read(self.space, file).set_index("index")
        check_order(self.space, list(self._frame["arch"]), str(file))
        self.targets = TARGETS[self.space]

    def _accuracy(self, dataset: str, target: str) -> pd.Series:
        return self._frame[f"{PREFIXES[dataset]}_{target}"]

    def valid_seeds(self, dataset: str) -> pd.DataFrame:
        prefix = choose(PREFIXES, dataset, "dataset")
        names = {f"{prefix}_valid_{seed}": seed for seed in SEEDS}
        if not set(names) <= set(self._frame):
            return super().valid_seeds(dataset)
        return self._frame[list(names)].rename(columns=names)

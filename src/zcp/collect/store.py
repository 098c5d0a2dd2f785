"""Scores as a Parquet file: one row a (space, index, dataset), the settings in the file's own metadata."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from zcp.collect.order import position
from zcp.collect.schema import KEYS, SECONDS, arrow_schema, check_rows, check_schema
from zcp.collect.settings import Origin
from zcp.data.datasets import ALL_DATASETS
from zcp.errors import InputError
from zcp.paths import SCORES
from zcp.spaces import ALL_SPACES


def load_scores(source: str | Path) -> pd.DataFrame:
    """Read and check a scores file.

    Args:
        source: a name in `data/scores`, or a path ending in .parquet.

    Returns:
        One row a (space, index, dataset), with the columns space, index, arch, dataset, one float64 column a
        proxy, `reason` (JSON text: why a value is NaN or infinite, by proxy) and one `seconds_<step>` a timed
        step. `attrs["settings"]` holds the settings, `environments`, and the `steps` that each proxy needs.

    Raises:
        InputError: if the file is missing, damaged, or not a scores file; all faults are named.
    """
    frame, origin = read_scores(scores_path(source))
    frame.attrs["settings"] = origin.to_json()
    return frame


def scores_path(source: str | Path) -> Path:
    """Return the path of a scores file that is named by a path ending in .parquet or by its bare name."""
    return Path(source) if str(source).endswith(".parquet") else SCORES / f"{source}.parquet"


def read_scores(path: Path) -> tuple[pd.DataFrame, Origin]:
    """Return (rows, origin) of a scores file; raises InputError as `load_scores` does."""
    if not path.is_file():
        raise InputError(f"there is no scores file {path}; compute it with `zcp collect --out {path}`")
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        settings = json.loads((table.schema.metadata or {})[b"settings"])
        frame = table.to_pandas(ignore_metadata=True)
    except KeyError:
        raise InputError(f"{path} carries no settings: it was not written by `zcp collect`") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or no Parquet file ({str(error).splitlines()[0]}); restore it from "
            "version control or a backup, or move it away and collect again"
        ) from error
    try:
        origin = Origin.from_json(settings)
        check_schema(table.schema, origin.settings.proxies)
        check_rows(frame)
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error
    return frame, origin


def write_scores(path: Path, frame: pd.DataFrame, origin: Origin) -> None:
    """Write a scores file in its canonical order: space, dataset, position in the seeded order.

    The file appears whole or not at all, and replaces the one before it in one step.

    Raises:
        OSError: if the disk does not take it; the file before it is untouched.
    """
    seconds = sorted(c for c in frame.columns if c.startswith(SECONDS))
    schema = arrow_schema(origin.settings.proxies, seconds)
    schema = schema.with_metadata({"settings": json.dumps(origin.to_json(), sort_keys=True)})
    table = pa.Table.from_pandas(_ordered(frame, origin.settings.seed), schema, preserve_index=False)
    texts = [f.name for f in schema if pa.types.is_string(f.type)]
    floats = [f.name for f in schema if pa.types.is_floating(f.type)]
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(
                table.replace_schema_metadata(schema.metadata),
                file,
                compression="zstd",
                use_dictionary=texts,
                use_byte_stream_split=floats,
                write_page_checksum=True,
            )
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def rows_to_frame(rows: Sequence[dict[str, Any]], proxies: Sequence[str]) -> pd.DataFrame:
    """Return a table of rows such as those of a journal, with a column for each proxy and step."""
    steps = sorted({key for row in rows for key in row if key.startswith(SECONDS)})
    frame = pd.DataFrame.from_records(list(rows), columns=[*KEYS, "arch", *proxies, "reason", *steps])
    return frame.astype(dict.fromkeys([*proxies, *steps], "float64"))


def _ordered(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    rank = pd.DataFrame(
        {
            "space": frame["space"].map(list(ALL_SPACES).index),
            "dataset": frame["dataset"].map(list(ALL_DATASETS).index),
            "position": [position(*key, seed) for key in zip(frame["space"], frame["index"], strict=True)],
        }
    )
    return frame.iloc[rank.reset_index(drop=True).sort_values(["space", "dataset", "position"]).index]

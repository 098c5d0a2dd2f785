"""The columns of a scores file, and the checks of what was read from one."""

import json
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from zcp.data.datasets import ALL_DATASETS
from zcp.errors import InputError
from zcp.spaces import ALL_SPACES

KEYS = ["space", "index", "dataset"]
SECONDS = "seconds_"


def arrow_schema(proxies: Sequence[str], seconds: Sequence[str]) -> pa.Schema:
    """Return the schema of a scores file for these proxies and `seconds_<step>` columns."""
    return pa.schema(
        [
            ("space", pa.string()),
            ("index", pa.int64()),
            ("arch", pa.string()),
            ("dataset", pa.string()),
            *((proxy, pa.float64()) for proxy in proxies),
            ("reason", pa.string()),
            *((column, pa.float32()) for column in seconds),
        ]
    )


def check_schema(schema: pa.Schema, proxies: Sequence[str]) -> None:
    """Compare names and types of the columns with what the settings promise.

    Raises:
        InputError: naming every column that is missing, unexpected or of another type.
    """
    seconds = [name for name in schema.names if name.startswith(SECONDS)]
    expected = {f.name: f.type for f in arrow_schema(proxies, seconds)}
    found = {f.name: f.type for f in schema}
    faults = [f"column {name!r} is missing" for name in expected if name not in found]
    faults += [f"column {name!r} is not expected" for name in found if name not in expected]
    faults += [
        f"column {name!r} is {found[name]}, not {kind}"
        for name, kind in expected.items()
        if name in found and found[name] != kind
    ]
    if len(found) != len(schema.names):
        faults.append("a column occurs twice")
    if faults:
        raise InputError("; ".join(faults))


def check_rows(frame: pd.DataFrame) -> None:
    """Check that each row is about one existing network, and each network has one row.

    Raises:
        InputError: naming the first offender of each kind.
    """
    faults = []
    for column, known in (("space", ALL_SPACES), ("dataset", ALL_DATASETS)):
        if unknown := sorted({str(value) for value in frame[column].unique()} - set(known)):
            faults.append(f"unknown {column} {', '.join(unknown)}")
    if not faults:
        architectures = frame[["space", "index", "arch"]].drop_duplicates()
        wrong = [row for row in architectures.itertuples(index=False, name=None) if not _is_known(*row)]
        if wrong:
            faults.append(f"{len(wrong)} index(es) do not name their architecture, first {wrong[0]}")
    doubled = frame[frame.duplicated(KEYS)]
    if len(doubled):
        faults.append(f"{len(doubled)} row(s) occur twice, first {tuple(doubled[KEYS].iloc[0])}")
    if bad := [text for text in frame["reason"].unique() if not _is_reason(text)]:
        faults.append(f"a reason is not a JSON object: {bad[0]!r}")
    if faults:
        raise InputError("; ".join(faults))


def _is_known(space: str, index: int, arch: str) -> bool:
    return 0 <= index < ALL_SPACES[space].size and ALL_SPACES[space].arch(index) == arch


def _is_reason(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False

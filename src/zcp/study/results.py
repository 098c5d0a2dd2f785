"""Results that are deposited in `data/results`: tables with what made them.

A deposit is one JSON file: the settings it was computed with, its provenance (versions, SHA-256 of the
scores, seconds), named tables of aggregates, and a seal, the digest of all this: pages show more of it than
they compute again. It never holds ground truth of single architectures.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from zcp.collect import scores_digest
from zcp.errors import InputError
from zcp.paths import RESULTS


class DisagreementError(RuntimeError):
    """A value that was computed live is not the deposited one.

    Attributes:
        table: what was compared, as `zcp.study.agreement.tabulate` returns it; empty where nothing could be.
        parts: the disagreements that `compare_all` found; itself where it is a single one.
        agreed: the tables of its comparisons that agree.
    """

    def __init__(self, message: str, table: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.table = pd.DataFrame() if table is None else table
        self.parts = [self]
        self.agreed: list[pd.DataFrame] = []


@dataclass(frozen=True)
class Deposit:
    """The result of one section.

    Attributes:
        name: `<section>-<target>`, the file's stem.
        settings: what the computation depends on (JSON values).
        tables: data frames of aggregates; the index is not kept.
        provenance: what it was made from and by: `scores`, `scores_sha256`, `versions`, `seconds`.
    """

    name: str
    settings: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    provenance: dict[str, Any] = field(default_factory=dict)


def write(deposit: Deposit, folder: Path = RESULTS) -> Path:
    """Write a deposit, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{deposit.name}.json"
    parts = {
        "name": json.dumps(deposit.name),
        "settings": json.dumps(deposit.settings),
        "provenance": json.dumps(deposit.provenance),
        "tables": "{\n" + ",\n".join(_dump_table(n, t) for n, t in deposit.tables.items()) + "\n}",
    }
    text = "{\n" + ",\n".join(f'"{key}": {value}' for key, value in parts.items()) + "\n}\n"
    text = text.removesuffix("\n}\n") + f',\n"seal": "{_seal(json.loads(text))}"\n}}\n'
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        unfinished.write_text(text)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def read(name: str, folder: Path = RESULTS) -> Deposit:
    """Read the deposit called `name`.

    Raises:
        InputError: if there is none, or it is not a deposit, or not as it was written.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        raise InputError(f"no deposited result {path}; make it with `make study PROFILE=paper`")
    try:
        found = json.loads(path.read_text())
        tables = {key: pd.DataFrame(t["data"], columns=t["columns"]) for key, t in found["tables"].items()}
        deposit, seal = Deposit(found["name"], found["settings"], tables, found["provenance"]), found["seal"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a whole deposit ({error!r}); restore it or make it again") from error
    if seal != _seal(found):
        raise InputError(f"{path} is not as it was written (its seal is broken); restore it or make it again")
    return deposit


def _seal(content: Mapping[str, Any]) -> str:
    """Return the digest of everything that a deposit says, shown or compared, however it is laid out."""
    told = {key: value for key, value in content.items() if key != "seal"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def require_same_scores(deposit: Deposit, scores: Path) -> None:
    """Raise unless the deposit was made from this very collection of scores, or from this and others.

    Raises:
        DisagreementError: if it was made from another one.
    """
    made_from, have = deposit.provenance.get("scores_sha256"), scores_digest(scores)
    if isinstance(made_from, dict):
        made_from = made_from.get(scores.name)
    if made_from != have:
        raise DisagreementError(
            f"the deposit {deposit.name} was made from scores with SHA-256 {str(made_from)[:12]}…, but "
            f"{scores.name} has {have[:12]}…; recompute the results with `make study PROFILE=paper`"
        )


def compare_all(*comparisons: Callable[[], Any]) -> list[Any]:
    """Make every comparison, whatever the others find, and return what they return.

    Raises:
        DisagreementError: if any disagrees; its `parts` are all that do. Its table is that of the first, or
            what another comparison returned where no part has one.
    """
    found: list[Any] = []
    parts: list[DisagreementError] = []
    for compare in comparisons:
        try:
            found.append(compare())
        except DisagreementError as error:
            parts += error.parts
    if parts:
        tables = [part.table for part in parts if len(part.table)] + found
        whole = DisagreementError("; ".join(map(str, parts)), next(iter(tables), None))
        whole.parts = parts
        whole.agreed = [table for table in found if isinstance(table, pd.DataFrame)]
        raise whole
    return found


def finite(value: float, name: str) -> float:
    """Return `value` as a float, for prose.

    Raises:
        InputError: if it is NaN or infinite, which a page would otherwise print without a word.
    """
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}: a page must not print it as a result")
    return float(value)


def _dump_table(name: str, table: pd.DataFrame) -> str:
    rows = json.loads(table.to_json(orient="split", index=False, double_precision=8))
    lines = ",\n".join(json.dumps(row) for row in rows["data"])
    return f'{json.dumps(name)}: {{"columns": {json.dumps(rows["columns"])}, "data": [\n{lines}\n]}}'

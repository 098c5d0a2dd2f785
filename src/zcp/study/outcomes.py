"""What became of the sections: values that disagree with the deposit, and sections that crashed.

Every check of a page leaves a record in the executed notebook (`zcp.study.pages.check`), glued so that no
page shows it; a crash is papermill's error output. Both are read back from the executed copies: a book that
is built later tells the same.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zcp.errors import InputError

#: Name of the glued records, before their number, and the type of their text, which is JSON.
RECORD = "zcp_check_"
TEXT = "application/papermill.record/text/plain"


@dataclass(frozen=True)
class Outcome:
    """What became of one section.

    Attributes:
        section: its name.
        run: what papermill noted: `parameters`, `start_time`, `duration` in seconds, `exception`, ...
        checks: the records of its checks, in order: `check` (name of the function), `values` (how many were
            compared), `message` (the disagreement; empty where all agreed).
        crash: the error that stopped it, in one line; empty where none did.
    """

    section: str
    run: dict[str, Any]
    checks: list[dict[str, Any]]
    crash: str = ""

    @property
    def faults(self) -> list[str]:
        """What is to be told of this section, a line each; empty where all is well."""
        found = [f"{c['check']}: {c['message']}" for c in self.checks if c["message"]]
        return [*found, *([f"stopped by an error: {self.crash}"] if self.crash else [])]


def read_outcome(copy: Path) -> Outcome:
    """Return what became of the section whose executed copy this is.

    Raises:
        InputError: if the section was not executed, or its execution was broken off.
    """
    import nbformat

    if not copy.exists():
        raise InputError(f"section {copy.stem} was not executed; run `zcp run {copy.stem}` or `zcp study`")
    notebook = nbformat.reads(copy.read_text(encoding="utf-8"), as_version=4)
    run: dict[str, Any] = notebook.metadata.get("papermill", {})
    if not run.get("end_time"):
        raise InputError(f"section {copy.stem} did not run to its end; run `zcp run {copy.stem}` again")
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    checks = [json.loads(o.data[TEXT]) for o in outputs if glued_name(o).startswith(RECORD)]
    errors = [one_line(f"{o.ename}: {o.evalue}") for o in outputs if o.output_type == "error"]
    crash = (errors or ["its process ended"])[0] if run["exception"] else ""
    return Outcome(copy.stem, dict(run), checks, crash)


def glued_name(output: Any) -> str:
    """Return the name under which an output of a cell was glued, or an empty text."""
    return str(output.get("metadata", {}).get("scrapbook", {}).get("name", ""))


def one_line(text: str, most: int = 300) -> str:
    """Return a text in one line of at most `most` characters."""
    line = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def summarise(outcomes: Iterable[Outcome]) -> str:
    """Return every disagreement and crash, a line each; empty where there is none."""
    return "\n".join(f"{o.section}: {fault}" for o in outcomes for fault in o.faults)


def list_faults(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield the part of the landing page that tells what disagrees, as MyST."""
    outcomes = list(outcomes)
    told = [o for o in outcomes if o.faults]
    if not told:
        compared = sum(check["values"] for o in outcomes for check in o.checks)
        live = sum(bool(o.checks) for o in outcomes)
        yield f"Every live slice agreed with the deposited results: {compared:,} values in {live} sections."
        return
    yield from (":::{admonition} Not everything came out again", ":class: danger", "")
    for outcome in told:
        yield f"- [](notebooks/{outcome.section})"
        yield from (f"  - {in_prose(fault)}" for fault in outcome.faults)
    yield from ("", "Each page shows the values, or the error and where it happened.", ":::")


def in_prose(text: str) -> str:
    """Return a text so that MyST shows its characters as they are."""
    return re.sub(r"([\\`*_{}\[\]<>$#|~@^&])", r"\\\1", one_line(text))

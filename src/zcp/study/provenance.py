"""Where a page's numbers come from: parameters, versions, commit, machine and seconds."""

import html
import inspect
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass

from zcp.collect.workers import cores
from zcp.paths import data_folder
from zcp.versions import commit, versions


@dataclass(frozen=True)
class Provenance:
    """The origin of one run; a notebook shows it as a small table.

    Attributes:
        facts: what is shown, name -> text, in order.
    """

    facts: dict[str, str]

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {text}" for name, text in self.facts.items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.facts.items()
        )
        return f'<table class="provenance"><tbody>{rows}</tbody></table>'


def provenance() -> Provenance:
    """Return the provenance of the notebook that calls this, for its last cell.

    The parameters are the annotated variables of the notebook (`seeds: int = 3  # how many`), with the values
    that they have now. Seconds count from the start of the process, so they include imports.
    """
    frame = inspect.currentframe()
    caller = frame.f_back.f_globals if frame is not None and frame.f_back is not None else {}
    parameters = {name: caller[name] for name in caller.get("__annotations__", {}) if name in caller}
    return Provenance(
        {
            "parameters": describe(parameters),
            "data": "data folder" if data_folder() else "no data folder",
            "versions": describe(versions()),
            "commit": commit(),
            "machine": machine(),
            "seconds": f"{process_seconds():.0f}",
        }
    )


def describe(values: Mapping[str, object]) -> str:
    """Return `values` as one line of text: `name = value, ...`."""
    return ", ".join(f"{name} = {value}" for name, value in values.items()) or "none"


def machine() -> str:
    """Return the system, processor architecture and number of cores this process may use."""
    return f"{platform.system()} {platform.machine()}, {cores()} cores"


def process_seconds() -> float:
    """Return the seconds since this process started."""
    import psutil

    return time.time() - float(psutil.Process().create_time())

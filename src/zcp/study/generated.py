"""The parts of the book that are written from what exists: headline, provenance, proxies, rooms, API pages.

Each part is Markdown or a figure that a page of prose includes; nothing in them is typed in.
"""

import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import zcp
from zcp.errors import InputError
from zcp.formulas import read_formulas
from zcp.paths import RESULTS
from zcp.proxies.registry import get_proxy, list_proxies
from zcp.study.catalogue import GROUPS, reads
from zcp.study.headline import Sources, headline
from zcp.study.house import rooms, write_ways
from zcp.study.outcomes import Outcome, in_prose, list_faults
from zcp.study.provenance import describe, machine
from zcp.versions import versions

#: Page of the API -> the packages and modules that it documents; the last takes what no other does.
API = {
    "networks": ("zcp.spaces", "zcp.data"),
    "scoring": (
        "zcp.scoring", "zcp.many", "zcp.ranking", "zcp.testing", "zcp.proxies", "zcp.statistics",
        "zcp.formulas", "zcp.kernels", "zcp.golden",
    ),
    "measured": ("zcp.benchmarks", "zcp.collect"),
    "ensemble": ("zcp.ensemble", "zcp.analysis"),
    "study": ("zcp",),
}  # fmt: skip

#: Methods that scikit-learn adds to estimators; their text refers to pages of its own.
SCIKIT_LEARN = ("set_fit_request", "set_predict_request", "set_score_request", "set_transform_request")


def write_parts(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write all parts into `folder`, which is made if need be."""
    parts = {
        "headline": claim(),
        "disagreements": list_faults(outcomes),
        "provenance": provenance_tables(outcomes),
        "proxies": proxy_table(),
        "rooms": rooms(),
        **{f"api_{page}": api(page) for page in API},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in parts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_ways(folder / "ways.svg")


def claim(folder: Path = RESULTS) -> list[str]:
    """Return the lead, its lines and the table, or a box that tells why the deposits do not give them."""
    try:
        return list(headline(Sources.read(folder)))
    except (InputError, LookupError) as error:
        box = ":::{admonition} The deposits do not give the headline"
        return [box, ":class: danger", "", in_prose(str(error)), ":::"]


def provenance_tables(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield the tables on how each section was executed, and with what."""
    yield from ("| Section | Parameters given | Executed | Seconds |", "|---|---|---|---:|")
    for run, name in ((outcome.run, outcome.section) for outcome in outcomes):
        given = describe(run["parameters"])
        yield f"| [](../notebooks/{name}) | {given} | {run['start_time'][:19]} | {run['duration']:.0f} |"
    yield from ("", "| Built with | |", "|---|---|")
    yield from (f"| {package} | {number} |" for package, number in versions().items())
    yield f"| machine | {machine()} |"


def proxy_table() -> Iterator[str]:
    """Yield a table of the registered proxies for each group of the taxonomy."""
    proxies = [get_proxy(name) for name in list_proxies()]
    for data, group in GROUPS.items():
        yield from (f"## {group.capitalize()}", "")
        yield from ("| Proxy | Definition | Weights | Reads | Better | Source |", "|---|---|---|---|---|---|")
        for proxy in (p for p in proxies if p.data is data):
            better = "larger" if proxy.larger_is_better else "smaller"
            # A bar would end the table's cell, also inside a formula.
            summary = proxy.summary.replace("\\|", r"\Vert ").replace("|", r"\vert ")
            summary += f" *By name only: {proxy.optional}.*" if proxy.optional else ""
            named, cited = f"`{proxy.name}`", f"{{cite}}`{proxy.source}`"
            yield f"| {' | '.join((named, summary, proxy.init, reads(proxy), better, cited))} |"
        yield ""
    yield from ("## The formulas of GreenMachine", "", "As printed in {cite}`cortes2025greenfactory`.", "")
    for label, text in read_formulas("greenmachine").items():
        yield from ("```text", f"{label}:", text.strip(), "```", "")


def api(page: str) -> Iterator[str]:
    """Yield the automatic documentation of the modules of one page of the API."""
    for module in modules():
        if _page_of(module) == page:
            yield from (f"## {module}", "", "```{eval-rst}", f".. automodule:: {module}")
            yield from ("   :members:", f"   :exclude-members: {', '.join(SCIKIT_LEARN)}")
            yield from ("   :ignore-module-all:", "   :show-inheritance:", "```", "")


def modules() -> list[str]:
    """Return the names of all modules of zcp, in alphabetical order."""
    return sorted(["zcp", *(m.name for m in pkgutil.walk_packages(zcp.__path__, "zcp."))])


def _page_of(module: str) -> str:
    return next(p for p, names in API.items() if any(f"{module}.".startswith(f"{n}.") for n in names))

"""How zcp is built: the table of its rooms and the figure of its two ways, for a page of the book."""

from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc
from itertools import pairwise
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.pyplot import style, subplots

import zcp
from zcp.study.figures import STYLE, styled

# From the ground up: each imports those before it only.
ROOMS = (
    "kernels", "formulas", "statistics", "data", "spaces", "proxies", "scoring", "benchmarks", "collect",
    "golden", "ensemble", "analysis", "study", "cli",
)  # fmt: skip

# (what there is, which room makes the next of it and how).
Station = tuple[str, str]
# The ways by name.
WAYS: dict[str, tuple[Station, ...]] = {
    "from a string to a row of scores": (
        ("architecture\nstring or index", "spaces, data\nbuild, batches"),
        ("network\nand batches", "statistics\neach pass once"),
        ("activations,\ngradients, …", "proxies\none function each"),
        ("one value\na proxy", "scoring\nreasons, seconds"),
        ("Scores", "collect\nscore_row"),
        ("row\nof scores", ""),
    ),
    "from a row to a page": (
        ("rows of\nmany networks", "collect\nparts, Parquet"),
        ("data/scores/\n*/*.parquet", "benchmarks\naccuracies"),
        ("Examples", "ensemble\nfeatures, splits, fits"),
        ("predictions", "analysis\nmetrics, intervals"),
        ("data/results/\n*.json", "study\nnotebook, runner"),
        ("page\nof the book", ""),
    ),
}


def rooms() -> Iterator[str]:
    """Yield the table of rooms, from the ground up: what each is for, and how many files it has."""
    yield from ("| Room | What it is for | Files |", "|---|---|---:|")
    for room in ROOMS:
        module = import_module(f"zcp.{room}")
        purpose = (getdoc(module) or "").split("\n\n")[0].replace("\n", " ").replace("|", r"\|")
        folder = getattr(module, "__path__", None)
        files = 1 + sum(not m.ispkg for m in walk_packages(folder, f"zcp.{room}.")) if folder else 1
        yield f"| `{room}` | {purpose} | {files} |"
    rest = [m.name for m in iter_modules(zcp.__path__) if m.name not in ROOMS]
    yield from ("", f"Beside them: {', '.join(f'`{name}`' for name in rest)}.")


@styled
def plot_ways() -> Figure:
    """Draw both ways, a row each; boxes are what there is, the text on an arrow is the room that acts."""
    figure, axes = subplots(len(WAYS), 1, figsize=(11, 3.4))
    for axis, (name, stations) in zip(axes, WAYS.items(), strict=True):
        _plot_way(axis, stations)
        axis.set_title(name, loc="left")
    return figure


def _plot_way(axis: Axes, stations: tuple[Station, ...]) -> None:
    axis.set(xlim=(-0.5, len(stations) - 0.5), ylim=(-1, 1))
    axis.axis("off")
    box: dict[str, Any] = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "C0"}
    text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
    boxes = [axis.text(at, 0.35, what, bbox=box, **text) for at, (what, _) in enumerate(stations)]
    for at, (left, right) in enumerate(pairwise(boxes)):
        ends = {"patchA": left.get_bbox_patch(), "patchB": right.get_bbox_patch()}
        axis.annotate("", (at + 1, 0.35), (at, 0.35), arrowprops={"arrowstyle": "->", "color": "C1", **ends})
        axis.text(at + 0.5, -0.55, stations[at][1], color="C1", **text)


def write_ways(path: Path) -> None:
    """Write the figure as SVG, the same bytes each time."""
    with style.context(STYLE):
        plot_ways().savefig(path, format="svg", metadata={"Date": None})

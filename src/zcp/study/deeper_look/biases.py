"""What proxies prefer by themselves: rank correlation of each with size, depth and width, no accuracy."""

import time
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from zcp.analysis.bootstrap import correlate_usable
from zcp.analysis.scores import turn
from zcp.collect import load_scores, scores_digest, scores_path
from zcp.ensemble.features import proxy_columns
from zcp.spaces.cells import EDGES
from zcp.spaces.sss import parse_widths
from zcp.spaces.tss import parse_cell
from zcp.study.agreement import agree
from zcp.study.results import Deposit
from zcp.versions import versions

KEYS = ["proxy", "space", "dataset", "property"]
CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")


def depth(arch: str) -> int:
    """Return the most convolutions on a path through a cell of the topology space; 0 without any path."""
    longest: dict[int, float] = {0: 0}
    for (source, node), operation in zip(EDGES, parse_cell(arch), strict=True):
        if operation != "none" and source in longest:
            length = longest[source] + (operation in CONVOLUTIONS)
            longest[node] = max(longest.get(node, 0), length)
    return int(longest.get(3, 0))


def cell_width(arch: str) -> int:
    """Return how many operations leave the input of a cell and lead to its output, 0 to 3."""
    live = [edge for edge, operation in zip(EDGES, parse_cell(arch), strict=True) if operation != "none"]
    useful = {3}
    for source, node in reversed(live):
        if node in useful:
            useful.add(source)
    return sum(source == 0 and node in useful for source, node in live)


def properties(table: pd.DataFrame) -> pd.DataFrame:
    """Return params, depth and width of each row of a table of scores of one space.

    In the topology space depth and width are those of the cell; in the size space the width is the mean of
    the five channel counts, and the depth is the same for all.
    """
    if table["space"].iloc[0] == "tss":
        found = {"depth": table["arch"].map(depth), "width": table["arch"].map(cell_width)}
    else:
        widths = table["arch"].map(lambda arch: float(np.mean(parse_widths(arch))))
        found = {"depth": pd.Series(1.0, table.index), "width": widths}
    return pd.DataFrame({"params": table["params"], **found}, index=table.index).astype(float)


def correlate(table: pd.DataFrame) -> pd.DataFrame:
    """Correlate every proxy of a scores table with the properties of its networks.

    Returns:
        proxy, space, dataset, property, spearman (NaN where the property or proxy is constant), n, left_out
        (scores that are not usable).
    """
    rows: list[dict[str, Any]] = []
    for (space, dataset), part in table.groupby(["space", "dataset"], sort=False):
        facts, scores = properties(part), turn(part[proxy_columns(part)])
        for proxy, name in product(scores, facts):
            row = {"proxy": proxy, "space": space, "dataset": dataset, "property": name}
            rows.append(row | correlate_usable(scores[proxy], facts[name]))
    return pd.DataFrame(rows, columns=[*KEYS, "spearman", "n", "left_out"])


def study(scores: str) -> Deposit:
    """Return the deposit `biases`, with the table that `correlate` returns."""
    start = time.perf_counter()
    found = correlate(load_scores(scores))
    made: dict[str, Any] = {"scores": scores_path(scores).name, "scores_sha256": scores_digest(scores)}
    made["versions"] = versions()
    made["seconds"] = round(time.perf_counter() - start, 1)
    return Deposit("biases", {}, {"biases": found}, made)


def check(scores: str, deposit: Deposit) -> pd.DataFrame:
    """Compare the correlations computed now with the deposited ones.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    live, counts = correlate(load_scores(scores)), ["n", "left_out"]
    return agree(live, deposit, "biases", keys=KEYS, measured=["spearman"], exact=counts)


def arrange(found: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return one dataset's correlations, proxies as rows, `space property` as columns; constants left out."""
    mine = found[found["dataset"] == dataset].dropna(subset="spearman")
    named = mine.assign(cell=mine["space"] + " " + mine["property"])
    wide = named.pivot(index="proxy", columns="cell", values="spearman").rename_axis(columns=None)
    return wide[list(dict.fromkeys(named["cell"]))]

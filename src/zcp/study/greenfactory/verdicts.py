"""What the outer test parts say: means over splits with their intervals, and what ranks better."""

from typing import Any

import pandas as pd

from zcp.analysis.over_splits import interval_over_splits
from zcp.ensemble.measured import DESCRIBED, TO_BEAT
from zcp.ensemble.splits import TEST_TO_SEEN
from zcp.study.results import Deposit

CELL = ["space", "dataset"]
#: Measure -> the least and the largest value that it can have.
RANGES = {"kendall": (-1.0, 1.0), "rmse": (0.0, float("inf"))}


def with_mean(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells, and for each split their mean: space and dataset `all`."""
    whole = cells.drop(columns=CELL).groupby(["name", "seed"], sort=False).mean().reset_index()
    return pd.concat([cells, whole.assign(space="all", dataset="all")], ignore_index=True)


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over the splits, for each name and cell, and for the mean of the cells.

    Returns:
        name, space, dataset, n (test rows of a split), splits, every measure, and `<measure>_low` and
        `<measure>_high` of those in `RANGES`: the 95 percent interval of the mean over splits.
    """
    rows = []
    measures = [str(column) for column in cells if column not in ("name", "seed", *CELL)]
    for key, mine in with_mean(cells).groupby(["name", *CELL], sort=False):
        row: dict[str, Any] = dict(zip(["name", *CELL], key, strict=True))
        row |= {"splits": len(mine), **{measure: mine[measure].mean() for measure in measures}}
        for measure, bounds in RANGES.items():
            low, high = interval_over_splits(mine[measure], TEST_TO_SEEN, *bounds)
            row |= {f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def compare(cells: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return how much better these names rank than every other, split by split.

    Returns:
        name, over, space, dataset, difference (of Kendall's correlation), low, high (95 percent interval of
        its mean over splits), verdict (`better` or `worse` where the interval says so, else `open`).
    """
    rows, wide = [], with_mean(cells).pivot(index=[*CELL, "seed"], columns="name", values="kendall")
    for name in names:
        for other in wide.columns.drop(name):
            for key, mine in (wide[name] - wide[other]).groupby(CELL, sort=False):
                low, high = interval_over_splits(mine, TEST_TO_SEEN, -2.0, 2.0)
                verdict = "better" if low > 0 else "worse" if high < 0 else "open"
                row = {"name": name, "over": other, **dict(zip(CELL, key, strict=True))}
                row |= {"difference": mine.mean(), "low": low, "high": high, "verdict": verdict}
                rows.append(row)
    return pd.DataFrame(rows).dropna(subset="difference")


def read_measured(deposit: Deposit, name: str) -> dict[str, Any]:
    """Return what the card of a shipped ensemble says it is worth; see `zcp.ensemble.measured.Measured`."""
    summary, covered = deposit.tables["summary"], deposit.tables["coverage"]
    summary = summary[summary["space"] != "all"]
    covered = covered[covered["name"] == name]
    cells = [
        _measured_cell(own, covered[(covered[CELL] == list(cell)).all(axis=1)], name)
        for cell, own in summary.groupby(CELL)
    ]
    settings, made = deposit.settings, deposit.provenance
    return {
        "deposit": deposit.name, "scheme": settings["scheme"], "splits": len(settings["seeds"]),
        "trials": settings["trials"], "rows": made["rows"], "scores_sha256": made["scores_sha256"],
        "cells": cells,
    }  # fmt: skip


def _measured_cell(cell: pd.DataFrame, covered: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return what was measured in a cell, from its rows of the summary and an ensemble's of the coverage."""
    rows = cell.set_index("name").to_dict("index")
    row, taus = rows[name], {other: found["kendall"] for other, found in rows.items()}
    bounds = [f"{measure}{end}" for measure in RANGES for end in ("", "_low", "_high")]
    levels = covered.groupby("level")[["coverage", "n"]].mean().reset_index()
    return {
        "space": str(row["space"]),
        "dataset": str(row["dataset"]),
        "n": round(row["n"]),
        **{key: float(row[key]) for key in ("inside", *bounds)},
        "coverage": [
            {"level": float(each["level"]), "coverage": float(each["coverage"]), "n": round(each["n"])}
            for each in levels.to_dict("records")
        ],
        "baselines": {name: float(taus[name]) for name in ("params", *TO_BEAT, DESCRIBED) if name in taus},
    }

"""What the cells of an evaluation say together: means over seeds and over cells, with intervals; tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from zcp.analysis.bootstrap import interval
from zcp.analysis.metrics import SEARCH

#: Without leaks, and the paper's protocol in both readings: networks are split, or rows.
SCHEMES = ("isomorphic", "grouped", "random", "stratified_grouped", "stratified")
CELL = ["space", "dataset"]
RANKS = ["abs_kendall", "abs_spearman"]
METRICS = [*RANKS, "rmse"]


def summarise(cells: pd.DataFrame, alone: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return means over seeds per scheme, name and cell, with intervals.

    Args:
        cells: of test rows, with resamples where intervals are wanted.
        alone: proxies over all rows, see `measure_alone`, with the column scheme.

    Returns:
        scheme, name, space, dataset, those of `METRICS` and `SEARCH`, abs_kendall_std (over the seeds of an
        ensemble), n (test rows), failed, seeds, rows (that the rank correlations are over),
        `<metric>_low` and `<metric>_high` (95 percent interval of the mean over seeds, by the bootstrap over
        architectures, or over their isomorphism classes where these are split). Rank correlations of proxies
        are those of `alone`, which no seed splits.
    """
    keys = ["scheme", "name", *CELL]
    means = {metric: (metric, "mean") for metric in [*METRICS, *SEARCH]}
    counts = {"n": ("n", "mean"), "failed": ("failed", "mean"), "seeds": ("seed", "nunique")}
    groups = cells.groupby(keys, sort=False)
    table = groups.agg(**means, abs_kendall_std=("abs_kendall", "std"), **counts).reset_index()
    table["rows"] = table["n"]
    if alone is None:
        return table
    found = pd.concat([cells[cells["resampled"].notna()], alone])
    bounds = pd.DataFrame(
        {**dict(zip(keys, key, strict=True)), **_bounds(block)}
        for key, block in found.groupby(keys, sort=False)["resampled"]
    )
    table = table.set_index(keys)
    table.update(alone.set_index(keys)[[*RANKS, "rows"]])
    split_free = pd.MultiIndex.from_frame(alone[keys])
    table.loc[table.index.isin(split_free), "abs_kendall_std"] = np.nan
    return table.reset_index().merge(bounds, on=keys, how="left", validate="1:1")


def average_cells(cells: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    """Return means over cells and seeds with the interval of their dependent cells.

    Returns:
        scheme, name, metric (`METRICS`), mean, low, high; the architecture's rows in all cells were drawn
        together.
    """
    found, rows = pd.concat([cells[cells["resampled"].notna()], alone]), []
    for (scheme, name), block in found.groupby(["scheme", "name"], sort=False):
        for metric in [metric for metric in METRICS if block[metric].notna().all()]:
            drawn = np.array([each[metric] for each in block["resampled"]])
            low, high = interval(drawn.mean(axis=0))
            row = {"scheme": scheme, "name": name, "metric": metric, "mean": block[metric].mean()}
            rows.append(row | {"low": low, "high": high})
    return pd.DataFrame(rows)


def _bounds(resampled: pd.Series) -> dict[str, float]:
    """Return `<metric>_low` and `<metric>_high` of the mean over seeds."""
    found = {metric: np.array([each[metric] for each in resampled]) for metric in resampled.iloc[0]}
    ends = {metric: interval(values.mean(axis=0)) for metric, values in found.items()}
    return {
        f"{metric}_{end}": v
        for metric, pair in ends.items()
        for end, v in zip(("low", "high"), pair, strict=True)
    }


def arrange(summary: pd.DataFrame, scheme: str, metric: str = "abs_kendall") -> pd.DataFrame:
    """Return one metric under one scheme, names as rows and cells (`space dataset`) as columns."""
    mine = summary[summary["scheme"] == scheme]
    named = mine.assign(cell=mine["space"] + " " + mine["dataset"])
    return named.pivot(index="name", columns="cell", values=metric)


def compare_schemes(summary: pd.DataFrame, names: Sequence[str], metric: str = "abs_kendall") -> pd.DataFrame:
    """Return one metric of these names under every scheme: name, split, one column a cell, mean."""
    blocks = [arrange(summary, scheme, metric).loc[list(names)] for scheme in SCHEMES]
    table = pd.concat(blocks, keys=SCHEMES, names=["split"])
    table = table.assign(mean=table.mean(axis=1)).reset_index()
    return table.sort_values("name", key=lambda column: column.map(list(names).index), kind="stable")

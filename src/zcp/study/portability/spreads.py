"""How far values spread over runs on moved inputs and under other processors' settings."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from zcp.paths import RESULTS
from zcp.study import results
from zcp.study.agreement import FACTOR, SPREADS, read_spreads
from zcp.study.results import Deposit
from zcp.versions import versions

#: What names a value of a run, and what names the values that share a spread.
ROW = ["deposit", "table", "group", "key", "quantity"]
GROUP = ["deposit", "table", "quantity", "group"]


def spread_of(plain: pd.DataFrame, others: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the largest deviation of each group's measured values from the plain run: `GROUP` and spread.

    A value that is finite in some of the runs only has an infinite spread.
    """
    base = plain[~plain["basis"].isin(["exact", "golden"])].set_index(ROW)["live"].astype(float)
    spread = pd.Series(0.0, base.index)
    for other in others:
        mine = other.set_index(ROW)["live"].astype(float)
        there = base.index[base.index.isin(mine.index)]
        live, was = mine[there], base[there]
        same = (live == was) | (live.isna() & was.isna())
        spread[there] = np.maximum(spread[there], (live - was).abs().fillna(np.inf).where(~same, 0.0))
    table = spread.rename("spread").reset_index()
    return table.groupby(GROUP, sort=False)["spread"].max().reset_index()


def moved_choices(plain: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Return a line for each exact value that is another one in another run."""
    base = plain[plain["basis"] == "exact"].set_index(ROW)["live"].astype(float)
    live = other.set_index(ROW)["live"].astype(float).reindex(base.index).fillna(base)
    return [f"{' '.join(row)}: {base[row]:g}, then {live[row]:g}" for row in base.index[live != base]]


def write_spreads(spreads: pd.DataFrame, folder: Path = RESULTS) -> Path:
    """Put spreads (columns `SPREADS`) into the deposit `portability`; those of other values stay."""
    known = read_spreads(folder)
    kept = known[~known.set_index(GROUP).index.isin(spreads.set_index(GROUP).index)]
    both = [table for table in (kept, spreads[SPREADS]) if len(table)]
    table = pd.concat(both, ignore_index=True).sort_values(GROUP, ignore_index=True)
    table["spread"] = [float(f"{value:.2e}") for value in table["spread"]]
    made = Deposit("portability", {"factor": FACTOR}, {"spreads": table}, {"versions": versions()})
    path = results.write(made, folder)
    read_spreads.cache_clear()
    return path


def measure_spreads(
    plain: pd.DataFrame, moved: Sequence[pd.DataFrame], played: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Return the spreads (`SPREADS`) over runs on moved inputs and under settings, and how many each saw."""
    spreads = spread_of(plain, [*moved, *played])
    for name, runs in (("perturbations", moved), ("settings", played)):
        seen = [set(run[GROUP].itertuples(index=False, name=None)) for run in runs]
        rows = list(spreads[GROUP].itertuples(index=False, name=None))
        spreads[name] = [sum(row in groups for groups in seen) for row in rows]
    return spreads

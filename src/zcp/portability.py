"""What rounding decides: the study on moved inputs, and under the settings of other processors.

`zcp portable` runs every live check on inputs that are moved by one unit in the last place, and under each
setting the checks that run networks, the golden values and the tests that compare numbers. It ends with 1 where
a compared quantity leaves its tolerance. `--write` measures the spreads that the tolerances are made of.

A setting reaches PyTorch (ATen, oneDNN, MKL) and, in `oldest`, numpy; trees and least squares run in
scikit-learn and OpenBLAS, which none of the others reaches: `oldest` runs all checks.
"""

import os
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from zcp import results
from zcp.agreement import SPREADS, read_spreads
from zcp.live_checks import live_checks, run_check
from zcp.paths import RESULTS, RUNS
from zcp.provenance import versions
from zcp.results import Deposit
from zcp.ulps import moved_inputs

#: Seeds of the moves that spreads are measured with, and of one that the command tries the tolerances on.
SEEDS, FRESH = (1, 2, 3), 11
ROW = ["deposit", "table", "group", "key", "quantity"]
GROUP = ["deposit", "table", "quantity", "group"]
WORK = RUNS / "portability"


class Setting(NamedTuple):
    """The environment of another processor, and the instructions that this one needs to play it."""

    variables: dict[str, str]
    needs: str = ""


OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "AVX2,FMA3,AVX512F,AVX512CD,AVX512_SKX,AVX512_CLX,AVX512_CNL,AVX512_ICL",
}
SETTINGS = {
    "oldest": Setting(OLDEST, "sse4_2"),
    "ATen default": Setting({"ATEN_CPU_CAPABILITY": "default"}),
    "ATen avx2": Setting({"ATEN_CPU_CAPABILITY": "avx2"}, "avx2"),
    "oneDNN SSE41": Setting({"ONEDNN_MAX_CPU_ISA": "SSE41"}, "sse4_1"),
    "oneDNN AVX2": Setting({"ONEDNN_MAX_CPU_ISA": "AVX2"}, "avx2"),
    "MKL SSE4_2": Setting({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}, "sse4_2"),
    "MKL AVX2": Setting({"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, "avx2"),
    "MKL compatible": Setting({"MKL_CBWR": "COMPATIBLE"}),
    "one thread": Setting({"OMP_NUM_THREADS": "1"}),
    "two threads": Setting({"OMP_NUM_THREADS": "2"}),
}


class Run(NamedTuple):
    """One process: the checks on inputs moved with a seed (0: as they are), under a setting."""

    name: str
    seed: int
    variables: dict[str, str]
    networks_only: bool = False


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Return the instruction sets that this processor has, as Linux names them; none elsewhere."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.split(":")[1].split()}


def usable_settings(flags: set[str]) -> tuple[dict[str, Setting], list[str]]:
    """Return the settings that a processor with these instruction sets can execute, and the others' names."""
    able = {
        name: setting for name, setting in SETTINGS.items() if not setting.needs or setting.needs in flags
    }
    return able, [name for name in SETTINGS if name not in able]


def run_values(seed: int, networks_only: bool, folder: Path, names: Sequence[str] = ()) -> None:
    """Write the values of every live check in this process (`zcp.live_checks.run_check`), a file a check.

    Args:
        seed: of the moves of the inputs; 0 moves nothing.
        networks_only: whether checks that run no network are left out.
        folder: where to; a check whose file is there is not run again.
        names: of checks; all where empty.
    """
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for check in live_checks():
        path = folder / f"{check.name}.parquet"
        left_out = (networks_only and not check.networks) or (names and check.name not in names)
        if left_out or path.is_file():
            continue
        start = time.perf_counter()
        with moved_inputs(seed) if seed else nullcontext():
            found = run_check(check)
        unfinished = path.with_suffix(".tmp")
        found.to_parquet(unfinished)
        unfinished.replace(path)
        missed, seconds = sum(v is False for v in found["agrees"]), time.perf_counter() - start
        print(f"  {check.name:<24}{len(found):>6} values {missed:>5} disagree {seconds:6.1f} s", flush=True)


def read_values(folder: Path) -> pd.DataFrame:
    """Return what `run_values` wrote."""
    parts = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*ROW, "live", "origin"])


def spread_of(plain: pd.DataFrame, others: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the largest deviation of each group's measured values from the plain run: `GROUP` and spread.

    A value that is finite in some of the runs only has an infinite spread.
    """
    base = plain[plain["origin"] != "exact"].set_index(ROW)["live"].astype(float)
    spread = pd.Series(0.0, base.index)
    for other in others:
        mine = other.set_index(ROW)["live"].astype(float)
        there = base.index[base.index.isin(mine.index)]
        live, was = mine[there], base[there]
        same = (live == was) | (live.isna() & was.isna())
        spread[there] = np.maximum(spread[there], (live - was).abs().fillna(np.inf).where(~same, 0.0))
    table = spread.rename("spread").reset_index()
    return table.groupby(GROUP, as_index=False, sort=False)["spread"].max()


def moved_choices(plain: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Return a line for each exact value that is another one in another run."""
    base = plain[plain["origin"] == "exact"].set_index(ROW)["live"].astype(float)
    live = other.set_index(ROW)["live"].astype(float).reindex(base.index).fillna(base)
    return [f"{' '.join(row)}: {base[row]:g}, then {live[row]:g}" for row in base.index[live != base]]


def write_spreads(spreads: pd.DataFrame, folder: Path = RESULTS) -> Path:
    """Put spreads (columns `SPREADS`) into the deposit `portability`, in place of those of the same values."""
    known = read_spreads(folder)
    kept = known[~known.set_index(GROUP).index.isin(spreads.set_index(GROUP).index)]
    both = [table for table in (kept, spreads[SPREADS]) if len(table)]
    table = pd.concat(both, ignore_index=True).sort_values(GROUP, ignore_index=True)
    table["spread"] = [float(f"{value:.2e}") for value in table["spread"]]
    facts = {"seeds": list(SEEDS), "settings": list(SETTINGS)}
    path = results.write(Deposit("portability", facts, {"spreads": table}, {"versions": versions()}), folder)
    read_spreads.cache_clear()
    return path


def _worker(arguments: Sequence[str]) -> None:
    """Write the values of a run: SEED all|networks FOLDER [CHECK...]."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    seed, which, folder, *names = arguments
    run_values(int(seed), which == "networks", Path(folder), names)


if __name__ == "__main__":
    _worker(sys.argv[1:])

"""What rounding decides: the study on moved inputs, and under the settings of other processors.

`zcp portable` runs every live check on inputs that are moved by one unit in the last place, and under each
setting the checks that run networks, the golden values among them, and the tests that compare numbers. It
ends with 1 where a compared quantity leaves its tolerance. `--write` measures the spreads that tolerances are
made of.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from zcp.paths import PROJECT, RUNS
from zcp.study.agreement import PARTS, UNMEASURED
from zcp.study.portability.live_checks import live_checks, run_check
from zcp.study.portability.processors import SETTINGS, cpu_flags, usable_settings
from zcp.study.portability.spreads import ROW, measure_spreads, moved_choices, write_spreads
from zcp.study.ulps import moved_inputs

#: Seeds of the moves that spreads are measured with, and of one that the command tries the tolerances on.
SEEDS, FRESH = (1, 2, 3, 5, 7, 11, 23, 31), 41
WORK = RUNS / "portability"


class Run(NamedTuple):
    """One process: the checks on inputs moved with a seed (0: as they are), under a setting."""

    name: str
    seed: int = 0
    variables: Mapping[str, str] = MappingProxyType({})
    everything: bool = True

    @property
    def folder(self) -> Path:
        return WORK / self.name.replace(" ", "_")


class Outcome(NamedTuple):
    """What became of a run: how many values it has, and a line for each that left its tolerance."""

    name: str
    step: str
    values: int
    decided: int
    misses: list[str]
    seconds: float


def run_values(seed: int, networks_only: bool, folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Write the values of every live check in this process, a file a check; see `run_check`.

    Args:
        seed: of the moves of the inputs; 0 moves nothing.
        networks_only: whether checks that run no network are left out.
        folder: where to; a check whose file is there is not run again.
        names: of checks; all where empty.

    Returns:
        The names of the checks that crashed; each has a line in the output.
    """
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for check in live_checks():
        path = folder / f"{check.name}.parquet"
        left_out = (networks_only and not check.networks) or (names and check.name not in names)
        if left_out or path.is_file():
            continue
        start = time.perf_counter()
        try:
            with moved_inputs(seed) if seed else nullcontext():
                found = run_check(check)
        except Exception as error:  # the others still run; the exit code tells
            print(f"FAILED {check.name}: {type(error).__name__}: {error}", flush=True)
            failed.append(check.name)
            continue
        unfinished = path.with_suffix(".tmp")
        found.astype({"agrees": object}).to_parquet(unfinished)
        unfinished.replace(path)
        missed, seconds = sum(v is False for v in found["agrees"]), time.perf_counter() - start
        print(f"  {check.name:<24}{len(found):>6} values {missed:>5} disagree {seconds:6.1f} s", flush=True)
    return failed


def read_values(folder: Path) -> pd.DataFrame:
    """Return what `run_values` wrote."""
    parts = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*ROW, *PARTS, "live"])


def check_portability(write: bool = False, say: Callable[[str], None] = print) -> list[Outcome]:
    """Run everything, two processes at a time, and return what became of it; see the module.

    Args:
        write: measure the spreads anew and write the deposit `portability`. What an interrupted
            measurement kept is used.
        say: what prints a line of progress.
    """
    able, unable = usable_settings(cpu_flags())
    for name in unable:
        say(f"skipped: {name} (this processor lacks {SETTINGS[name].needs}, or has nothing beyond)")
    played = [Run(name, 0, each.variables, name == "oldest") for name, each in able.items()]
    moved = [Run(f"moved {seed}", seed) for seed in (SEEDS if write else (FRESH,))]
    runs = [*([Run("as it is")] if write else []), *moved, *played]
    if not write:
        shutil.rmtree(WORK, ignore_errors=True)
    # Golden values have tolerances of their own, so that no spread of theirs is needed.
    names = [check.name for check in live_checks() if not check.name.startswith("golden")] if write else []
    compute = partial(_compute, names=names)
    # Tests run on one thread in any case.
    steps = [(run, compute) for run in runs] + (
        [] if write else [(run, _test) for run in played if "OMP_NUM_THREADS" not in run.variables]
    )
    outcomes = []
    with ThreadPoolExecutor(2) as pool:
        for done in as_completed(pool.submit(step, run) for run, step in steps):
            outcomes.append(done.result())
            say(_line(outcomes[-1]))
    if write:
        plain, *others = (read_values(run.folder) for run in runs)
        write_spreads(measure_spreads(plain, others[: len(moved)], others[len(moved) :]))
        outcomes = [
            Outcome(run.name, "choices", len(other), 0, moved_choices(plain, other), 0.0)
            for run, other in zip(runs[1:], others, strict=True)
        ]
        shutil.rmtree(WORK)
    return outcomes


def _compute(run: Run, names: Sequence[str] = ()) -> Outcome:
    """Compute the values of a run, of all checks or of those named, in a process of its own."""
    start = time.perf_counter()
    which = "all" if run.everything else "networks"
    command = [
        sys.executable,
        "-m",
        "zcp.study.portability.runs",
        str(run.seed),
        which,
        str(run.folder),
        *names,
    ]
    log, failed = _execute(command, run)
    found = read_values(run.folder)
    wrong = found[[value is False for value in found["agrees"]]] if len(found) else found
    misses = [
        f"{row.deposit} {row.quantity} of {row.key}: {row.live:.6g}, not {row.deposited:.6g} "
        f"(tolerance {row.tolerance:.2g})"
        for row in wrong.itertuples()
    ]
    bare = found[found["basis"].eq(UNMEASURED)]
    misses += [f"{row.deposit} {row.quantity} of {row.key}: {UNMEASURED}" for row in bare.itertuples()]
    lines = [line for line in log.read_text().splitlines() if line.startswith("FAILED")]
    misses += (lines or [f"ended with {failed}, see {log}"]) if failed else []
    decided = int(found["agrees"].isna().sum()) if len(found) else 0
    return Outcome(run.name, "live checks", len(found), decided, misses, time.perf_counter() - start)


def _test(run: Run) -> Outcome:
    """Run the tests that compare numbers."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-m", "numerical and not slow", "-p", "no:cacheprovider"]
    log, failed = _execute([*command, str(PROJECT / "tests")], run)
    lines = [line for line in log.read_text().splitlines() if line.startswith(("FAILED", "ERROR"))]
    misses = (lines or [f"pytest ended with {failed}, see {log}"]) if failed else []
    counted = re.findall(r"(\d+) passed", log.read_text())
    passed = int(counted[-1]) if counted else 0
    return Outcome(run.name, "tests", passed, 0, misses, time.perf_counter() - start)


def _execute(command: Sequence[str], run: Run) -> tuple[Path, int]:
    """Run a command under a setting; return its log and its exit code."""
    run.folder.mkdir(parents=True, exist_ok=True)
    log = run.folder / f"{command[2]}.log"
    surroundings = {"OMP_NUM_THREADS": "1", **os.environ, **run.variables}
    with log.open("w") as file:
        done = subprocess.run(
            command, env=surroundings, cwd=PROJECT, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    return log, done.returncode


def _line(outcome: Outcome) -> str:
    state = f"{len(outcome.misses)} MISSES" if outcome.misses else "ok"
    decided = f"{outcome.decided} decided by rounding" if outcome.decided else ""
    return (
        f"{outcome.name:<16}{outcome.step:<12}{outcome.values:>6} compared  {outcome.seconds:6.0f} s  "
        f"{state} {decided}".rstrip()
    )


def summarise(outcomes: Sequence[Outcome]) -> str:
    """Return the table of the outcomes, and under it the first misses of each."""
    lines = [_line(outcome) for outcome in outcomes]
    for outcome in outcomes:
        lines += [f"{outcome.name}: {miss}" for miss in outcome.misses[:10]]
    return "\n".join(lines)


def _worker(arguments: Sequence[str]) -> None:
    """Write the values of a run, and end with 1 if a check crashed: SEED all|networks FOLDER [CHECK...]."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    seed, which, folder, *names = arguments
    sys.exit(bool(run_values(int(seed), which == "networks", Path(folder), names)))


if __name__ == "__main__":
    _worker(sys.argv[1:])

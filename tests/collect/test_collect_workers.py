import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import collecting
import psutil
import pytest
from collecting import SETTINGS, units

from zcp.collect.run import _score
from zcp.collect.workers import THREADS, Failure, Pool, attempt
from zcp.errors import InputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ZCP_TEST_FOLDER", str(tmp_path))
    return tmp_path


def task(scorer):
    return partial(_score, scorer=scorer, settings=SETTINGS, device="cpu")


def run(scorer, count=8, workers=2, **options):
    return dict(Pool(workers, **options).outcomes(task(scorer), units(count)))


@pytest.mark.slow
def test_dead_workers_are_replaced_until_a_network_has_killed_three(folder):
    found = run(collecting.deadly_row)
    assert set(found) == set(units(8))
    once, often = (sorted(p.name for p in folder.glob(f"{index}-*")) for index in (3, 5))
    assert len(once) == 2
    assert once[0].split("-")[2] != once[1].split("-")[2], "scored by the process that died?"
    assert len(often) == 3
    failures = {unit: result for unit, result in found.items() if isinstance(result, Failure)}
    assert failures == {units(8)[5]: Failure("its worker was killed by SIGKILL", may_pass=True)}


def test_an_exception_is_tried_again_then_told(folder):
    found = run(collecting.faulty_row, count=4, workers=1)
    assert found[units(4)[2]] == Failure("RuntimeError: no luck with 2")
    assert found[units(4)[1]]["index"] == 1
    assert len(list(folder.glob("2-*"))) == 3


def test_out_of_memory_halves_the_networks_at_once(folder, capfd):
    found = run(collecting.greedy_row, count=12, workers=5)
    assert set(found) == set(units(12))
    assert not [result for result in found.values() if isinstance(result, Failure)]
    told = capfd.readouterr().err
    assert told.count("out of memory") == 1
    assert "out of memory with 5 networks at once; going on with 2" in told


def test_a_network_that_needs_all_memory_is_told(folder):
    found = run(collecting.too_large_row, count=2, workers=2)
    assert found[units(2)[0]].may_pass and "allocate memory" in found[units(2)[0]].reason
    assert found[units(2)[1]]["index"] == 1
    assert len(list(folder.glob("0-*"))) in (3, 4)


@pytest.mark.slow
def test_a_worker_that_stands_still_is_ended_and_its_network_asked_again(folder):
    found = run(collecting.standing_row, count=6, patience=5.0)
    assert not [result for result in found.values() if isinstance(result, Failure)]
    assert len({path.name.split("-")[2] for path in folder.glob("3-*")}) == 2


def test_a_worker_that_always_stands_still_is_told(folder, monkeypatch):
    monkeypatch.setattr("zcp.collect.workers.PATIENCE", 0.5)
    outcomes = Pool(1, patience=0.5).outcomes(collecting.NeverUnpickled(), units(1))
    with pytest.raises(InputError, match=r"3 workers in a row died .* stood still for 0 seconds"):
        list(outcomes)


def test_failure_is_what_an_attempt_gives():
    assert attempt(collecting.always_faulty_row, units(1)[0]) == Failure("RuntimeError: nothing works")
    assert isinstance(attempt(collecting.refusing_row, units(1)[0]), InputError)


def test_bad_input_stops_everything():
    with pytest.raises(InputError, match="the images here are others"):
        run(collecting.refusing_row, workers=1)


def test_workers_that_cannot_start_are_not_hired_for_ever():
    with pytest.raises(InputError, match=r"3 workers in a row died .*was killed by SIGKILL"):
        list(Pool(1).outcomes(collecting.DiesWhenUnpickled(), units(2)))


def test_ctrl_c_does_not_reach_workers_that_still_start():
    before = signal.getsignal(signal.SIGINT)
    found = dict(Pool(1).outcomes(collecting.InterruptedWhenUnpickled(), units(1)))
    assert found[units(1)[0]]["index"] == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_closing_stops_the_workers_and_leaves_the_environment():
    before = {name: os.environ.get(name) for name in THREADS}
    outcomes = Pool(2).outcomes(task(collecting.slow_row), units(500))
    next(outcomes)
    workers = psutil.Process().children()
    assert len([w for w in workers if "spawn_main" in " ".join(w.cmdline())]) == 2
    outcomes.close()
    assert not [w for w in psutil.Process().children() if "spawn_main" in " ".join(w.cmdline())]
    assert {name: os.environ.get(name) for name in THREADS} == before


def start_pool(pool, count):
    code = (
        "from test_collect_workers import *\n"
        "if __name__ == '__main__':\n"
        f"    for _, row in {pool}.outcomes(task(collecting.slow_row), units({count})):\n"
        "        print(isinstance(row, Failure), flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_pause_of_the_whole_group_is_no_standing_still(folder):
    process = start_pool("Pool(2, patience=20.0)", 40)
    process.stdout.readline()
    workers = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(25)
    os.killpg(process.pid, signal.SIGCONT)
    process.stdout.readline()
    assert {child.pid for child in psutil.Process(process.pid).children(recursive=True)} == workers
    out, _ = process.communicate(timeout=300)
    assert out == b"False\n" * 38


def test_workers_end_when_their_collector_is_killed():
    process = start_pool("Pool(2)", 500)
    process.stdout.readline()
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(w.is_running() and w.status() != "zombie" for w in workers):
        time.sleep(0.1)
    assert not [w for w in workers if w.is_running() and w.status() != "zombie"]


def test_no_workers_are_refused():
    with pytest.raises(InputError, match="--workers must be 1 or more, not 0"):
        Pool(0)

import json
import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace

import collecting
import numpy as np
import pandas as pd
import pytest
from collecting import SETTINGS, units

import zcp.collect.parts as parts
from zcp.collect.parts import list_parts, load_scores
from zcp.collect.run import Writer, collect
from zcp.collect.settings import Origin
from zcp.collect.workers import Failure, attempt
from zcp.errors import InputError


class Inline:
    """An executor in this process, which remembers what it was asked to do."""

    def __init__(self):
        self.asked = []

    def environments(self, device):
        return [{"device": device}]

    def outcomes(self, function, tasks):
        self.asked = list(tasks)
        for task in tasks:
            result = attempt(function, task)
            if isinstance(result, InputError):
                raise result
            yield task, result


def gather(folder, count, scorer=collecting.fake_row, settings=SETTINGS, executor=None):
    return collect(folder, units(count), settings, executor or Inline(), scorer=scorer, progress=False)


def without_times(folder):
    frame = load_scores(folder)
    return frame[[column for column in frame if not column.startswith("seconds_")]]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(*indices):
    return [collecting.fake_row("sss", index, "cifar10", SETTINGS) for index in indices]


def test_a_collection_is_extended_and_never_repeated(tmp_path):
    folder = tmp_path / "a"
    gather(folder, 4)
    before = contents(folder)
    again = Inline()
    gather(folder, 9, executor=again)
    assert again.asked == units(9)[4:]
    after = contents(folder)
    assert len(after) == 2 and before.items() <= after.items()
    gather(folder, 9, executor=again)
    assert contents(folder) == after
    whole = gather(tmp_path / "b", 9)
    pd.testing.assert_frame_equal(without_times(folder), without_times(whole))
    assert load_scores(folder).attrs == load_scores(whole).attrs


def test_other_settings_do_not_even_begin(tmp_path):
    gather(tmp_path, 2)
    before, executor = contents(tmp_path), Inline()
    with pytest.raises(InputError, match="batch: 4 against 64"):
        gather(tmp_path, 5, settings=replace(SETTINGS, batch=64), executor=executor)
    assert executor.asked == []
    assert contents(tmp_path) == before


def test_a_damaged_part_stops_the_collection_and_stays(tmp_path):
    gather(tmp_path, 2)
    (part,) = list_parts(tmp_path)
    part.write_bytes(part.read_bytes()[:-1])
    before = contents(tmp_path)
    with pytest.raises(InputError, match="is damaged"):
        gather(tmp_path, 5)
    assert contents(tmp_path) == before


def test_an_error_in_the_middle_keeps_what_was_computed(tmp_path):
    def scorer(space, index, *rest):
        if index == 3:
            raise InputError("no images")
        return collecting.fake_row(space, index, *rest)

    with pytest.raises(InputError, match="no images"):
        gather(tmp_path, 6, scorer)
    assert len(load_scores(tmp_path)) == 3


def test_a_part_is_written_by_age_and_by_size(tmp_path, monkeypatch):
    for limit in ("PART_SECONDS", "PART_ROWS"):
        with monkeypatch.context() as patch:
            patch.setattr(f"zcp.collect.run.{limit}", 0)
            with Writer(tmp_path / limit, Origin(SETTINGS)) as writer:
                for number, row in enumerate(rows(0, 1, 2), start=1):
                    writer.add(row)
                    assert len(load_scores(tmp_path / limit)) == number == len(list_parts(tmp_path / limit))


@pytest.mark.parametrize("when", ["fsync", "open", "after"])
def test_a_signal_while_a_part_is_written_loses_and_doubles_nothing(tmp_path, monkeypatch, when):
    def interrupt(*arguments, **_options):
        monkeypatch.undo()
        if when == "after":
            parts.write_part(*arguments)
        raise SystemExit(143)

    with pytest.raises(SystemExit), Writer(tmp_path, Origin(SETTINGS)) as writer:
        writer.add(rows(0)[0])
        name = "zcp.collect.run.write_part" if when == "after" else f"zcp.collect.parts.os.{when}"
        monkeypatch.setattr(name, interrupt)
        writer.flush()
    assert len(load_scores(tmp_path)) == len(list_parts(tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_keeps_what_was_written_and_tells_what_was_not(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(InputError, match=r"cannot write .*: No space left .*; 2 networks must be computed"),
        Writer(tmp_path, Origin(SETTINGS)) as writer,
    ):
        writer.add(rows(0)[0])
        writer.flush()
        for row in rows(1, 2):
            writer.add(row)
        monkeypatch.setattr("zcp.collect.parts.os.fsync", full)
    monkeypatch.undo()
    assert len(load_scores(tmp_path)) == len(list(tmp_path.iterdir())) == 1
    gather(tmp_path, 3)
    assert len(load_scores(tmp_path)) == 3


@pytest.mark.parametrize("where", ["x" * 300, "file/a", "full"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(tmp_path, monkeypatch, where):
    (tmp_path / "file").touch()
    if where == "full":
        monkeypatch.setattr("zcp.collect.parts.os.fsync", lambda _: os.open("/nowhere/at/all", os.O_RDONLY))
    executor = Inline()
    with pytest.raises(InputError, match=r"cannot write .*; nothing was changed"):
        gather(tmp_path / where, 2, executor=executor)
    assert executor.asked == []
    with pytest.raises(InputError):
        load_scores(tmp_path / where)


def test_two_collectors_at_once_through_a_link(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with Writer(tmp_path / "a", Origin(SETTINGS)) as one, Writer(tmp_path / "b", Origin(SETTINGS)) as two:
        for row in rows(0, 1, 2):
            one.add(row)
        for row in rows(1, 2, 3):
            two.add(row)
    assert len(list_parts(tmp_path / "a")) == 2
    assert sorted(load_scores(tmp_path / "a")["index"]) == [0, 1, 2, 3]


def test_memory_is_flat_over_many_networks(tmp_path, monkeypatch):
    monkeypatch.setattr("zcp.collect.run.PART_ROWS", 50)
    (row,) = rows(0)
    tracemalloc.start()
    try:
        with Writer(tmp_path, Origin(SETTINGS)) as writer:
            held = []
            for index in range(2000):
                writer.add(row | {"index": index, "arch": f"{index}"})
                if index % 500 == 499:
                    held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[-1] - held[0] < 2**17


# Failures


def test_networks_that_fail_are_rows_of_nan_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("ZCP_TEST_FOLDER", str(tmp_path))
    frame = load_scores(gather(tmp_path / "a", 7, collecting.faulty_row)).set_index("index").sort_index()
    assert list(frame.index[np.isnan(frame["params"])]) == [0, 2, 4, 6]
    assert json.loads(frame.loc[6, "reason"]) == {
        "params": "RuntimeError: no luck with 6", "synflow": "RuntimeError: no luck with 6",
    }  # fmt: skip


def test_what_may_pass_is_no_score_and_is_asked_again(tmp_path):
    def short(space, index, *rest):
        if index == 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes")
        return collecting.fake_row(space, index, *rest)

    with pytest.raises(InputError, match=r"1 of 4 networks are left open, the last one .*index=2.*allocate"):
        gather(tmp_path, 4, short)
    assert sorted(load_scores(tmp_path)["index"]) == [0, 1, 3]
    again = Inline()
    gather(tmp_path, 4, executor=again)
    assert again.asked == [units(4)[2]]
    assert load_scores(tmp_path)["params"].notna().all()


@pytest.mark.parametrize("may_pass", [False, True])
def test_a_set_up_that_fails_is_no_table_of_nan(tmp_path, may_pass):
    class Failing(Inline):
        def outcomes(self, function, tasks):
            for task in tasks:
                yield task, Failure("nothing works", may_pass)

    gather(tmp_path, 2)
    with pytest.raises(InputError, match=r"5 networks in a row failed, .* nothing works"):
        gather(tmp_path, 20, executor=Failing())
    assert len(load_scores(tmp_path)) == 2


def test_failures_count_only_in_a_row(tmp_path):
    def scorer(space, index, *rest):
        return collecting.always_faulty_row() if index % 5 else collecting.fake_row(space, index, *rest)

    frame = load_scores(gather(tmp_path, 21, scorer))
    assert int(np.isnan(frame["params"]).sum()) == 16


# The command, killed


def start(folder, *more):
    code = "import zcp.collect.run as run; run.PART_SECONDS = 0.3; from zcp.cli import main; main()"
    command = [
        sys.executable, "-c", code, "collect", "--out", str(folder), "--count", "12", "--space", "sss",
        "--proxies", "params,flops,log_synflow", "--inputs", "gaussian", "--batch", "4",
        "--workers", "2", *more,
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process):
    _, errors = process.communicate(timeout=600)
    return process.returncode, errors


def rows_so_far(folder):
    return len(load_scores(folder)) if list(folder.glob("*.parquet")) else 0


@pytest.mark.slow
def test_killed_three_times_is_the_same_as_undisturbed(tmp_path):
    folder, rng = tmp_path / "killed", random.Random(3)
    before = 0
    for kill in (os.killpg, os.kill, os.killpg):
        process = start(folder)
        target = before + rng.randint(1, 9)
        while rows_so_far(folder) < target:
            assert process.poll() is None, finish(process)
            time.sleep(0.05)
        kept = contents(folder)
        time.sleep(0.2 * rng.random())
        kill(process.pid, signal.SIGKILL)
        assert finish(process)[0] == -signal.SIGKILL
        after = contents(folder)
        assert {name: after.get(name) for name in kept if name.endswith(".parquet")}.items() <= after.items()
        before = rows_so_far(folder)
        assert before >= target, "a row was lost"
    code, errors = finish(start(folder))
    assert code == 0, errors
    undisturbed = tmp_path / "undisturbed"
    assert finish(start(undisturbed))[0] == 0
    pd.testing.assert_frame_equal(without_times(folder), without_times(undisturbed))
    assert load_scores(folder).attrs["settings"]["batch"] == 4
    assert len(load_scores(folder)) == 36


@pytest.mark.slow
def test_sigterm_keeps_the_rows_and_two_collectors_share_a_folder(tmp_path):
    both = [start(tmp_path, "--count", "2000") for _ in range(2)]
    while len(list_parts(tmp_path) if any(tmp_path.glob("*.parquet")) else []) < 2:
        assert all(process.poll() is None for process in both), list(map(finish, both))
        time.sleep(0.1)
    for process in both:
        process.terminate()
        process.terminate()
    for process in both:
        assert finish(process)[0] == 128 + signal.SIGTERM
    assert len(load_scores(tmp_path)) >= 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}

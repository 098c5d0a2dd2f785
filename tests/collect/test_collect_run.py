import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import collecting
import numpy as np
import pandas as pd
import pytest
from collecting import SETTINGS, units

from zcp.collect.executor import Failure, attempt
from zcp.collect.run import collect
from zcp.collect.store import load_scores
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


def gather(path, count, scorer=collecting.fake_row, settings=SETTINGS, executor=None):
    return collect(path, units(count), settings, executor or Inline(), scorer=scorer, progress=False)


def without_times(path):
    frame = load_scores(path)
    return frame[[column for column in frame if not column.startswith("seconds_")]]


def test_a_collection_is_extended_and_never_repeated(tmp_path):
    path = tmp_path / "a.parquet"
    gather(path, 4)
    again = Inline()
    gather(path, 9, executor=again)
    assert again.asked == units(9)[4:]
    content = path.read_bytes()
    gather(path, 9, executor=again)
    assert path.read_bytes() == content
    whole = gather(tmp_path / "b.parquet", 9)
    pd.testing.assert_frame_equal(without_times(path), without_times(whole))
    assert load_scores(path).attrs == load_scores(whole).attrs


def test_other_settings_do_not_even_begin(tmp_path):
    path = gather(tmp_path / "a.parquet", 2)
    executor = Inline()
    with pytest.raises(InputError, match="batch: 4 against 64"):
        gather(path, 5, settings=replace(SETTINGS, batch=64), executor=executor)
    assert executor.asked == []


def test_an_error_in_the_middle_keeps_what_was_computed(tmp_path):
    path = tmp_path / "a.parquet"

    def scorer(space, index, *rest):
        if index == 3:
            raise InputError("no images")
        return collecting.fake_row(space, index, *rest)

    with pytest.raises(InputError, match="no images"):
        gather(path, 6, scorer)
    assert len(load_scores(path)) == 3


def test_networks_that_fail_are_rows_of_nan_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("ZCP_TEST_FOLDER", str(tmp_path))
    frame = (
        load_scores(gather(tmp_path / "a.parquet", 7, collecting.faulty_row)).set_index("index").sort_index()
    )
    assert list(frame.index[np.isnan(frame["params"])]) == [0, 2, 4, 6]
    assert json.loads(frame.loc[6, "reason"]) == {
        "params": "RuntimeError: no luck with 6", "synflow": "RuntimeError: no luck with 6",
    }  # fmt: skip


def test_a_set_up_that_fails_is_no_table_of_nan(tmp_path):
    path = tmp_path / "a.parquet"
    gather(path, 2)
    with pytest.raises(InputError, match=r"5 networks in a row failed, .* RuntimeError: nothing works"):
        gather(path, 20, collecting.always_faulty_row)
    assert len(load_scores(path)) == 2


def test_failures_count_only_in_a_row(tmp_path):
    def scorer(space, index, *rest):
        return collecting.always_faulty_row() if index % 5 else collecting.fake_row(space, index, *rest)

    frame = load_scores(gather(tmp_path / "a.parquet", 21, scorer))
    assert int(np.isnan(frame["params"]).sum()) == 16


def start(path, *more):
    command = [
        sys.executable, "-m", "zcp.collect", "--out", str(path), "--count", "12", "--space", "sss",
        "--proxies", "params,flops,log_synflow", "--inputs", "gaussian", "--batch", "4",
        "--workers", "2", *more,
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process):
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def rows_so_far(path):
    journal = path.with_name(path.name + ".journal")
    moved = len(load_scores(path)) if path.exists() else 0
    return moved + (journal.read_bytes().count(b'{"row"') if journal.exists() else 0)


def test_killed_three_times_is_the_same_as_undisturbed(tmp_path):
    path, rng = tmp_path / "killed.parquet", random.Random(3)
    before = 0
    for kill in (os.killpg, os.kill, os.killpg):
        process = start(path)
        target = before + rng.randint(1, 9)
        while rows_so_far(path) < target:
            assert process.poll() is None, finish(process)
            time.sleep(0.02)
        time.sleep(0.05 * rng.random())
        kill(process.pid, signal.SIGKILL)
        assert finish(process)[0] == -signal.SIGKILL
        assert not path.exists()
        assert rows_so_far(path) >= target, "a row was lost"
        before = rows_so_far(path)
    assert before < 36, "the kills came too late"
    code, errors = finish(start(path))
    assert code == 0, errors
    undisturbed = tmp_path / "undisturbed.parquet"
    assert finish(start(undisturbed))[0] == 0
    pd.testing.assert_frame_equal(without_times(path), without_times(undisturbed))
    assert load_scores(path).attrs == load_scores(undisturbed).attrs
    assert len(load_scores(path)) == 36
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed.parquet", "undisturbed.parquet"]


def test_a_second_collector_is_turned_away_and_sigterm_keeps_the_rows(tmp_path):
    path = tmp_path / "a.parquet"
    process = start(path, "--count", "2000")
    while rows_so_far(path) < 2:
        assert process.poll() is None, finish(process)
        time.sleep(0.01)
    code, errors = finish(start(path))
    assert code == 1
    assert f"zcp: {path} is being written by process {process.pid} on" in errors
    process.terminate()
    assert finish(process)[0] == 128 + signal.SIGTERM
    assert len(load_scores(path)) >= 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_failure_is_what_an_attempt_gives():
    assert attempt(collecting.always_faulty_row, units(1)[0]) == Failure("RuntimeError: nothing works")

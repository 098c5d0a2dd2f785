import json
import resource
from dataclasses import replace

import pytest
from collecting import SETTINGS, fake_row, units

from zcp.collect.journal import Journal
from zcp.collect.lock import locked
from zcp.collect.settings import Origin
from zcp.collect.store import load_scores
from zcp.collect.writer import ScoresWriter
from zcp.errors import InputError

ORIGIN = Origin(SETTINGS, [{"device": "cpu"}], {})


ROWS = [fake_row(u.space, u.index, u.dataset, SETTINGS) for u in units(5)]


def rows(count):
    return [{key: value for key, value in row.items() if key != "steps"} for row in ROWS[:count]]


def indices(path):
    return sorted(load_scores(path)["index"])


def write_journal(path, count=3):
    journal = Journal(path)
    for row in rows(count):
        journal.append(row, ORIGIN)
    journal.close()
    return journal.path


def test_rows_come_back_bit_by_bit(tmp_path):
    write_journal(tmp_path / "a.parquet", count=5)
    journal = Journal(tmp_path / "a.parquet")
    assert json.dumps(journal.rows) == json.dumps(rows(5))
    assert journal.origin == ORIGIN


def test_a_journal_cut_anywhere_keeps_the_whole_lines(tmp_path):
    file = write_journal(tmp_path / "a.parquet")
    content = file.read_bytes()
    for end in range(0, len(content) + 1, 7):
        file.write_bytes(content[:end])
        journal = Journal(tmp_path / "a.parquet")
        assert len(journal.rows) == max(content[:end].count(b"\n") - 1, 0)
        for row in rows(3)[len(journal.rows) :]:
            journal.append(row, ORIGIN)
        journal.close()
        again = Journal(tmp_path / "a.parquet")
        assert json.dumps(again.rows) == json.dumps(rows(3))
        again.close()


def test_a_damaged_line_is_named(tmp_path):
    file = write_journal(tmp_path / "a.parquet")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"\0\0\0\n", *lines[2:]]))
    with pytest.raises(InputError, match=r"a.parquet.journal, line 3 is damaged .*; delete that line"):
        Journal(tmp_path / "a.parquet")
    file.write_bytes(b"".join(lines))
    assert len(Journal(tmp_path / "a.parquet").rows) == 3


def test_writer_moves_what_a_killed_collector_left(tmp_path):
    path = tmp_path / "a.parquet"
    write_journal(path)
    with ScoresWriter(path, ORIGIN) as writer:
        assert writer.keys() == set(units(3))
        writer.append(fake_row("sss", 3, "cifar10", SETTINGS))
    assert indices(path) == [0, 1, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_nothing_doubles_when_the_collector_died_between_moving_and_clearing(tmp_path):
    path = tmp_path / "a.parquet"
    content = write_journal(path).read_bytes()
    with ScoresWriter(path, ORIGIN):
        pass
    (tmp_path / "a.parquet.journal").write_bytes(content)
    before = path.read_bytes()
    with ScoresWriter(path, ORIGIN) as writer:
        assert writer.keys() == set(units(3))
    assert path.read_bytes() == before
    assert not (tmp_path / "a.parquet.journal").exists()


def test_rows_are_moved_while_the_collection_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("zcp.collect.writer.CONSOLIDATE_SECONDS", 0.0)
    path = tmp_path / "a.parquet"
    with ScoresWriter(path, ORIGIN) as writer:
        for end in range(1, 4):
            writer.append(fake_row("sss", end, "cifar10", SETTINGS))
            assert indices(path) == list(range(1, end + 1))
    assert load_scores(path).attrs["settings"]["steps"]["params"] == ["step_params"]


@pytest.mark.parametrize("where", ["journal", "parquet"])
def test_other_settings_are_refused_by_name_and_nothing_is_touched(tmp_path, where):
    path = tmp_path / "a.parquet"
    write_journal(path)
    if where == "parquet":
        with ScoresWriter(path, ORIGIN):
            pass
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    other = Origin(replace(SETTINGS, batch=16, seed=3))
    with (
        pytest.raises(InputError, match=r"different settings.* batch: 4 against 16; seed: 0 against 3"),
        ScoresWriter(path, other),
    ):
        pass
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_damaged_parquet_file_is_not_overwritten(tmp_path):
    path = tmp_path / "a.parquet"
    write_journal(path)
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="damaged"), ScoresWriter(path, ORIGIN):
        pass
    assert path.read_bytes() == b"PAR1 and then nothing"
    assert len(Journal(path).rows) == 3


def test_a_full_disk_loses_nothing(tmp_path):
    path = tmp_path / "a.parquet"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = 0
    try:
        # The kernel then takes a part of a line and refuses the rest, as a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
        with (
            pytest.raises(InputError, match=r"cannot write .*journal: .*rows before are safe: make room"),
            ScoresWriter(path, ORIGIN) as writer,
        ):
            for unit in units(100):
                writer.append(fake_row(unit.space, unit.index, unit.dataset, SETTINGS))
                written += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 0 < written < 100
    assert not path.exists(), "the Parquet file needs more than the limit"
    with ScoresWriter(path, ORIGIN) as writer:
        assert writer.keys() == set(units(written))
    assert indices(path) == list(range(written))


def test_a_disk_too_full_for_the_parquet_file_keeps_the_journal(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    write_journal(path)

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("zcp.collect.writer.write_scores", full)
        with (
            pytest.raises(InputError, match=r"No space left.*safe in .*a.parquet.journal"),
            ScoresWriter(path, ORIGIN),
        ):
            pass
    with ScoresWriter(path, ORIGIN):
        pass
    assert indices(path) == [0, 1, 2]


def test_lock_names_its_holder_and_is_released(tmp_path):
    path = tmp_path / "new" / "a.parquet"
    with locked(path):
        with (
            pytest.raises(InputError, match=r"a.parquet is being written by process \d+ on .*--out"),
            locked(path),
        ):
            pass
        with locked(path.with_name("b.parquet")):
            pass
    with locked(path):
        pass
    assert not list(path.parent.iterdir())


def test_a_lock_file_that_a_dead_process_left_is_no_lock(tmp_path):
    (tmp_path / "a.parquet.lock").write_text("process 1 on mars")
    with locked(tmp_path / "a.parquet"):
        pass

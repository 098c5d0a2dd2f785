import errno
import json
import os
import resource
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collecting import SETTINGS, fake_row

import zcp.collect.parts as parts
from zcp.collect.order import first, plan
from zcp.collect.parts import list_parts, load_scores, merge, scores_digest, scores_path, write_part
from zcp.collect.row import rows_to_frame
from zcp.collect.settings import Origin
from zcp.data.checksums import sha256
from zcp.errors import InputError

CELLS = (["tss", "sss"], ["cifar10", "ImageNet16-120"])
TIME = "seconds_default"


def make(folder, count=6, settings=SETTINGS, shard=(1, 1)):
    folder.mkdir(exist_ok=True)
    units = plan(first(count, CELLS[0], 0), CELLS[1], shard)
    rows = [fake_row(u.space, u.index, u.dataset, settings) for u in units]
    origin = Origin(settings, [{"device": "cpu"}])
    return write_part(folder, rows_to_frame(rows, settings.proxies), origin), rows


def without_times(folder):
    return load_scores(folder).drop(columns=TIME)


def test_what_is_written_is_read(tmp_path):
    _, rows = make(tmp_path)
    frame = load_scores(tmp_path)
    assert len(frame) == len(rows) == 24
    by_key = frame.set_index(["space", "index", "dataset"])
    for row in rows:
        found = by_key.loc[(row["space"], row["index"], row["dataset"])]
        for name in SETTINGS.proxies:
            np.testing.assert_equal(found[name], row[name])
        assert json.loads(found["reason"]) == json.loads(row["reason"])
        assert found[TIME] == pytest.approx(row[TIME], rel=1e-6)
    assert frame["params"].dtype == "float64"
    assert frame.attrs["settings"]["batch"] == 4
    assert frame.attrs["settings"]["environments"] == [{"device": "cpu"}]


def test_values_of_any_size_are_kept_to_the_last_bit(tmp_path):
    _, rows = make(tmp_path, count=1)
    values = [6e50, 5e-324, -0.0, np.nextafter(1.0, 2.0)]
    for row, value in zip(rows, values, strict=True):
        row["params"] = value
    write_part(tmp_path / "..", rows_to_frame(rows, SETTINGS.proxies), Origin(SETTINGS))
    part = next(tmp_path.parent.glob("*.parquet"))
    found = parts.read_parts([part])[0].set_index(["space", "index", "dataset"])["params"]
    for row in rows:
        kept = found[(row["space"], row["index"], row["dataset"])]
        assert np.float64(kept).tobytes() == np.float64(row["params"]).tobytes()


def test_equal_rows_are_one_file_whatever_their_order_of_arrival(tmp_path):
    path, rows = make(tmp_path)
    backwards = rows_to_frame(rows[::-1], SETTINGS.proxies)
    assert write_part(tmp_path, backwards, Origin(SETTINGS, [{"device": "cpu"}])) == path
    assert list_parts(tmp_path) == [path]
    assert list(load_scores(tmp_path).query("space == 'tss' and dataset == 'cifar10'")["index"]) == list(
        first(6, ["tss"], 0)["tss"]
    )


def test_a_name_is_looked_up_among_the_deposits(tmp_path, monkeypatch):
    monkeypatch.setenv("ZCP_HOME", str(tmp_path))
    mine = tmp_path / "data" / "scores" / "mine"
    mine.parent.mkdir(parents=True)
    make(mine)
    assert len(load_scores("mine")) == 24
    assert scores_path("./mine") != scores_path("mine") == mine
    with pytest.raises(InputError, match=r"there are no scores in .*other; compute them with"):
        load_scores("other")


def test_no_flipped_bit_anywhere_goes_unseen(tmp_path):
    path, _ = make(tmp_path, count=2)
    content = path.read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(InputError, match=f"{path.name} is damaged: .* restore it"):
            load_scores(tmp_path)
    path.write_bytes(content)
    assert len(load_scores(tmp_path)) == 8


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_truncated_part_is_named(tmp_path, kept):
    path, _ = make(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="is damaged"):
        load_scores(tmp_path)


def rewrite(path, change):
    """Write a part that is as damaged as a program makes it: its checksum is right."""
    table = pq.read_table(path)
    buffer = pa.BufferOutputStream()
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), buffer)
    path.write_bytes(buffer.getvalue().to_pybytes())
    path.rename(path.with_stem(sha256(path)[: parts.DIGITS]))


def with_value(table, column, value):
    values = table[column].to_pylist()
    position = table.schema.get_field_index(column)
    return table.set_column(position, table.schema.field(column), pa.array([value, *values[1:]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["synflow"]), r"not those of its settings: synflow \(double\)"),
        (lambda t: t.append_column("zen", t["params"]), r"not those of its settings: zen \(double\)"),
        (
            lambda t: t.set_column(4, "params", t["params"].cast(pa.float32())),
            r"not those of its settings: params \(double\), params \(float\)",
        ),
        (lambda t: t.append_column(TIME, t[TIME]), "Multiple matches"),
        (lambda t: with_value(t, "dataset", "mnist"), "unknown dataset mnist"),
        (lambda t: with_value(t, "space", "nds"), "unknown space nds"),
        (lambda t: with_value(t, "index", 15_625), "index and architecture differ"),
        (lambda t: with_value(t, "arch", "|none~0|"), "index and architecture differ"),
        (lambda t: with_value(t, "reason", "because"), "a reason is not a JSON object: 'because'"),
        (lambda t: with_value(t, "reason", None), "a reason is not a JSON object"),
    ],
)
def test_each_fault_is_named(tmp_path, change, message):
    rewrite(make(tmp_path)[0], change)
    with pytest.raises(InputError, match=f"cannot be used: .*{message}"):
        load_scores(tmp_path)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"x": [1.0]}).to_parquet(path)
    path.rename(path.with_stem(sha256(path)[: parts.DIGITS]))
    with pytest.raises(InputError, match="carries no settings"):
        load_scores(tmp_path)
    next(tmp_path.iterdir()).write_text("x")
    with pytest.raises(InputError, match="is no folder of parts"):
        load_scores(next(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("proxies", "params"), ("proxies", []), ("proxies", [1]), ("proxies", ["params", "params"]),
        ("batch", "4"), ("batch", -1), ("batch", True), ("batch", 1e9), ("batches", 0), ("seed", 0.5),
        ("inputs", ["images"]), ("images", ["cifar10"]), ("images", {"cifar10": 3}), ("init", "none"),
        ("dtype", "float8"), ("dtype", []), ("zcp", 2), ("versions", None), ("versions", {"zen": "2"}),
        ("environments", {"torch": "2"}), ("environments", [["torch"]]), ("steps", {"zen": "normal_init"}),
        ("steps", []),
    ],
)  # fmt: skip
def test_a_setting_of_another_form_is_named(tmp_path, setting, value):
    path, _ = make(tmp_path, count=1)
    rewrite_settings(path, json.dumps({**Origin(SETTINGS).to_json(), setting: value}))
    with pytest.raises(InputError, match=f"cannot be used: its settings have no such {setting}$"):
        load_scores(tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", "[" * 100_000, '{"batch": ' + "9" * 5000 + "}", "\udcff", "{"]
)
def test_settings_that_are_none_are_told_in_a_line(tmp_path, text):
    path, _ = make(tmp_path, count=1)
    rewrite_settings(path, text)
    with pytest.raises(InputError, match="cannot be used: ") as caught:
        load_scores(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "more"])
def test_a_setting_that_is_unknown_is_named(tmp_path, name):
    path, _ = make(tmp_path, count=1)
    rewrite_settings(path, json.dumps({**Origin(SETTINGS).to_json(), name: 1}))
    with pytest.raises(InputError, match=rf"missing or unknown: {name}\)"):
        load_scores(tmp_path)


def rewrite_settings(path, text):
    table = pq.read_table(path).replace_schema_metadata({"settings": text.encode(errors="surrogateescape")})
    pq.write_table(table, path)
    path.rename(path.with_stem(sha256(path)[: parts.DIGITS]))


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path, _ = make(tmp_path, count=1)
    rewrite(path, lambda table: table.append_column("params", table["params"]))
    with pytest.raises(InputError, match=r"cannot be used: .*params"):
        load_scores(tmp_path)


def test_parts_of_other_settings_are_never_mixed(tmp_path):
    make(tmp_path)
    make(tmp_path, settings=replace(SETTINGS, batch=16))
    with pytest.raises(InputError, match=r"different settings.* batch: (4 against 16|16 against 4)"):
        load_scores(tmp_path)


def test_a_network_with_two_values_is_refused_and_with_one_counts_once(tmp_path):
    _, rows = make(tmp_path)
    later = [row | {TIME: row[TIME] + 1.0} for row in rows]
    write_part(tmp_path, rows_to_frame(later, SETTINGS.proxies), Origin(SETTINGS))
    assert len(list_parts(tmp_path)) == 2
    assert len(load_scores(tmp_path)) == 24
    rows[0]["params"] = np.nextafter(rows[0]["params"], 9.0)
    other = write_part(tmp_path, rows_to_frame(rows[:1], SETTINGS.proxies), Origin(SETTINGS))
    with pytest.raises(InputError, match=rf"\('tss', .* has different values in .*{other.name}.*; move one"):
        load_scores(tmp_path)


def test_the_digest_is_that_of_the_only_part_and_changes_with_each(tmp_path):
    path, _ = make(tmp_path)
    one = scores_digest(tmp_path)
    assert one == sha256(path)
    make(tmp_path, count=8)
    assert scores_digest(tmp_path) not in (one, *map(sha256, list_parts(tmp_path)))


def test_the_whole_benchmark_stays_under_forty_mebibytes(tmp_path):
    frame = load_scores("nats-b8")
    old = [column for column in frame if column.startswith("seconds_")]
    settings = Origin.from_json(frame.attrs["settings"]).settings
    for group in ("default", "eznas", "kaiming_fan_in", "kaiming_fan_out", "none", "normal"):
        steps = [column for column in old if column.startswith(f"seconds_{group}_")]
        frame[f"{parts.SECONDS}{group}"] = frame[steps].sum(axis=1).astype("float16")
    path = write_part(tmp_path, frame.drop(columns=old), Origin(settings))
    assert path.stat().st_size / len(frame) * 145_179 < 40 * 2**20


# Merging


def test_merged_shards_equal_the_whole(tmp_path):
    shards = [tmp_path / f"{k}" for k in (1, 2, 3)]
    for k, shard in enumerate(shards, start=1):
        make(shard, shard=(k, 3))
    told = merge(tmp_path / "all", shards[::-1])
    assert told == [
        f"{space} {dataset}: 6 of {size}; of the first 6 in the order of seed 0 none is missing"
        for space, size in (("sss", 32768), ("tss", 15625))
        for dataset in ("ImageNet16-120", "cifar10")
    ]
    make(tmp_path / "whole")
    assert len(list_parts(tmp_path / "all")) == 1
    pd.testing.assert_frame_equal(without_times(tmp_path / "all"), without_times(tmp_path / "whole"))
    assert load_scores(tmp_path / "all").attrs == load_scores(tmp_path / "whole").attrs


def test_a_missing_shard_is_told(tmp_path):
    make(tmp_path / "1", count=10, shard=(1, 2))
    order = first(10, ["sss"], 0)["sss"]
    assert merge(tmp_path / "all", [tmp_path / "1"])[1] == (
        "sss cifar10: 5 of 32768; of the first 9 in the order of seed 0 4 are missing, "
        f"first index {order[1]}"
    )


def test_a_growing_collection_is_delivered_part_by_part(tmp_path):
    make(tmp_path / "run", count=3)
    merge(tmp_path / "out", [tmp_path / "run"])
    (delivered,) = list_parts(tmp_path / "out")
    content = delivered.read_bytes()
    make(tmp_path / "run", count=5, shard=(2, 2))
    for _ in range(2):  # the second time adds nothing
        merge(tmp_path / "out", [tmp_path / "run"])
        assert len(list_parts(tmp_path / "out")) == 2
    assert delivered.read_bytes() == content
    # A network that was scored twice has the times of one of its parts.
    out, run = (load_scores(tmp_path / name).drop(columns="seconds_default") for name in ("out", "run"))
    pd.testing.assert_frame_equal(out, run)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    merge(tmp_path / "out", [tmp_path / "link"])
    assert len(list_parts(tmp_path / "out")) == 2


def test_what_differs_is_not_merged(tmp_path):
    one, _ = make(tmp_path / "1", shard=(1, 3))
    make(tmp_path / "2", settings=replace(SETTINGS, batch=16), shard=(2, 3))
    with pytest.raises(InputError, match=r"1/.* and .*2/.* were .* batch: 4 against 16"):
        merge(tmp_path / "all", [tmp_path / "1", tmp_path / "2"])
    one.write_bytes(one.read_bytes()[:-1])
    for source, message in (("1", "is damaged"), ("3", "there are no scores in")):
        with pytest.raises(InputError, match=message):
            merge(tmp_path / "all", [tmp_path / "2", tmp_path / source])
    assert not (tmp_path / "all").exists()


def test_a_full_disk_leaves_what_was_there(tmp_path):
    make(tmp_path / "run", count=3)
    make(tmp_path / "out", count=1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # The kernel then takes a part of the file and refuses the rest, as a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(InputError, match=r"cannot write .*out: .*; nothing was changed\. Choose"):
            merge(tmp_path / "out", [tmp_path / "run"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("when", ["write", "fsync", "replace"])
def test_an_interrupted_write_leaves_no_half_part(tmp_path, monkeypatch, when):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    target = {"write": (parts.os, "open"), "fsync": (parts.os, "fsync"), "replace": (parts.Path, "replace")}
    with monkeypatch.context() as patch:
        patch.setattr(*target[when], interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
    make(tmp_path)
    assert len(load_scores(tmp_path)) == 24
    assert len(list_parts(tmp_path)) <= 2


@pytest.mark.parametrize(
    ("number", "is_full"), [("ENOSPC", True), ("EDQUOT", True), ("EROFS", False), ("EACCES", False)]
)
def test_only_a_full_disk_needs_room(tmp_path, number, is_full):
    code = getattr(errno, number)
    with pytest.raises(InputError) as caught, parts.disk_errors(tmp_path):
        raise OSError(code, os.strerror(code))
    assert os.strerror(code) in str(caught.value) and ("Make room" in str(caught.value)) == is_full

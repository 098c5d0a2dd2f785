import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collecting import SETTINGS, fake_row

import zcp.collect.store as store
from zcp.collect.merge import merge_shards
from zcp.collect.order import first, plan
from zcp.collect.settings import Origin
from zcp.collect.store import load_scores, rows_to_frame, write_scores
from zcp.errors import InputError

CELLS = (["tss", "sss"], ["cifar10", "ImageNet16-120"])


def make(path, count=6, settings=SETTINGS, shard=(1, 1)):
    units = plan(first(count, CELLS[0], 0), CELLS[1], shard)
    rows = [fake_row(u.space, u.index, u.dataset, settings) for u in units]
    write_scores(path, rows_to_frame(rows, settings.proxies), Origin(settings, [{"device": "cpu"}], {}))
    return path, rows


def test_what_is_written_is_read(tmp_path):
    path, rows = make(tmp_path / "a.parquet")
    frame = load_scores(path)
    assert len(frame) == len(rows) == 24
    by_key = frame.set_index(["space", "index", "dataset"])
    for row in rows:
        found = by_key.loc[(row["space"], row["index"], row["dataset"])]
        for name in SETTINGS.proxies:
            np.testing.assert_equal(found[name], row[name])
        assert json.loads(found["reason"]) == json.loads(row["reason"])
        assert found["seconds_step_params"] == pytest.approx(row["seconds_step_params"], rel=1e-6)
    assert frame["params"].dtype == "float64"
    assert frame.attrs["settings"]["batch"] == 4
    assert frame.attrs["settings"]["environments"] == [{"device": "cpu"}]


def test_order_of_rows_does_not_depend_on_the_order_of_arrival(tmp_path):
    path, rows = make(tmp_path / "a.parquet")
    backwards = rows_to_frame(rows[::-1], SETTINGS.proxies)
    write_scores(tmp_path / "b.parquet", backwards, Origin(SETTINGS, [{"device": "cpu"}], {}))
    assert (tmp_path / "b.parquet").read_bytes() == path.read_bytes()
    assert list(load_scores(path).query("space == 'tss' and dataset == 'cifar10'")["index"]) == list(
        first(6, ["tss"], 0)["tss"]
    )


def test_a_name_is_looked_up_among_the_deposits(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SCORES", tmp_path)
    make(tmp_path / "mine.parquet")
    assert len(load_scores("mine")) == 24
    with pytest.raises(InputError, match=r"there is no scores file .*other.parquet; compute it with"):
        load_scores("other")


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.9, -1])
def test_a_truncated_file_is_named(tmp_path, kept):
    path, _ = make(tmp_path / "a.parquet")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=r"a.parquet is damaged or no Parquet file .*; restore it"):
        load_scores(path)


def test_no_flipped_bit_goes_unseen_in_the_data(tmp_path):
    path, _ = make(tmp_path / "a.parquet", count=50)
    content = bytearray(path.read_bytes())
    metadata = pq.read_metadata(path)
    column = metadata.row_group(0).column(metadata.schema.names.index("params"))
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 16
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_scores(path)


def rewrite(path, change):
    table = pq.read_table(path)
    metadata = table.schema.metadata
    pq.write_table(change(table).replace_schema_metadata(metadata), path)


def with_value(table, column, value):
    values = table[column].to_pylist()
    position = table.schema.get_field_index(column)
    return table.set_column(position, table.schema.field(column), pa.array([value, *values[1:]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["synflow"]), "column 'synflow' is missing"),
        (lambda t: t.append_column("zen", t["params"]), "column 'zen' is not expected"),
        (
            lambda t: t.set_column(4, "params", t["params"].cast(pa.float32())),
            "column 'params' is float, not double",
        ),
        (lambda t: pa.concat_tables([t, t.slice(0, 2)]), r"2 row\(s\) occur twice, first \('tss'"),
        (lambda t: with_value(t, "dataset", "mnist"), "unknown dataset mnist"),
        (lambda t: with_value(t, "space", "nds"), "unknown space nds"),
        (lambda t: with_value(t, "index", 15_625), "do not name their architecture"),
        (lambda t: with_value(t, "arch", "|none~0|"), "do not name their architecture"),
        (lambda t: with_value(t, "reason", "because"), "a reason is not a JSON object: 'because'"),
        (lambda t: with_value(t, "reason", None), "a reason is not a JSON object"),
    ],
)
def test_each_fault_is_named(tmp_path, change, message):
    path, _ = make(tmp_path / "a.parquet")
    rewrite(path, change)
    with pytest.raises(InputError, match=f"a.parquet cannot be used: .*{message}"):
        load_scores(path)


def test_a_foreign_parquet_file_is_refused(tmp_path):
    pd.DataFrame({"x": [1.0]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="carries no settings"):
        load_scores(tmp_path / "x.parquet")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path, _ = make(tmp_path / "a.parquet", count=2)
    before = path.read_bytes()

    def fill(_table, file, **_options):
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fill)
    with pytest.raises(OSError, match="No space left"):
        make(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_merged_shards_equal_the_whole(tmp_path):
    shards = [make(tmp_path / f"{k}.parquet", shard=(k, 3))[0] for k in (1, 2, 3)]
    merged = load_scores(merge_shards(shards[::-1], tmp_path / "all.parquet"))
    whole = load_scores(make(tmp_path / "whole.parquet")[0])
    times = ["seconds_step_params"]
    pd.testing.assert_frame_equal(merged.drop(columns=times), whole.drop(columns=times))
    assert merged.attrs == whole.attrs


def test_shards_that_overlap_or_differ_are_not_merged(tmp_path):
    one, _ = make(tmp_path / "1.parquet", shard=(1, 3))
    whole, _ = make(tmp_path / "whole.parquet")
    with pytest.raises(InputError, match=r"twice, such as \('tss', .* in .*1.parquet and .*whole.parquet"):
        merge_shards([one, whole], tmp_path / "all.parquet")
    other = SETTINGS.__class__(**{**SETTINGS.__dict__, "batch": 16})
    two, _ = make(tmp_path / "2.parquet", settings=other, shard=(2, 3))
    with pytest.raises(InputError, match=r"1.parquet and .*2.parquet were .* batch: 4 against 16"):
        merge_shards([one, two], tmp_path / "all.parquet")
    with pytest.raises(InputError, match="exists already"):
        merge_shards([one], whole)
    with pytest.raises(InputError, match="no shards"):
        merge_shards([], tmp_path / "all.parquet")
    assert not (tmp_path / "all.parquet").exists()

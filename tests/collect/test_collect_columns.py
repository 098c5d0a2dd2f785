import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collecting import SETTINGS, fake_row

from zcp.collect.columns import DEFINITIONS, describe
from zcp.collect.parts import load_scores, read_parts, write_part
from zcp.collect.row import rows_to_frame
from zcp.collect.settings import Origin
from zcp.data.checksums import sha256
from zcp.proxies.registry import default_proxies, get_proxy


@pytest.mark.parametrize("name", default_proxies())
def test_every_proxy_is_told(name):
    told = describe(name, {name: get_proxy(name).version})
    assert told["definition"] == get_proxy(name).summary and told["unit"]
    assert told["better"] == ("larger" if get_proxy(name).larger_is_better else "smaller")


def test_units_directions_and_times():
    assert describe("params", {})["unit"] == describe("flops", {})["unit"] == "millions"
    assert describe("naswot", {})["unit"] == "1" and describe("naswot", {})["better"] == "larger"
    assert describe("ntk_cond", {})["better"] == "smaller"
    assert describe("seconds_kaiming_fan_in", {})["unit"] == "s"
    assert "'kaiming_fan_in'" in describe("seconds_kaiming_fan_in", {})["definition"]
    assert "need no weights" in describe("seconds_none", {})["definition"]
    assert "step 'default_gradients'" in describe("seconds_default_gradients", {})["definition"]


def test_older_and_withdrawn_definitions_are_not_mistaken():
    assert describe("eznas", {})["definition"] == get_proxy("eznas_literal").summary
    assert describe("eznas", {"eznas": 2})["definition"] == get_proxy("eznas").summary
    assert describe("withdrawn", {"withdrawn": 3}) == {"version": "3"}


def test_parts_carry_them_and_join_with_parts_that_do_not(tmp_path):
    rows = [fake_row("sss", index, "cifar10", SETTINGS) for index in (0, 1)]
    with_them, without = (
        write_part(tmp_path, rows_to_frame([row], SETTINGS.proxies), Origin(SETTINGS)) for row in rows
    )
    schema = pq.read_schema(with_them)
    for field in schema:
        told = {key.decode(): value.decode() for key, value in field.metadata.items()}
        assert told.items() >= describe(field.name, {}).items() and told["definition"]
    assert set(DEFINITIONS) < set(schema.names)
    table = pq.read_table(without)
    bare = [field.remove_metadata() for field in table.schema]
    pq.write_table(table.cast(pa.schema(bare, table.schema.metadata)), without)
    old = without.rename(without.with_stem(sha256(without)[:16]))
    for order in ([with_them, old], [old, with_them]):
        assert len(read_parts(order)[0]) == 2
    assert len(load_scores(tmp_path)) == 2

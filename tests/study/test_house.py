"""The page on how zcp is built says what there is."""

from pkgutil import iter_modules

import pytest

import zcp
from zcp.paths import PROJECT
from zcp.study import house


def test_every_package_is_a_room_and_every_room_has_a_purpose():
    packages = {module.name for module in iter_modules(zcp.__path__) if module.ispkg}
    assert packages <= set(house.ROOMS)
    rows = [line.split(" | ") for line in house.rooms() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == list(house.ROOMS)
    assert all(row[1].strip() and int(row[2].strip(" |")) > 0 for row in rows)


def test_every_step_of_the_ways_is_a_room():
    for stations in house.WAYS.values():
        steps = [room.split("\n")[0].split(", ") for _, room in stations]
        assert steps.pop() == [""]
        assert {room for step in steps for room in step} <= set(house.ROOMS)


def test_the_figure_is_the_same_bytes_each_time(tmp_path):
    for name in ("a.svg", "b.svg"):
        house.write_ways(tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert "statistics" in drawn and "row" in drawn


@pytest.mark.parametrize("addition", ["proxy", "space", "benchmark", "section", "formula operator"])
def test_the_page_says_where_to_add(addition):
    page = (PROJECT / "book" / "how_it_is_built.md").read_text(encoding="utf-8")
    assert f"\nA {addition}\n: " in page

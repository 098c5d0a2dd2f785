import time

import pytest

from zcp.statistics.lazy import Lazy, lazy


class Kitchen(Lazy):
    """Counts its own work on a clock that only moves when told."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.runs = []

    def clock(self):
        return self.now

    def work(self, name, seconds):
        self.runs.append(name)
        self.now += seconds

    @lazy
    def water(self):
        """Docstring of water."""
        self.work("water", 1.0)
        return "water"

    @lazy
    def tea(self):
        self.work("tea", 2.0)
        return f"tea of {self.water}"

    @lazy
    def broken(self):
        self.work("broken", 4.0)
        raise LookupError(f"no cup for the {self.water}")


def test_computed_once_and_kept():
    kitchen = Kitchen()
    assert kitchen.runs == []
    assert kitchen.tea == kitchen.tea == "tea of water"
    assert kitchen.water == "water"
    assert kitchen.runs == ["tea", "water"]


def test_objects_do_not_share():
    first, second = Kitchen(), Kitchen()
    assert first.water == second.water
    assert first.runs == second.runs == ["water"]


def test_seconds_are_exclusive():
    kitchen = Kitchen()
    with kitchen.reading("guest") as needs:
        kitchen.now += 8.0
        _ = kitchen.tea
        kitchen.now += 16.0
    assert kitchen.seconds == {"water": 1.0, "tea": 2.0, "guest": 24.0}
    assert needs == {"tea", "water"}


def test_a_later_reader_needs_the_same_and_pays_nothing():
    kitchen = Kitchen()
    _ = kitchen.tea
    with kitchen.reading("late") as needs:
        _ = kitchen.tea
    assert needs == {"tea", "water"}
    assert kitchen.seconds["late"] == 0


def test_nested_readers():
    kitchen = Kitchen()
    with kitchen.reading("outer") as outer:
        with kitchen.reading("inner") as inner:
            _ = kitchen.water
            kitchen.now += 3
        kitchen.now += 5
    assert inner == {"water"}
    assert kitchen.seconds == {"water": 1.0, "inner": 3.0, "outer": 5.0}
    assert outer <= {"water", "inner"}


def test_a_failure_is_kept_and_charged():
    kitchen = Kitchen()
    for _ in range(2):
        with pytest.raises(LookupError, match="no cup for the water"), kitchen.reading("guest") as needs:
            _ = kitchen.broken
        assert needs == {"broken", "water"}
    assert kitchen.runs == ["broken", "water"]
    assert kitchen.seconds == {"broken": 4.0, "water": 1.0, "guest": 0.0}


def test_on_the_class_it_is_its_own_documentation():
    assert Kitchen.water.__doc__ == "Docstring of water."
    assert isinstance(Kitchen.water, lazy)


def test_real_clock():
    class Slow(Lazy):
        @lazy
        def sleep(self):
            time.sleep(0.02)

    slow = Slow()
    assert slow.sleep is None
    assert slow.sleep is None
    assert 0.02 <= slow.seconds["sleep"] < 1

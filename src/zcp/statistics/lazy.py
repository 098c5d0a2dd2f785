"""Attributes that are computed once, when first read, and that know what they cost.

A class derives from `Lazy` and marks methods with `@lazy`. Reading such an attribute runs the method once;
`seconds` then holds the time of each, without the time of those it read itself, and `reading()` tells which
ones a block of code needed, directly or through others. Time is kept as marks that are read at the end, so
that nobody waits for a device to know it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Lazy:
    """Base of classes with `@lazy` attributes.

    Attributes:
        marks: (what the time before it was spent on, the `clock` then), in order.
    """

    def __init__(self) -> None:
        self.marks: list[tuple[str, Any]] = []
        self._spending = [""]
        self._values: dict[str, Any] = {}
        self._errors: dict[str, Exception | SystemExit] = {}
        self._needs: dict[str, set[str]] = {}
        self._readers: list[set[str]] = [set()]

    def clock(self) -> Any:
        """Return the time in seconds; in a subclass an event of a device, to be read when it has passed."""
        return time.perf_counter()

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent in each lazy attribute and reader, in seconds, exclusive."""
        return read_marks(self.marks)

    @property
    def computed(self) -> dict[str, Any]:
        """The values that were read so far, by name."""
        return dict(self._values)

    @contextmanager
    def reading(self, name: str) -> Iterator[set[str]]:
        """Charge the block's own time to `name`; the set that it yields receives what it reads."""
        needs: set[str] = set()
        self._readers.append(needs)
        self.marks.append((self._spending[-1], self.clock()))
        self._spending.append(name)
        try:
            yield needs
        finally:
            self._readers.pop()
            self.marks.append((self._spending.pop(), self.clock()))

    def forget(self, *names: str) -> None:
        """Let the values of lazy attributes go, for their memory; who reads one again pays again."""
        for name in names:
            self._values.pop(name, None)
            self._needs.pop(name, None)
            self._errors.pop(name, None)

    def _read(self, name: str, compute: Callable[[Any], T]) -> T:
        if name not in self._needs:
            with self.reading(name) as needs:
                try:
                    self._values[name] = compute(self)
                except (Exception, SystemExit) as error:
                    # Kept, so that the next reader fails alike instead of paying for the failure again.
                    self._errors[name] = error
            self._needs[name] = needs
        self._readers[-1].update({name}, self._needs[name])
        if name in self._errors:
            raise self._errors[name]
        value: T = self._values[name]
        return value


def read_marks(marks: Sequence[tuple[str, Any]]) -> dict[str, float]:
    """Return the time, in seconds, that `Lazy.marks` tell of, by what it was spent on."""
    found: dict[str, float] = {}
    for (_, start), (name, end) in pairwise(marks):
        # Events of a GPU tell milliseconds.
        passed = end - start if isinstance(end, float) else start.elapsed_time(end) / 1e3
        found[name] = found.get(name, 0.0) + passed
    found.pop("", None)
    return found


class lazy(Generic[T]):  # noqa: N801 - reads as a decorator, like property
    """Mark a method of a `Lazy` class as an attribute that is computed when first read."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "lazy[T]": ...
    @overload
    def __get__(self, instance: Lazy, owner: type) -> T: ...
    def __get__(self, instance: Lazy | None, owner: type) -> "lazy[T] | T":
        if instance is None:
            return self
        return instance._read(self.name, self.compute)

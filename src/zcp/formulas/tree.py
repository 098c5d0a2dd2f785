"""What a formula is: a tree of operators over named layer statistics, in which equal parts are shared."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Self
from weakref import WeakValueDictionary

#: Characters of a text; a longer one is abbreviated: written out, what is shared may grow without bounds.
LONGEST = 2000


@dataclass(frozen=True, eq=False)
class Expression:
    """A feature (no arguments) or an operator applied to arguments. Equal expressions are one object.

    Attributes:
        name: of the feature or the operator.
        arguments: of the operator; None for a feature.
    """

    name: str
    arguments: tuple["Expression", ...] | None = None

    def __new__(cls, name: str, arguments: tuple["Expression", ...] | None = None) -> Self:
        found: Self = _KNOWN.setdefault((name, arguments), super().__new__(cls))
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.arguments)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def text(self) -> str:
        """The formula; beyond `LONGEST` characters a digest stands in the place of the arguments."""
        if self.arguments is None:
            return self.name
        arguments = ", ".join(argument.text for argument in self.arguments)
        if len(self.name) + len(arguments) + 2 > LONGEST:
            arguments = f"#{sha256(arguments.encode()).hexdigest()[:16]}"
        return f"{self.name}({arguments})"

    def walk(self) -> Iterator["Expression"]:
        """Yield every node once, arguments before what uses them."""
        seen: dict[Expression, None] = {}

        def visit(node: "Expression") -> None:
            if node not in seen:
                for argument in node.arguments or ():
                    visit(argument)
                seen[node] = None

        visit(self)
        yield from seen

    @property
    def features(self) -> frozenset[str]:
        """Names of the features that the formula mentions."""
        return frozenset(node.name for node in self.walk() if node.arguments is None)


_KNOWN: WeakValueDictionary[Any, Any] = WeakValueDictionary()

"""What a formula is: a tree of operators over named layer statistics."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    """A feature (no arguments) or an operator applied to arguments. Equal trees are equal objects to a dict.

    Attributes:
        name: of the feature or the operator.
        arguments: of the operator; None for a feature.
    """

    name: str
    arguments: tuple["Expression", ...] | None = None

    def __post_init__(self) -> None:
        # Trees are looked up often; without this each look-up would walk the whole tree.
        object.__setattr__(self, "_hash", hash((self.name, self.arguments)))

    def __hash__(self) -> int:
        value: int = self._hash  # type: ignore[attr-defined]
        return value

    def __str__(self) -> str:
        if self.arguments is None:
            return self.name
        return f"{self.name}({', '.join(map(str, self.arguments))})"

    def walk(self) -> Iterator["Expression"]:
        """Yield every node once for each place where it stands, arguments before what uses them."""
        for argument in self.arguments or ():
            yield from argument.walk()
        yield self

    @property
    def features(self) -> frozenset[str]:
        """Names of the features that the formula mentions."""
        return frozenset(node.name for node in self.walk() if node.arguments is None)

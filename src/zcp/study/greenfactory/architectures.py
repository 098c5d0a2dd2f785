"""What an architecture is, in numbers: the features of a model that looks at no proxy."""

import numpy as np
import pandas as pd

from zcp.ensemble.examples import Examples
from zcp.spaces import get_space
from zcp.spaces.cells import EDGES, OPERATIONS
from zcp.spaces.sss import LAYERS, parse_widths
from zcp.spaces.tss import parse_cell

CELL_COLUMNS = [f"edge {a}-{b}={operation}" for a, b in EDGES for operation in OPERATIONS]
WIDTH_COLUMNS = [f"channels {layer}" for layer in range(1, LAYERS + 1)]


def encode_architectures(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the one-hot cell (topology space) and the five channel counts (size space) of each row.

    Columns of the other space are zero. Shape (rows, 35), the index of `labels`.

    Args:
        labels: columns space, index.
    """
    values = np.zeros((len(labels), len(CELL_COLUMNS) + LAYERS))
    for row, (space, index) in enumerate(zip(labels["space"], labels["index"].astype(int), strict=True)):
        arch = get_space(space).arch(index)
        if space == "tss":
            digits = [OPERATIONS.index(operation) for operation in parse_cell(arch)]
            values[row, [len(OPERATIONS) * edge + digit for edge, digit in enumerate(digits)]] = 1.0
        else:
            values[row, len(CELL_COLUMNS) :] = parse_widths(arch)
    return pd.DataFrame(values, labels.index, [*CELL_COLUMNS, *WIDTH_COLUMNS])


def choose_columns(examples: Examples, kind: str) -> pd.DataFrame:
    """Return the features of a kind: `proxies`, `encoding`, or `both`; the dataset's belong to each."""
    encoding = encode_architectures(examples.labels)
    if kind == "encoding":
        datasets = [c for c in map(str, examples.features) if c.startswith("dataset=")]
        return pd.concat([encoding, examples.features[datasets]], axis=1)
    return examples.features if kind == "proxies" else pd.concat([encoding, examples.features], axis=1)

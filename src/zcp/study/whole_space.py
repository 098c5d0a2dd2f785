"""Scores that a description gives exactly, over every network of a space: no sample, so no interval.

Counts of parameters and of operations are sums over the edges of a cell (topology space), and quadratic forms
of the widths (size space), other ones where a cell needs no projection. The form is solved from scored
networks and must give back each of them.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import PolynomialFeatures

from zcp import benchmarks
from zcp.analysis.metrics import kendall, spearman
from zcp.ensemble.examples import Examples
from zcp.errors import InputError
from zcp.spaces import get_space
from zcp.study.greenfactory.architectures import CELL_COLUMNS, WIDTH_COLUMNS, encode_architectures

COUNTED = ("params", "flops")
CELL = ["space", "dataset"]
Values = NDArray[np.float64]


def count(space: str, index: Values, scores: Values) -> Values:
    """Return a count of every network of a space, by index, shape (networks,).

    Args:
        space: `tss` or `sss`.
        index: of networks that were counted, shape (n,).
        scores: their counts, shape (n,).

    Raises:
        InputError: if the form does not give these counts, or they are too few to determine it.
    """
    every = encode_architectures(pd.DataFrame({"space": space, "index": range(get_space(space).size)}))
    form = PolynomialFeatures(1).fit_transform(every[CELL_COLUMNS]) if space == "tss" else _of_widths(every)
    known, unit = form[index.astype(int)], np.abs(scores).max()
    if np.linalg.matrix_rank(known) < np.linalg.matrix_rank(form):
        raise InputError(f"{len(index)} networks of {space} are too few to count all others; score more")
    counted: Values = form @ np.linalg.lstsq(known, scores / unit, rcond=None)[0] * unit
    if not np.allclose(counted[index.astype(int)], scores, rtol=1e-9, atol=0):
        raise InputError(f"these scores of {space} are no counts of parts; leave them to the scored networks")
    # Counts may be in millions.
    return np.round(counted, 6)


def _of_widths(every: pd.DataFrame) -> Values:
    widths = every[WIDTH_COLUMNS].to_numpy() / 64
    terms = [PolynomialFeatures(2).fit_transform(widths)]
    # The second and the third cell project their input unless it is as wide as their output.
    for before, after in ((1, 2), (3, 4)):
        same = (widths[:, before] == widths[:, after])[:, None]
        terms.append(same * widths[:, [after]] ** np.arange(3))
    return np.hstack(terms)


def correlate_counts(examples: Examples) -> pd.DataFrame:
    """Correlate `COUNTED` with the accuracy over all networks of the spaces that are measured.

    Returns:
        proxy, space, dataset, n, kendall, spearman: no sample, hence no interval.
    """
    rows = []
    for (space, dataset), cell in examples.labels.reset_index(drop=True).groupby(CELL, sort=False):
        part, accuracy = examples.take(cell.index.to_numpy()), benchmarks.load(str(space))
        measured = accuracy.accuracy(str(dataset), examples.target).dropna()
        for proxy in [name for name in COUNTED if name in examples.features]:
            index = part.labels["index"].to_numpy(float)
            values = count(str(space), index, part.features[proxy].to_numpy(float))[measured.index]
            row = {"proxy": proxy, "space": space, "dataset": dataset, "n": len(measured)}
            rows.append({**row, "kendall": kendall(values, measured), "spearman": spearman(values, measured)})
    return pd.DataFrame(rows)

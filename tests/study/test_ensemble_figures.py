"""The figures of the ensemble's further sections draw what they are given, also of a single seed."""

import numpy as np
import pandas as pd
import pytest

from zcp.study import figures

CELLS = [("sss", "cifar10"), ("tss", "cifar10"), ("tss", "cifar100"), ("tss", "ImageNet16-120")]


@pytest.mark.parametrize("std", [0.1, None])
def test_curves_have_a_panel_a_cell(std):
    rows = [
        {"space": s, "dataset": d, "model": m, "size": n, "kendall": n / 100, "std": std}
        for s, d in CELLS
        for m in ("a", "b")
        for n in (10, 50)
    ]
    figure = figures.plot_curves(pd.DataFrame(rows), {"a": "first", "b": "second"})
    shown = [axis for axis in figure.axes if axis.lines]
    assert len(shown) == 4 and all(len(axis.lines) == 2 for axis in shown)
    assert np.allclose(shown[0].lines[0].get_ydata(), [0.1, 0.5])


@pytest.mark.parametrize("std", [0.1, None])
def test_effects_have_a_bar_a_cell(std):
    rows = [
        {"leak": leak, "space": s, "dataset": d, "mean": 0.2, "std": std} for leak in "xyz" for s, d in CELLS
    ]
    axis = figures.plot_effects(pd.DataFrame(rows), "added").axes[0]
    assert len(axis.patches) == 12 and {patch.get_height() for patch in axis.patches} == {0.2}


def test_coverage_has_a_panel_a_method():
    rows = [
        {"space": s, "dataset": d, "method": m, "level": level, "coverage": level}
        for m in ("one width", "per cell")
        for s, d in CELLS
        for level in (0.8, 0.9)
    ]
    figure = figures.plot_coverage(pd.DataFrame(rows))
    assert [axis.get_title() for axis in figure.axes] == ["one width", "per cell"]
    assert len(figure.axes[0].lines) == len(CELLS) + 1

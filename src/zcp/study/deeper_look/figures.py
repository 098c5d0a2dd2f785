"""The figures of the Deeper Look: grids of heat maps, performance profiles and curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from zcp.study.figures import legend_above, panels, styled


def _line(number: int) -> dict[str, Any]:
    """Return colour and dashes of a line: the seven colours of the style, then again in dashes, in dots."""
    return {"color": f"C{number % 7}", "linestyle": ("-", "--", ":")[number // 7 % 3]}


@styled
def plot_matrices(matrices: Mapping[str, pd.DataFrame], columns: int = 2) -> Figure:
    """Draw correlation matrices side by side, numbers in hundredths; undefined entries stay white."""
    figure, axes = panels(len(matrices), columns, (4.4, 3.9))
    for axis, (title, matrix) in zip(axes, matrices.items(), strict=True):
        values = matrix.to_numpy(float)
        axis.imshow(values, vmin=-1, vmax=1, cmap="PuOr", aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = "white" if abs(value) > 0.7 else "black"
                axis.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=6, color=ink)
        axis.set_xticks(range(values.shape[1]), list(map(str, matrix.columns)), rotation=90, fontsize=7)
        axis.set_yticks(range(values.shape[0]), list(map(str, matrix.index)), fontsize=7)
        axis.grid(False)
        axis.set_title(title)
    return figure


@styled
def plot_profiles(profiles: Mapping[str, pd.DataFrame], largest: float = 4.0) -> Figure:
    """Draw performance profiles by title, as `profiles.steps` returns them: steps that rise at their own tau.

    The axis ends at the tau `largest`.
    """
    figure, axes = panels(len(profiles), 2, (4.6, 3.0))
    for axis, (title, table) in zip(axes, profiles.items(), strict=True):
        end = max(largest, float(table.index.max()))
        drawn = pd.concat([table, table.tail(1).set_axis([end])])
        for number, proxy in enumerate(drawn):
            axis.step(drawn.index, drawn[proxy], where="post", label=proxy, **_line(number))
        axis.set(title=title, xlim=(0.97, largest), ylim=(-0.03, 1.03))
    figure.supxlabel("tau: error relative to that of the best proxy of a task")
    figure.supylabel("fraction of tasks")
    legend_above(figure, axes[0], 4)
    return figure


@styled
def plot_decay(curves: Mapping[str, pd.DataFrame], proxies: Sequence[str]) -> Figure:
    """Draw the correlation of these proxies after each epoch, a panel a title.

    Columns of a table: epoch, proxy, spearman, and least and most where there are several seeds.
    """
    figure, axes = panels(len(curves), 2, (4.8, 3.4))
    for axis, (title, table) in zip(axes, curves.items(), strict=True):
        for number, proxy in enumerate(proxies):
            mine = table[table["proxy"] == proxy].sort_values("epoch")
            line = _line(number)
            axis.plot(mine["epoch"], mine["spearman"], label=proxy, linewidth=1.2, **line)
            if "least" in mine:
                axis.fill_between(mine["epoch"], mine["least"], mine["most"], color=line["color"], alpha=0.08)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(title=title, xlabel="epochs trained", ylim=(-1, 1))
        axis.set_ylabel("Spearman correlation\nwith final accuracy")
    legend_above(figure, axes[0], 5)
    return figure


@styled
def plot_gains(gains: pd.DataFrame) -> Figure:
    """Draw a predictor's correlation against its training size (dataset, size, features, mean, std)."""
    datasets = gains["dataset"].unique()
    figure, axes = panels(len(datasets), 3, (3.2, 3.2))
    for axis, dataset in zip(axes, datasets, strict=True):
        mine = gains[gains["dataset"] == dataset]
        for number, (name, part) in enumerate(mine.groupby("features", sort=False)):
            axis.errorbar(part["size"], part["mean"], yerr=part["std"], fmt="o-", color=f"C{number}",
                          markersize=3, capsize=2, linewidth=1.2, label=name)  # fmt: skip
        axis.set(title=dataset, xscale="log", xlabel="trained architectures")
        sizes = sorted(mine["size"].unique())
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
    axes[0].set_ylabel("Spearman correlation, held out")
    legend_above(figure, axes[0], 5)
    return figure


@styled
def plot_searches(runs: pd.DataFrame, budget: int) -> Figure:
    """Draw the fraction of searches that reached the goal within a number of queries, a panel a dataset.

    Columns: dataset, search (legend entry), queries, reached. The axis ends at the budget.
    """
    datasets = runs["dataset"].unique()
    figure, axes = panels(len(datasets), 3, (3.2, 3.0))
    for axis, dataset in zip(axes, datasets, strict=True):
        mine = runs[runs["dataset"] == dataset]
        for number, (name, part) in enumerate(mine.groupby("search", sort=False)):
            queries = np.sort(part.loc[part["reached"], "queries"].to_numpy())
            share = np.arange(len(queries) + 1) / len(part)
            axis.step([1, *queries, budget], [0, *share[1:], share[-1]], where="post",
                      label=name, **_line(number))  # fmt: skip
        axis.set(title=dataset, xscale="log", xlabel="queries", ylim=(-0.02, 1.02))
    axes[0].set_ylabel("fraction of searches at the goal")
    legend_above(figure, axes[0], 4)
    return figure

"""The study's figures: each function takes data and returns a Matplotlib figure in the study's style."""

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import product
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("zcp.mplstyle")
SPACE_TITLES = {"tss": "topology space", "sss": "size space"}
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the study's style, and leave no figure open: a notebook shows what is returned, once."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with plt.style.context(STYLE):
            figure = draw(*args, **kwargs)
        plt.close(figure)
        return figure

    return drawn


def panels(count: int, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` axes of `size` inches, in rows of `columns`."""
    columns = min(count, columns)
    rows = -(-count // columns)
    figsize = (size[0] * columns, size[1] * rows)
    figure, axes = plt.subplots(rows, columns, figsize=figsize, squeeze=False, **shared)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def legend_above(figure: Figure, axis: Axes, columns: int) -> None:
    """Draw the legend of one of several panels above all of them."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, fontsize="small")


@styled
def plot_histograms(counts: pd.DataFrame, width: float) -> Figure:
    """Draw one histogram of accuracies a cell, spaces as rows (columns: space, dataset, low, count)."""
    spaces, datasets = counts["space"].unique(), counts["dataset"].unique()
    size = (9, 2.5 * len(spaces))
    figure, axes = plt.subplots(len(spaces), len(datasets), figsize=size, squeeze=False, sharex="col")
    for (i, space), (j, dataset) in product(enumerate(spaces), enumerate(datasets)):
        cell = counts[(counts["space"] == space) & (counts["dataset"] == dataset)]
        axes[i, j].bar(cell["low"], cell["count"], width, align="edge", color=f"C{i}")
        axes[i, j].set_title(f"{dataset}, {SPACE_TITLES[space]}")
    figure.supxlabel("accuracy (%)")
    figure.supylabel("architectures")
    return figure


@styled
def plot_elimination(steps: pd.DataFrame, picks: dict[str, int]) -> Figure:
    """Draw RMSE with its interval, and seconds, by number of features (count, rmse, low, high, seconds)."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 5), sharex=True)
    above.fill_between(steps["count"], steps["low"], steps["high"], color="C0", alpha=0.2, linewidth=0)
    above.plot(steps["count"], steps["rmse"], "o-", color="C0")
    above.set_ylabel("RMSE (percentage points)")
    below.plot(steps["count"], steps["seconds"], "s-", color="C1")
    below.set(ylabel="seconds a network", xlabel="number of features")
    for number, (name, count) in enumerate(picks.items()):
        for axis in (above, below):
            axis.axvline(count, color="black", linestyle=("--", ":")[number % 2], linewidth=1, label=name)
    above.legend()
    return figure


@styled
def plot_selected(steps: pd.DataFrame) -> Figure:
    """Draw which features remain at each step (columns: count, selected)."""
    chosen = [row.split(",") for row in steps["selected"]]
    order = max(chosen, key=len)
    kept = np.array([[feature in subset for subset in chosen] for feature in order])
    figure, axis = plt.subplots(figsize=(7, 0.26 * len(order) + 1))
    colours: dict[str, Any] = {"cmap": "Blues", "vmin": 0, "vmax": 1.4, "edgecolors": "white"}
    axis.pcolormesh(steps["count"], np.arange(len(order)), kept, **colours)
    axis.set_yticks(range(len(order)), order)
    axis.invert_yaxis()
    axis.grid(False)
    axis.set_xlabel("number of features")
    return figure


@styled
def plot_tuning(trials: pd.DataFrame) -> Figure:
    """Draw each trial's RMSE and the best so far, a panel an ensemble (trial, rmse, best, ensemble)."""
    names = trials["ensemble"].unique()
    figure, axes = panels(len(names), len(names), (4.5, 3.2))
    for axis, name in zip(axes, names, strict=True):
        mine = trials[trials["ensemble"] == name]
        axis.plot(mine["trial"], mine["rmse"], ".", color="C4", label="trial")
        axis.step(mine["trial"], mine["best"], where="post", color="C1", label="best so far")
        axis.set(title=name, xlabel="trial")
    axes[0].set_ylabel("validation RMSE")
    axes[0].legend()
    return figure


@styled
def plot_importances(shares: dict[str, pd.Series], least: float = 0.03) -> Figure:
    """Draw one panel of bars an ensemble; shares below `least` are summed as Others."""
    figure, axes = panels(len(shares), len(shares), (4.5, 3.4))
    for axis, (name, share) in zip(axes, shares.items(), strict=True):
        shown = share[share >= least].sort_values()
        rest = share[share < least]
        if len(rest):
            shown = pd.concat([pd.Series({f"Others ({len(rest)})": rest.sum()}), shown])
        axis.barh(shown.index, shown.to_numpy(), color="C2")
        axis.set(title=name, xlabel="share of importance")
    return figure


@styled
def plot_predictions(predicted: np.ndarray, measured: np.ndarray, cells: Sequence[str]) -> Figure:
    """Draw predicted against measured accuracies (percent), a marker a cell; the line is y = x."""
    figure, axis = plt.subplots(figsize=(5, 5))
    table = pd.DataFrame({"measured": measured, "predicted": predicted, "cell": list(cells)})
    for marker, (cell, mine) in zip("osD^v<>", table.groupby("cell", sort=True), strict=False):
        axis.plot(mine["measured"], mine["predicted"], marker, markersize=3.5, alpha=0.7, label=cell)
    axis.axline((0, 0), slope=1, color="black", linewidth=0.8)
    axis.set(xlabel="measured accuracy (%)", ylabel="predicted accuracy (%)", aspect="equal")
    axis.legend(fontsize="small")
    return figure


@styled
def plot_heatmap(values: pd.DataFrame, label: str, low: float = 0.0, high: float = 1.0) -> Figure:
    """Draw a matrix with its numbers, rows and columns named by the frame."""
    figure, axis = plt.subplots(figsize=(0.62 * values.shape[1] + 3, 0.3 * values.shape[0] + 1.4))
    colours = "cividis" if low >= 0 else "PuOr"
    sns.heatmap(values, vmin=low, vmax=high, annot=True, fmt=".2f", cmap=colours, ax=axis,
                annot_kws={"fontsize": 7}, cbar_kws={"label": label})  # fmt: skip
    axis.set(xlabel="", ylabel="")
    return figure


@styled
def plot_errors(summary: pd.DataFrame) -> Figure:
    """Draw mean RMSE with its standard deviation on a log axis (columns: regressor, data, mean, std)."""
    names = summary["regressor"].unique()[::-1]
    figure, axis = plt.subplots(figsize=(7, 4))
    for number, (data, mine) in enumerate(summary.groupby("data", sort=False)):
        rows = mine.set_index("regressor").reindex(names).fillna({"std": 0})
        place = np.arange(len(names)) - 0.18 * (number - 1.5)
        marker = "osD^"[number % 4]
        axis.errorbar(rows["mean"], place, xerr=rows["std"], fmt=marker, label=data, capsize=2)
    axis.set(xscale="log", xlabel="validation RMSE (percentage points)")
    axis.set_yticks(range(len(names)), names)
    figure.legend(loc="outside upper center", ncols=4, fontsize="small")
    return figure


@styled
def plot_intervals(
    groups: dict[str, pd.DataFrame], published: pd.Series, source: str = "the paper"
) -> Figure:
    """Draw correlations with intervals, a row a proxy, and the published ones as crosses.

    Args:
        groups: legend entry -> columns proxy, spearman, low, high; the first decides the order.
        published: absolute correlation by proxy; drawn with the sign of the first group's.
        source: who published them.
    """
    first = next(iter(groups.values())).dropna(subset="spearman").sort_values("spearman")
    order = {proxy: row for row, proxy in enumerate(first["proxy"])}
    figure, axis = plt.subplots(figsize=(7, 0.24 * len(order) + 1))
    for number, (name, table) in enumerate(groups.items()):
        shown = table[table["proxy"].isin(order)].dropna(subset="spearman")
        rows = shown["proxy"].map(order) + 0.22 * (number - (len(groups) - 1) / 2)
        spread = np.abs(shown[["low", "high"]].to_numpy(float).T - shown["spearman"].to_numpy(float))
        axis.errorbar(shown["spearman"], rows, xerr=spread, fmt="os^"[number], markersize=4, label=name)
    signs = np.sign(first.set_index("proxy")["spearman"])
    paper = published.dropna()[lambda found: found.index.isin(order)]
    axis.plot(paper * signs[paper.index], paper.index.map(order), "x", color="black", label=source)
    axis.set_yticks(range(len(order)), list(order))
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("Spearman correlation with accuracy")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(groups) + 1)
    return figure


@styled
def plot_curves(summary: pd.DataFrame, labels: dict[str, str]) -> Figure:
    """Draw Kendall's correlation against the number of trained networks, a panel a cell.

    Columns: space, dataset, model, size, kendall, std (the band). `labels` maps models to legend entries.
    """
    cells = list(summary.groupby(["space", "dataset"]))
    figure, axes = panels(len(cells), 3, (3.2, 2.7), sharey=True)
    for axis, ((space, dataset), cell) in zip(axes, cells, strict=True):
        for number, (model, label) in enumerate(labels.items()):
            mine = cell[cell["model"] == model].sort_values("size")
            axis.plot(mine["size"], mine["kendall"], "os^D"[number % 4] + "-", markersize=3, label=label)
            low, high = (mine["kendall"] + sign * mine["std"].astype(float).fillna(0) for sign in (-1, 1))
            axis.fill_between(mine["size"], low, high, alpha=0.2)
        axis.set(title=f"{dataset}, {SPACE_TITLES[str(space)]}", xscale="log")
    axes[0].legend(fontsize="small")
    figure.supxlabel("trained networks")
    figure.supylabel("Kendall correlation")
    return figure


@styled
def plot_effects(effects: pd.DataFrame, label: str) -> Figure:
    """Draw a bar a cell for each effect, with one deviation (columns: leak, space, dataset, mean, std)."""
    named = effects.assign(cell=effects["space"] + " " + effects["dataset"])
    means, spread = (named.pivot(index="leak", columns="cell", values=v) for v in ("mean", "std"))
    spread = spread.astype(float).fillna(0)
    order = list(named["leak"].unique())
    figure, axis = plt.subplots(figsize=(8, 3.2))
    means.loc[order].plot.bar(ax=axis, yerr=spread.loc[order], rot=0, width=0.8, error_kw={"linewidth": 0.8})
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(xlabel="", ylabel=label)
    axis.legend(fontsize="small", ncols=2)
    return figure


@styled
def plot_coverage(summary: pd.DataFrame) -> Figure:
    """Draw measured against promised coverage, a panel a method (space, dataset, method, level, coverage)."""
    methods = summary["method"].unique()
    figure, axes = panels(len(methods), len(methods), (3, 3), sharey=True)
    for axis, method in zip(axes, methods, strict=True):
        mine = summary[summary["method"] == method]
        cells = mine.groupby(["space", "dataset"])
        for marker, ((space, dataset), cell) in zip("osD^v<", cells, strict=False):
            axis.plot(cell["level"], cell["coverage"], marker + "-", markersize=4, label=f"{space} {dataset}")
        axis.axline((0.9, 0.9), slope=1, color="black", linewidth=0.8)
        axis.set(title=method, xlabel="promised coverage")
    axes[0].set_ylabel("measured coverage")
    axes[-1].legend(fontsize="x-small")
    return figure

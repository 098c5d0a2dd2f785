"""Evaluations beside GreenFactory's published ones: Tables 4 to 6, 8 and 9."""

import pandas as pd

from zcp.study.greenfactory.evaluation import CELL, METRICS
from zcp.study.greenfactory.published import COLUMNS, read_table, verdict

# Our scheme -> what the paper calls that data; it has no counterpart of `grouped`.
PUBLISHED_DATA = {"random": "random", "stratified": "stratified"}
NUMBERS = ["ours", "low", "high", "paper", "verdict"]


def compare_with_paper(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Tables 4 to 6, 8 and 9 beside ours.

    Returns:
        scheme, published (their name), name (ours), space, dataset, metric, paper, ours, difference, low,
        high, verdict, n, seeds; only rows that both have.
    """
    paper = read_table("4", "5", "6", "8", "9").rename(columns={"name": "published", "value": "paper"})
    paper = paper.assign(
        name=paper["published"].map(COLUMNS),
        scheme=paper["data"].map({theirs: ours for ours, theirs in PUBLISHED_DATA.items()}),
        paper=paper["paper"].astype(float),
    )
    both = paper.drop(columns="data").merge(_lengthen(summary), on=["scheme", "name", *CELL, "metric"])
    verdicts = [verdict(*row) for row in both[["paper", "low", "high"]].to_numpy()]
    both = both.assign(difference=both["ours"] - both["paper"], verdict=verdicts)
    columns = ["scheme", "published", "name", *CELL, "metric", "paper", "ours", "difference"]
    return both[[*columns, "low", "high", "verdict", "n", "seeds"]]


def _lengthen(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the summary with one row a metric: its keys, metric, ours, low, high, n, seeds."""
    keys, blocks = ["scheme", "name", *CELL, "n", "seeds"], []
    for metric in METRICS:
        # Deposits of ensembles that were made without resamples have no bounds.
        names = {metric: "ours", f"{metric}_low": "low", f"{metric}_high": "high"}
        block = summary.reindex(columns=[*keys, *names]).rename(columns=names)
        blocks.append(block.assign(metric=metric).dropna(subset="ours"))
    return pd.concat(blocks, ignore_index=True)


def show_twin(twin: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one metric as text, a row a published name and a column a cell.

    Each entry is ours, its interval, the paper's value, the difference and an arrow: up where ours is above
    the paper, down where it is below, an equals sign where our interval holds the paper's value.
    """
    marks = {"above": "↑", "below": "↓", "inside": "=", "": ""}
    mine = twin[twin["metric"] == metric]
    text = [
        f"{ours:.2f} [{low:.2f}, {high:.2f}], {paper:.2f}, {ours - paper:+.2f} {marks[verdict]}"
        for ours, low, high, paper, verdict in mine[NUMBERS].itertuples(index=False)
    ]
    cells = mine.assign(cell=mine["space"] + " " + mine["dataset"], text=text)
    table = cells.pivot(index="published", columns="cell", values="text")
    return table.loc[mine["published"].unique()].rename_axis(columns=None).reset_index()


def count_verdicts(twin: pd.DataFrame) -> pd.DataFrame:
    """Return how many published values lie inside, above and below: metric, space, and one column each."""
    counts = twin[twin["verdict"] != ""].groupby(["metric", "space"])["verdict"].value_counts().unstack()
    columns = ["inside", "above", "below"]
    return counts.reindex(columns=columns).fillna(0).astype(int).rename_axis(columns=None).reset_index()

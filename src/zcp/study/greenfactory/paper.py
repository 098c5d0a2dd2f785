"""Our results beside GreenFactory's published ones, every table of the paper: values, differences, verdicts.

What was published is in `zcp.study.greenfactory.published`; here it meets ours, and nowhere else.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from zcp.study.greenfactory.published import COLUMNS, read_table
from zcp.study.greenfactory.summaries import CELL, METRICS
from zcp.study.results import Deposit

# What the paper may have split -> what it calls the data -> our scheme. It does not say which it was.
READINGS = {
    "rows": {"random": "random", "stratified": "stratified"},
    "networks": {"random": "grouped", "stratified": "stratified_grouped"},
}
TITLES = {"abs_kendall": "absolute Kendall correlation", "abs_spearman": "absolute Spearman correlation",
          "rmse": "RMSE in percentage points"}  # fmt: skip
#: Of a verdict: up where ours is above the paper, down where below, an equals sign where it is inside.
MARKS = {"above": "↑", "below": "↓", "inside": "=", "": ""}
NUMBERS = ["ours", "low", "high", "paper", "verdict"]


def verdict(published: float, low: float, high: float) -> str:
    """Return how ours stands to a published value.

    Returns:
        `inside` where our interval [low, high] holds the published value, `above` or `below` where ours lies
        on that side of it, and the empty string where one of the three does not exist.
    """
    if not (math.isfinite(published) and math.isfinite(low) and math.isfinite(high)):
        return ""
    if published < low:
        return "above"
    return "below" if published > high else "inside"


def judge(both: pd.DataFrame, ours: str, paper: str) -> pd.DataFrame:
    """Return the table with difference (ours minus theirs) and verdict, from our interval (low, high)."""
    verdicts = [verdict(*row) for row in both[[paper, "low", "high"]].to_numpy()]
    return both.assign(difference=both[ours] - both[paper], verdict=verdicts)


def compare_regressors(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of section 2 beside Table 2's mean and deviation, with difference and verdict.

    Its interval is widened by that of a mean over seeds, which the bootstrap of the kept fits does not hold.
    """
    seeds = 1.96 * summary["std"].fillna(0.0) / np.sqrt(summary["seeds"])
    low, high = (np.hypot(summary["mean"] - summary[end], seeds) for end in ("low", "high"))
    summary = summary.assign(low=summary["mean"] - low, high=summary["mean"] + high)
    paper = read_table("2").pivot(index=["name", "data"], columns="metric", values="value").astype(float)
    paper = paper.rename(columns={"rmse_mean": "paper_mean", "rmse_std": "paper_std"}).reset_index()
    both = summary.merge(paper.rename(columns={"name": "regressor"}), on=["regressor", "data"], how="left")
    return judge(both, "mean", "paper_mean")


def compare_elimination(steps: pd.DataFrame) -> pd.DataFrame:
    """Return the steps of section 3 beside Table 7.

    Returns:
        count, rmse, low, high, rmse_paper, difference, verdict, seconds, seconds_paper, score, score_paper.
    """
    paper = read_table("7").pivot(index="name", columns="metric", values="value").astype(float)
    paper = paper.rename(columns={"seconds_per_network": "seconds"}).add_suffix("_paper")
    paper.index = paper.index.str.split().str[0].astype(int).rename("count")
    both = judge(steps.merge(paper.reset_index(), on="count", how="left"), "rmse", "rmse_paper")
    times = ["seconds", "seconds_paper", "score", "score_paper"]
    return both[["count", "rmse", "low", "high", "rmse_paper", "difference", "verdict", *times]]


def compare_settings(deposit: Deposit) -> pd.DataFrame:
    """Return the winner of each ensemble in section 4 beside Table 3's setting on the same rows.

    Returns:
        ensemble, setting (number of the trial), rmse, low, high (percent, test rows), default (RMSE of
        scikit-learn's own setting), paper_setting (that of the paper's), difference, verdict (inside where
        the winner's interval holds the paper's setting).
    """
    finals, rows = deposit.tables["finals"], []
    for name, trial in deposit.settings["winners"].items():
        mine = finals[finals["ensemble"] == name]
        tested = mine.set_index("setting")[["test_rmse", "test_low", "test_high"]]
        ours = tested.rename(columns=lambda column: column.removeprefix("test_")).loc[str(trial)]
        others = {
            "default": tested.loc["default", "test_rmse"],
            "paper_setting": tested.loc["paper", "test_rmse"],
        }
        rows.append({"ensemble": name, "setting": trial, **ours, **others})
    return judge(pd.DataFrame(rows), "rmse", "paper_setting")


def compare_correlations(correlations: pd.DataFrame, space: str, dataset: str) -> pd.DataFrame:
    """Return one cell of section 6 beside Tables 5 and 8.

    Returns:
        proxy, spearman, low, high, n, failed, paper (absolute), verdict and inside (whether the absolute
        interval holds the paper's value, see `verdict`); sorted by the absolute correlation.
    """
    paper = read_table("5", "8").query("metric == 'abs_spearman'")
    paper = paper[(paper["space"] == space) & (paper["dataset"] == dataset)]
    values = paper.assign(proxy=paper["name"].map(COLUMNS)).set_index("proxy")["value"].astype(float)
    mine = correlations[(correlations["space"] == space) & (correlations["dataset"] == dataset)]
    both = mine.drop(columns=CELL).assign(paper=mine["proxy"].map(values))
    flipped = both["spearman"] < 0
    low = both["low"].where(~flipped, -both["high"])
    high = both["high"].where(~flipped, -both["low"])
    ends = pd.DataFrame({"paper": both["paper"], "low": low, "high": high}).astype(float)
    both["verdict"] = [verdict(*row) for row in ends.to_numpy()]
    both["inside"] = both["verdict"].map({"inside": True, "above": False, "below": False}).astype(object)
    both.loc[both["verdict"] == "", "inside"] = None
    return both.sort_values("spearman", key=abs, ascending=False)


def mark_cells(correlations: pd.DataFrame) -> pd.DataFrame:
    """Return how each proxy stands to the paper in each cell: proxy, and a mark (`MARKS`) a cell."""
    blocks = []
    for (space, dataset), _ in correlations.groupby(CELL, sort=False):
        twin = compare_correlations(correlations, str(space), str(dataset)).dropna(subset="paper")
        blocks.append(twin.set_index("proxy")["verdict"].map(MARKS).rename(f"{space} {dataset}"))
    return pd.concat(blocks, axis=1).rename_axis("proxy").reset_index()


def compare_evaluation(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of section 5 beside Tables 4 to 6, 8 and 9.

    Returns:
        reading (of the split: `rows` or `networks`), data (`random` or `stratified`, the paper's words),
        scheme (ours), published (their name), name (ours), space, dataset, metric, paper, ours, difference,
        low, high, verdict, n, seeds; only rows that both have.
    """
    paper = read_table("4", "5", "6", "8", "9").rename(columns={"name": "published", "value": "paper"})
    paper = paper.assign(name=paper["published"].map(COLUMNS), paper=paper["paper"].astype(float))
    read = [paper.assign(reading=r, scheme=paper["data"].map(schemes)) for r, schemes in READINGS.items()]
    both = pd.concat(read).merge(_lengthen(summary), on=["scheme", "name", *CELL, "metric"])
    both = judge(both, "ours", "paper")
    columns = ["reading", "data", "scheme", "published", "name", *CELL, "metric", "paper", "ours"]
    return both[[*columns, "difference", "low", "high", "verdict", "n", "seeds"]]


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
    mine = twin[twin["metric"] == metric]
    text = [
        f"{ours:.2f} [{low:.2f}, {high:.2f}], {paper:.2f}, {ours - paper:+.2f} {MARKS[verdict]}"
        for ours, low, high, paper, verdict in mine[NUMBERS].itertuples(index=False)
    ]
    cells = mine.assign(cell=mine["space"] + " " + mine["dataset"], text=text)
    table = cells.pivot(index="published", columns="cell", values="text")
    return table.loc[mine["published"].unique()].rename_axis(columns=None).reset_index()


def tell_tables(twins: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> str:
    """Return every table of ours beside the paper's, as MyST, in both readings of the split.

    Args:
        twins: what was measured, in words -> `compare_evaluation`.
        metrics: those whose tables are wanted.
    """
    blocks = []
    for where, twin in twins.items():
        for (metric, data, reading), mine in twin.groupby(["metric", "data", "reading"]):
            if metric in metrics:
                sources = read_table("4", "5", "6", "8", "9", keep=True).query(
                    "metric == @metric and data == @data"
                )
                told = " and ".join(sorted(sources["table"].unique()))
                caption = (
                    f"{where}, {data} data, {reading} split: {TITLES[str(metric)]}, beside Table {told}."
                )
                body = show_twin(mine, str(metric)).to_markdown(index=False, disable_numparse=True)
                blocks.append(f":::{{table}} {caption}\n\n{body}\n:::\n")
    return "\n".join(blocks)


def count_verdicts(twin: pd.DataFrame) -> pd.DataFrame:
    """Return how many published values lie inside, above and below.

    Returns:
        reading, data, metric, space, and one column each.
    """
    keys = ["reading", "data", "metric", "space"]
    counts = twin[twin["verdict"] != ""].groupby(keys)["verdict"].value_counts().unstack()
    columns = ["inside", "above", "below"]
    return counts.reindex(columns=columns).fillna(0).astype(int).rename_axis(columns=None).reset_index()

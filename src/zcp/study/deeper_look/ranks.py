"""Average ranks of proxies over tasks: Table 4 of the post, from any table of correlations.

A table of correlations is long: columns space, task, proxy, spearman. What is undefined there (NaN: a
constant proxy, a task that was not measured) or absent is left out and counted, never ranked.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range

from zcp.errors import InputError

TASK = ["space", "task"]
OVERALL = "Overall"


def defined(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table of correlations that have a value.

    Raises:
        InputError: if a column is missing, a (space, task, proxy) occurs twice, a value is no correlation, or
            nothing is left.
    """
    columns = [*TASK, "proxy", "spearman"]
    if missing := [c for c in columns if c not in table]:
        raise InputError(f"a table of correlations needs the column {', '.join(missing)}")
    twice = table[table.duplicated(columns[:3])]
    if len(twice):
        raise InputError(f"two correlations of {twice.iloc[0][columns[:3]].to_dict()}; keep one")
    rows = table[columns].dropna(subset="spearman")
    wrong = rows[rows["spearman"].abs() > 1 + 1e-9]
    if len(wrong):
        raise InputError(f"not a correlation: {wrong.iloc[0].to_dict()}")
    if rows.empty:
        raise InputError("no correlation is defined: there is nothing to compare")
    return rows.reset_index(drop=True)


def rank_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """Rank the proxies of each task by their signed correlation; 1 is the largest, ties share the mean.

    Returns:
        The defined rows of `table` with the column rank, and ranked (how many proxies the task has).
    """
    rows = defined(table)
    groups = rows.groupby(TASK, sort=False)["spearman"]
    return rows.assign(rank=groups.rank(ascending=False), ranked=groups.transform("size"))


def average_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean rank of each proxy over the tasks of each space and over all tasks.

    Returns:
        space (also `Overall`, where each task counts once), proxy, rank (mean; NaN where no task has it),
        tasks (that it was ranked on), left_out (tasks of the space without a value of it).
    """
    both = _with_overall(rank_tasks(table))
    spaces = list(dict.fromkeys(both["space"]))
    proxies = list(dict.fromkeys(table["proxy"]))
    every = pd.MultiIndex.from_product([spaces, proxies], names=["space", "proxy"])
    found = both.groupby(["space", "proxy"])["rank"].agg(rank="mean", tasks="size").reindex(every)
    found["tasks"] = found["tasks"].fillna(0).astype(int)
    total = _with_overall(table).drop_duplicates(TASK)["space"].value_counts()
    left = found.index.get_level_values("space").map(total.to_dict()).to_numpy() - found["tasks"]
    counted: pd.DataFrame = found.assign(left_out=left).reset_index()
    return counted


def _with_overall(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table, and once more as those of a space `Overall`."""
    return pd.concat([table, table.assign(space=OVERALL, task=table["space"] + "/" + table["task"])])


def arrange(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return average ranks with spaces as rows and proxies as columns, in the order of the table."""
    order = {name: list(dict.fromkeys(ranks[name])) for name in ("space", "proxy")}
    wide = ranks.pivot(index="space", columns="proxy", values="rank")
    ordered: pd.DataFrame = wide.reindex(index=order["space"], columns=order["proxy"])
    return ordered


class Comparison(NamedTuple):
    """Whether proxies differ over tasks.

    Attributes:
        p: of Friedman's test that all proxies rank alike (small: they do not).
        critical: difference of average ranks that is significant at 5 percent (Nemenyi), the ranks being
            over `tasks`.
        ranks: average rank by proxy, best first.
        tasks: with a value of every proxy, which alone are used.
        left_out: the other tasks.
    """

    p: float
    critical: float
    ranks: pd.Series
    tasks: int
    left_out: int

    @property
    def tied(self) -> list[str]:
        """The proxies that are not significantly worse than the best, best first."""
        near = self.ranks <= self.ranks.iloc[0] + self.critical
        return [str(name) for name in self.ranks.index[near]]


def compare(table: pd.DataFrame) -> Comparison:
    """Test whether the proxies of a table of correlations differ (Demsar 2006).

    Raises:
        InputError: if fewer than three proxies or two whole tasks are left.
    """
    rows = rank_tasks(table)
    wide = rows.pivot(index=TASK, columns="proxy", values="spearman")
    whole = wide.dropna()
    tasks, proxies = whole.shape
    if tasks < 2 or proxies < 3:
        raise InputError(f"a test needs two tasks and three proxies at least, not {tasks} and {proxies}")
    places = whole.rank(axis=1, ascending=False).mean().sort_values()
    p = float(friedmanchisquare(*whole.to_numpy().T).pvalue)
    # Infinitely many degrees of freedom, as in Nemenyi's tables.
    q = studentized_range.ppf(0.95, proxies, 1e6) / np.sqrt(2)
    critical = float(q * np.sqrt(proxies * (proxies + 1) / (6 * tasks)))
    return Comparison(p, critical, places, tasks, len(wide) - tasks)

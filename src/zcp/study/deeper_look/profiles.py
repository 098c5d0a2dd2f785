r"""Performance profiles (Dolan and Moré 2002): how often is a proxy within a factor of the best one?

The error of a proxy on a task is $1 - \rho$, its distance from a perfect Spearman correlation; it is
$\tau$-suboptimal where its error is $\tau$ times that of the best proxy of the task. The profile at $\tau$ is
the fraction of tasks on which it is at most $\tau$-suboptimal: a step function that jumps at its own $\tau$
and holds the new value from there on.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from zcp.study.deeper_look.ranks import TASK, defined


def suboptimality(table: pd.DataFrame) -> pd.DataFrame:
    r"""Return each correlation's $\tau$; undefined ones are left out (`zcp.study.deeper_look.ranks`).

    Returns:
        space, task, proxy, spearman, tau (1: the best of its task; infinite where the best is perfect and
        this one is not).
    """
    rows = defined(table)
    error = 1 - rows["spearman"].clip(upper=1)
    best = error.groupby([rows[c] for c in TASK], sort=False).transform("min")
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = np.where(error == best, 1.0, error / best)
    return rows.assign(tau=tau)


def profile(table: pd.DataFrame, taus: ArrayLike) -> pd.DataFrame:
    r"""Return the fraction of tasks on which each proxy is at most $\tau$-suboptimal.

    Args:
        table: long table of correlations; a task without a value of a proxy counts as a task that it did not
            solve within any factor, as is usual for solvers that fail.
        taus: where to look, shape (n,).

    Returns:
        One row a tau (the index), one column a proxy, fractions from 0 to 1.
    """
    found = suboptimality(table)
    tasks = len(table.drop_duplicates(TASK))
    points = np.asarray(taus, dtype=np.float64)
    values = {
        proxy: (found.loc[found["proxy"] == proxy, "tau"].to_numpy()[:, None] <= points).sum(0) / tasks
        for proxy in dict.fromkeys(table["proxy"])
    }
    return pd.DataFrame(values, index=pd.Index(points, name="tau"))


def steps(table: pd.DataFrame) -> pd.DataFrame:
    r"""Return the profiles at 1 and every finite $\tau$ where one jumps; draw with `where="post"`."""
    taus = suboptimality(table)["tau"].to_numpy()
    return profile(table, np.unique(np.concatenate([[1.0], taus[np.isfinite(taus)]])))

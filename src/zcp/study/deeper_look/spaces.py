"""The chapters on single search spaces: scores against every task, and the deposits of what was found.

Three origins of a score are kept apart: `ours` were computed by this project, `suite` were published by
NAS-Bench-Suite-Zero, and `post` are the correlations that the post prints.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from zcp.analysis.bootstrap import correlate_usable
from zcp.benchmarks.tasks import TASKS
from zcp.collect import scores_digest, scores_path
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.spaces import get_space
from zcp.study.agreement import agree
from zcp.study.deeper_look.collected import (
    COUNTED,
    accuracy_by_index,
    collections_of,
    counts_of_all,
    describe,
    large_enough,
    our_scores,
)
from zcp.study.deeper_look.heatmaps import correlate_pairs, to_matrix
from zcp.study.deeper_look.published import SCORES, post_tables, published_scores, score_table
from zcp.study.results import Deposit, compare_all, require_same_scores
from zcp.versions import versions

#: Resamples of an interval.
RESAMPLES = 500
PAIRS = ["a", "b", "spearman", "n", "left_out", "scores", "dataset"]
KEYS = ["origin", "scores", "task", "proxy"]


def correlate(
    scores: pd.DataFrame, measured: pd.Series, *seed: object, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Correlate each proxy with what was measured, on the architectures that have both.

    Both are by architecture, and larger is better. No resamples leave the intervals out (NaN).

    Returns:
        proxy, n (architectures used), left_out (measured, but without a usable score: failures are counted,
        never ranked), spearman (signed; NaN where the proxy is constant), low, high (95 percent bootstrap
        interval over architectures).

    Raises:
        InputError: if no architecture has both.
    """
    known = measured.index.intersection(scores.index)
    if known.empty:
        raise InputError("none of the scored architectures was measured on this task")
    scores, measured = scores.reindex(known), measured[known]
    rows = [
        {"proxy": str(proxy)} | correlate_usable(scores[proxy], measured, resamples, "bootstrap", *seed)
        for proxy in scores
    ]
    return pd.DataFrame(rows, columns=["proxy", "n", "left_out", "spearman", "low", "high"])


def correlate_space(space: str, resamples: int = RESAMPLES) -> pd.DataFrame:
    """Correlate all scores of a space, ours and published ones, with the accuracies of its tasks.

    Collections with fewer than `zcp.study.deeper_look.collected.LEAST` networks are left out.

    Returns:
        origin (`ours` or `suite`), scores (our file, `all cells` where all that were trained are counted,
        or `published`), task, then the columns of `correlate`.

    Raises:
        InputError: if the space is unknown, or scores or the data folder are missing.
    """
    return pd.concat(_parts(space, resamples), ignore_index=True)


def _parts(space: str, resamples: int) -> Iterator[pd.DataFrame]:
    for collection in large_enough(space):
        for task in collection.tasks:
            scores, measured = our_scores(collection), accuracy_by_index(space, task)
            found = correlate(scores, measured, space, task, collection.file, resamples=resamples)
            yield found.assign(origin="ours", scores=collection.file, task=task)
    for task in COUNTED.get(space, ()):
        scores, measured = counts_of_all(space), accuracy_by_index(space, task)
        found = correlate(scores, measured, space, task, "counts", resamples=resamples)
        yield found.assign(origin="ours", scores="all cells", task=task)
    for task in [task for known, task in TASKS if known == space and space in SCORES]:
        table, failures = score_table(published_scores(space, task))
        scores, measured = table.drop(columns="accuracy"), table["accuracy"].dropna()
        found = correlate(scores, measured, space, task, "published", resamples=resamples)
        # Most cells were never scored; what was and failed is counted.
        found["left_out"] = found["proxy"].map(failures)
        yield found.assign(origin="suite", scores="published", task=task)


def agreement(space: str) -> pd.DataFrame:
    """Correlate our scores with those that the suite published for the same networks and dataset.

    Returns:
        scores (our file), dataset, proxy, spearman, n, left_out; empty where nothing was published.

    Raises:
        InputError: if scores or the data folder are missing.
    """
    rows = []
    for each in large_enough(space) if space in SCORES else ():
        table, _ = score_table(published_scores(space, each.dataset))
        theirs, ours = table.rename(index=get_space(space).index), our_scores(each)
        for proxy in [str(name) for name in ours if name in theirs]:
            both = ours[[proxy]].join(theirs[proxy].dropna().rename("theirs"), how="inner")
            pair = correlate_pairs(both[[proxy]], both["theirs"]).query(f"a == '{proxy}' and b == 'gt'")
            rows.append(pair.assign(scores=each.file, dataset=each.dataset, proxy=proxy))
    columns = ["scores", "dataset", "proxy", "spearman", "n", "left_out"]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def correlate_scores(space: str) -> pd.DataFrame:
    """Correlate each two proxies of each collection that is large enough; needs no ground truth.

    Returns:
        scores (the file), dataset, a, b, spearman, n, left_out.
    """
    parts = [
        correlate_pairs(our_scores(each)).assign(scores=each.file, dataset=each.dataset)
        for each in large_enough(space)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=PAIRS)


def study(space: str) -> Deposit:
    """Return a chapter's deposit: tables `correlations`, `pairs`, `agreement` and `collections`.

    Raises:
        InputError: if the space is unknown, or scores or the data folder are missing.
    """
    start = time.perf_counter()
    tables = {
        "correlations": correlate_space(space),
        "pairs": correlate_scores(space),
        "agreement": agreement(space),
        "collections": describe(space),
    }
    files = {each.file: scores_digest(each.file) for each in collections_of(space)}
    seconds = round(time.perf_counter() - start, 1)
    origin = {"scores_sha256": files, "versions": versions(), "seconds": seconds}
    return Deposit(f"deeper_{space}", {"space": space, "resamples": RESAMPLES}, tables, origin)


def check(space: str, deposit: Deposit) -> dict[str, pd.DataFrame]:
    """Compare what can be computed here with the deposit: all pairs, and with the data folder all else.

    Returns:
        The compared rows by table.

    Raises:
        DisagreementError: if it was made from other scores, a count differs, or another value by more than
            its measured tolerance.
    """
    live = {"pairs": correlate_scores(space)}
    keys = {"pairs": ["scores", "a", "b"], "correlations": KEYS}
    if data_folder() is not None:
        live["correlations"] = correlate_space(space, resamples=0)
    counts = ["n", "left_out"]
    tables = {
        name: partial(agree, table, deposit, name, keys=keys[name], measured=["spearman"], exact=counts)
        for name, table in live.items()
        if len(table)
    }
    files = [scores_path(file) for file in deposit.provenance["scores_sha256"]]
    same = [partial(require_same_scores, deposit, file) for file in files]
    return dict(zip(tables, compare_all(*tables.values(), *same), strict=False))


def beside_post(correlations: pd.DataFrame, space: str, tasks: Sequence[str]) -> pd.DataFrame:
    """Return one row a task and proxy of the post: task, proxy, post, suite, ours, n.

    `suite` and `ours` are texts with interval, `n` their numbers of architectures, a dash where there is no
    value. The suite's synflow is a logarithm, which orders networks equally.
    """
    post = post_tables(space).set_index(["task", "proxy"])["spearman"]
    # A dead network has no logarithm: our own synflow ranks it, the suite published the logarithm only.
    is_twin = correlations["proxy"].eq("log_synflow") & correlations["origin"].eq("ours")
    known = correlations[~is_twin].replace({"proxy": {"log_synflow": "synflow"}})
    rows = []
    for task, proxy in ((t, p) for t in tasks for p in post_tables()["proxy"].unique()):
        mine = known[known["task"].eq(task) & known["proxy"].eq(proxy)].sort_values("n", ascending=False)
        cells = {origin: _text(mine[mine["origin"].eq(origin)]) for origin in ("suite", "ours")}
        row = {"task": task, "proxy": proxy, "post": post.get((task, proxy), float("nan"))}
        row |= {origin: text for origin, (text, _) in cells.items()}
        rows.append(row | {"n": " / ".join(number for _, number in cells.values() if number)})
    return pd.DataFrame(rows)


def _text(found: pd.DataFrame) -> tuple[str, str]:
    """Return the correlation with its interval, and the number of networks, of a table of one row or none."""
    if found.empty or np.isnan(found["spearman"].iloc[0]):
        return "–", ""
    row = found.iloc[0]
    return f"{row['spearman']:.2f} [{row['low']:.2f}, {row['high']:.2f}]", f"{row['n']:.0f}"


def task_matrix(correlations: pd.DataFrame, origin: str, tasks: Sequence[str]) -> pd.DataFrame:
    """Return correlations as a matrix, a row a proxy and a column a task, best on average first."""
    mine = correlations[correlations["origin"].eq(origin) & ~correlations["scores"].eq("all cells")]
    matrix = mine.pivot(index="proxy", columns="task", values="spearman").reindex(columns=list(tasks))
    order = matrix.mean(axis=1).sort_values(ascending=False).index
    return matrix.loc[order].rename_axis(index=None, columns=None)


def pair_matrix(pairs: pd.DataFrame, scores: str, proxies: Sequence[str]) -> pd.DataFrame:
    """Return the correlations among some proxies of one collection, as a symmetric matrix."""
    return to_matrix(pairs[pairs["scores"].eq(scores)], list(proxies))

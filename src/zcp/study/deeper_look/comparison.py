"""All tasks side by side: correlations among proxies and with the ground truth, ours and published ones.

Two origins are kept apart: `ours`, scores of this project on NATS-Bench, and `suite`, the scores that
NAS-Bench-Suite-Zero published for the other spaces, whose correlations are recomputed here.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from zcp import benchmarks
from zcp.analysis.bootstrap import correlate_usable
from zcp.analysis.scores import turn
from zcp.benchmarks import tasks
from zcp.collect import load_scores, scores_digest, scores_path
from zcp.data.datasets import DATASETS
from zcp.errors import InputError
from zcp.paths import PUBLISHED, data_folder
from zcp.study.agreement import agree
from zcp.study.deeper_look import heatmaps, profiles, ranks
from zcp.study.deeper_look.collected import TRANSNAS
from zcp.study.deeper_look.published import POST, post_tables, published_scores, score_table
from zcp.study.results import Deposit
from zcp.versions import versions

#: Proxies that are compared as well where they were scored.
FURTHER = ("plain", "l2_norm", "naswot", "zen", "zico")
#: A task with fewer architectures tells nothing.
LEAST = 30
#: Task of the topology space -> the dataset whose shape and images our scores have.
SCORED_ON = {
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "ImageNet16-120": "ImageNet16-120",
    "ninapro": "cifar100",
    "darcy": "cifar100",
}
SUITE = {"darts": ("scifar100", "ninapro", "svhn", "cifar10"), "transnas": TRANSNAS}
#: Pairs of the norms of gradients.
FAMILY = (("fisher", "grad_norm"), ("fisher", "snip"), ("grad_norm", "snip"))
RESAMPLES = 500
KEYS = ["origin", "space", "task"]


class Scored(NamedTuple):
    """One task: scores (a column a proxy, larger is better, failures NaN) and accuracies of the same rows."""

    origin: str
    space: str
    task: str
    scores: pd.DataFrame
    accuracy: pd.Series


def our_tasks(scores: str, target: str) -> Iterator[Scored]:
    """Yield the tasks of our own scores.

    With the target `test`, which needs the data folder, these are both NATS-Bench spaces and five tasks in
    the topology space; with `valid` the topology space on its three datasets, from any source.

    Raises:
        InputError: if the target is unknown, or scores or ground truth are missing.
    """
    if target not in ("test", "valid"):
        raise InputError(f"unknown target {target!r}; choose 'test' or 'valid'")
    table = load_scores(scores)
    chosen = [p for p in (*POST, *FURTHER) if p in table]
    for space in ("tss", "sss") if target == "test" else ("tss",):
        wanted = SCORED_ON if space == "tss" and target == "test" else {name: name for name in DATASETS}
        for task, dataset in wanted.items():
            part = table[(table["space"] == space) & (table["dataset"] == dataset)]
            if task in DATASETS:
                known = part["index"].map(benchmarks.load(space).accuracy(task, target))
            else:
                known = part["arch"].map(tasks.accuracy(space, task))
            yield from _enough("ours", space, task, part[chosen], known)


def suite_tasks() -> Iterator[Scored]:
    """Yield the tasks that NAS-Bench-Suite-Zero published scores for; log_synflow ranks as synflow."""
    for space, names in SUITE.items():
        for task in names:
            table, _ = score_table(published_scores(space, task))
            table = table.rename(columns={"log_synflow": "synflow"})
            chosen = [p for p in (*POST, *FURTHER) if p in table]
            yield from _enough("suite", space, task, table[chosen], table["accuracy"])


def _enough(
    origin: str, space: str, task: str, scores: pd.DataFrame, accuracy: pd.Series
) -> Iterator[Scored]:
    rows = accuracy.notna().to_numpy()
    if rows.sum() >= LEAST:
        yield Scored(origin, space, task, turn(scores[rows]), accuracy[rows].astype(float))


def correlate(task: Scored) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the pairs of a task, and each proxy's correlation with the ground truth and its interval.

    Returns:
        (pairs: the columns of `zcp.study.deeper_look.heatmaps.correlate_pairs`; correlations: proxy,
        spearman, low, high (95 percent, bootstrap over architectures), n, left_out), both after origin,
        space and task.
    """
    named = dict(zip(KEYS, task[:3], strict=True))
    rows = [
        {"proxy": proxy}
        | correlate_usable(task.scores[proxy], task.accuracy, RESAMPLES, "bootstrap", *task[:3])
        | named
        for proxy in task.scores
    ]
    columns = ["proxy", "spearman", "n", "left_out", *KEYS, "low", "high"]
    return correlate_pairs(task), pd.DataFrame(rows, columns=columns)


def study(scores: str, target: str) -> Deposit:
    """Return the section's deposit.

    Returns:
        Tables `pairs`, `correlations` (see `correlate`), `averages` (of pairs), `ranks` (of the post's
        proxies, within each origin) and `profiles` (long: origin, tau, proxy, fraction).
    """
    start = time.perf_counter()
    found = list(our_tasks(scores, target)) + (list(suite_tasks()) if target == "test" else [])
    parts = [correlate(task) for task in found]
    pairs, values = (pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True))
    tables = {"pairs": pairs, "correlations": values, **summarise(pairs, values)}
    settings = {"target": target, "resamples": RESAMPLES, "least": LEAST, "seed": "by task"}
    origin: dict[str, Any] = {"scores": scores_path(scores).name, "scores_sha256": scores_digest(scores)}
    origin["versions"] = versions()
    origin["seconds"] = round(time.perf_counter() - start, 1)
    return Deposit(f"comparison-{target}", settings, tables, origin)


def summarise(pairs: pd.DataFrame, correlations: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return averages, ranks and profiles of a deposit's pairs and correlations, over all its tasks."""
    both = {"averages": heatmaps.average_pairs(pairs)}
    eight = correlations[correlations["proxy"].isin(POST)]
    both["ranks"] = ranks.average_ranks(eight)
    found = profiles.steps(eight).rename_axis(columns="proxy")
    both["profiles"] = found.reset_index().melt("tau", value_name="fraction")
    return both


def check(live: Sequence[Scored], deposit: Deposit) -> pd.DataFrame:
    """Compare the pairs of some tasks, computed now, with the deposited ones.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    pairs = pd.concat([correlate_pairs(task) for task in live], ignore_index=True)
    keys, counts = [*KEYS, "a", "b"], ["n", "left_out"]
    return agree(pairs, deposit, "pairs", keys=keys, measured=["spearman"], exact=counts)


def correlate_pairs(task: Scored) -> pd.DataFrame:
    """Return the pairs of a task after its origin, space and name."""
    pairs = heatmaps.correlate_pairs(task.scores, task.accuracy)
    return pairs.assign(**dict(zip(KEYS, task[:3], strict=True)))


def median_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the median correlation over the tasks of a space, spaces as rows, sorted pairs as columns."""
    names = np.sort(pairs[["a", "b"]].to_numpy(str), axis=1)
    both = pairs.assign(a=names[:, 0], b=names[:, 1])
    wide: pd.DataFrame = both.pivot_table("spearman", "space", ["a", "b"], aggfunc="median")
    return wide


def post_ranks() -> pd.DataFrame:
    """Return the post's Table 4 as printed: space (the post's name), proxy, rank."""
    path = PUBLISHED / "post_table4.csv"
    if not path.is_file():
        raise InputError(f"no published table {path}; restore the file, which belongs to the project")
    return pd.read_csv(path)


def post_pairs() -> pd.DataFrame | None:
    """Return the numbers behind the post's Figures 3 to 6: space, task, a, b, spearman; None without data."""
    folder = data_folder()
    path = folder and folder / "deeper_look" / "post_heatmaps.csv"
    return pd.read_csv(path) if path and path.is_file() else None


def beside_post(correlations: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks that both have: proxy, then a column a task with `the post / ours [low, high]`.

    Where a task has two origins the first is shown.
    """
    ours = correlations.drop_duplicates(["space", "task", "proxy"]).set_index(["space", "task", "proxy"])
    both = post_tables().join(
        ours[["spearman", "low", "high"]].add_suffix("_ours"), on=["space", "task", "proxy"]
    )
    both = both.dropna(subset="spearman_ours")
    text = [
        f"{row.spearman:.2f} / {row.spearman_ours:.2f} [{row.low_ours:.2f}, {row.high_ours:.2f}]"
        for row in both.itertuples()
    ]
    named = both.assign(cell=both["space"] + " " + both["task"], text=text)
    wide = named.pivot(index="proxy", columns="cell", values="text").fillna("–")
    return wide.loc[list(POST), list(dict.fromkeys(named["cell"]))].rename_axis(columns=None).reset_index()


def matrices(pairs: pd.DataFrame, label: str) -> dict[str, pd.DataFrame]:
    """Return the matrix of the post's proxies and the ground truth of each task, by `label: task`."""
    order = [*POST, heatmaps.GROUND_TRUTH]
    groups = pairs[pairs["a"].isin(order) & pairs["b"].isin(order)].groupby("task", sort=False)
    return {f"{label}: {task}": heatmaps.to_matrix(part, order) for task, part in groups}

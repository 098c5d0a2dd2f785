"""What others published: the post's tables, and NAS-Bench-Suite-Zero's score of each architecture."""

from functools import cache

import pandas as pd

from zcp.analysis.scores import FAILED
from zcp.benchmarks.tasks import DARTS, accuracy, get_task, read_table
from zcp.errors import InputError
from zcp.paths import PUBLISHED

#: The post's eight proxies, in the order of its tables.
POST = ("fisher", "grad_norm", "grasp", "jacob_cov", "snip", "synflow", "flops", "params")
#: Space of this package -> the post's name, in the order of its Tables 1 to 3.
SPACE_NAMES = {"tss": "NATS-Bench TSS", "darts": "DARTS", "transnas": "TransNAS-Bench-101"}
#: Task of this package -> the post's name.
TASK_NAMES = {
    "scifar100": "Spherical CIFAR-100",
    "cifar100": "CIFAR-100",
    "synthetic_cifar10": "Synthetic CIFAR-10",
    "ninapro": "NinaPro",
    "darcy": "Darcy Flow",
    "jigsaw": "Jigsaw",
    "class_object": "Object Classification",
    "class_scene": "Scene Classification",
    "autoencoder": "Autoencoder",
}
#: Published name of a proxy -> name here, where they differ. Their synflow is a logarithm.
PROXY_NAMES = {"nwot": "naswot", "synflow": "log_synflow"}

KEYS = ("source", "dataset", "naslib_arch", "val_accuracy")
SCORES = {"transnas": "deeper_look/transnas_micro_published_scores.parquet", "darts": DARTS}
#: The release that holds most proxies of a TransNAS task; for DARTS see `zcp.benchmarks.tasks.TASKS`.
TRANSNAS_RELEASE = "nbsz_20220518"


@cache
def _read_tables() -> pd.DataFrame:
    path = PUBLISHED / "post_tables.csv"
    if not path.is_file():
        raise InputError(f"no published tables {path}; restore the file, which belongs to the project")
    spaces, tasks = ({theirs: ours for ours, theirs in m.items()} for m in (SPACE_NAMES, TASK_NAMES))
    frame = pd.read_csv(path)
    return frame.assign(space=frame["space"].map(spaces), task=frame["task"].map(tasks))


def post_tables(space: str | None = None) -> pd.DataFrame:
    """Return the post's Tables 1 (`tss`), 2 (`darts`) and 3 (`transnas`).

    The column heads, which the text lost, are those that the data folder's README recovered.

    Returns:
        One row a number of the table of `space`, of all three by default: space, task, proxy, spearman
        (signed), in the order of the post. Its `synflow` is as the post calls it.

    Raises:
        InputError: if the post has no table of that space.
    """
    if space is not None and space not in SPACE_NAMES:
        raise InputError(f"the post has no table of space {space!r}; it has of {', '.join(SPACE_NAMES)}")
    tables = _read_tables()
    wanted = tables["space"].isin([space] if space else list(SPACE_NAMES))
    return tables.loc[wanted].reset_index(drop=True)


def published_scores(space: str, task: str) -> pd.DataFrame:
    """Return the scores that NAS-Bench-Suite-Zero published for the architectures of a task.

    A proxy comes from one release, never a mixture: from the one that scored most of the architectures of the
    main release, which itself is preferred where it is one of several.

    Returns:
        One row an architecture and proxy: arch, proxy (named as here), score (NaN where the published value
        is -1e8: the measure failed), source (release), accuracy (ground truth; NaN where there is none).

    Raises:
        InputError: if there are none, or the data folder is missing or damaged.
    """
    if space not in SCORES:
        raise InputError(f"no scores were published for space {space!r}; choose one of {', '.join(SCORES)}")
    main = get_task(space, task).column if space == "darts" else TRANSNAS_RELEASE
    frame = read_table(SCORES[space])
    proxies = [name for name in frame if name not in KEYS]
    long = frame[frame["dataset"] == task].rename(columns={"naslib_arch": "arch"})
    long = long.melt(["source", "arch"], proxies, "proxy", "score").dropna(subset="score")
    long["score"] = long["score"].where(long["score"] != FAILED)
    core = set(long.loc[long["source"] == main, "arch"])
    parts = [_one_release(part, core, main) for _, part in long.groupby("proxy", sort=False)]
    table = pd.concat(parts, ignore_index=True)
    table["accuracy"] = table["arch"].map(accuracy(space, task))
    table["proxy"] = table["proxy"].replace(PROXY_NAMES)
    return table.reindex(columns=["arch", "proxy", "score", "source", "accuracy"])


def _one_release(part: pd.DataFrame, core: set[str], main: str) -> pd.DataFrame:
    valid = part[part["score"].notna() & part["arch"].isin(core)].groupby("source").size()
    releases = part["source"].unique()
    best = max(releases, key=lambda name: (int(valid.get(name, 0)), name == main, name))
    chosen: pd.DataFrame = part.loc[part["source"] == best]
    return chosen


def score_table(published: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return scores of `published_scores` with one column a proxy, and how many of each proxy failed.

    Returns:
        (table indexed by arch: a column a proxy and `accuracy`, NaN where a score failed or is not published;
        Series of the failures, indexed by proxy). Failed scores must be left out, not ranked.
    """
    wide = published.pivot(index="arch", columns="proxy", values="score").rename_axis(columns=None)
    wide["accuracy"] = published.drop_duplicates("arch").set_index("arch")["accuracy"]
    failures = published["score"].isna().groupby(published["proxy"]).sum().astype(int).rename("failed")
    return wide, failures

"""How proxies predict while the networks train: Figure 9 of the post, from trainings of our own."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from zcp.analysis.bootstrap import correlate_usable
from zcp.analysis.metrics import spearman
from zcp.data.checksums import sha256
from zcp.errors import InputError
from zcp.paths import PROJECT, data_folder
from zcp.study.agreement import SINGLE, agree
from zcp.study.deeper_look import training
from zcp.study.deeper_look.small_tasks import load_task
from zcp.study.deeper_look.training import PROXIES, Recipe
from zcp.study.results import Deposit
from zcp.versions import versions

#: What a training shows of itself, beside the proxies: both larger is better.
LEARNING = ("accuracy", "negative_loss")
RESAMPLES = 200
#: Where the rows of trainings, scores and accuracies of our own, are deposited.
DEPOSITED = PROJECT / "data" / "deeper_look"
KEYS = ["seed", "epoch", "proxy"]
#: The network that is trained once more, the first of the order whose epoch on the digits went one way under
#: each of 40 moves of all inputs by one unit in the last place. The two before it (8922, 302) took several:
#: rounding decides which, so that nothing can be compared with what they became.
STEADY = 13365


def correlate(rows: pd.DataFrame) -> pd.DataFrame:
    """Correlate every proxy after every epoch with the final accuracy of the same training.

    Returns:
        seed, epoch, proxy (also `accuracy` and `negative_loss` so far), spearman, low, high (95 percent,
        bootstrap over architectures; NaN where the proxy is constant), n (architectures), left_out (those
        without a usable score).
    """
    rows = rows.assign(negative_loss=-rows["loss"])
    final = rows[rows["epoch"] == rows["epoch"].max()].set_index(["seed", "index"])["accuracy"]
    found = []
    for (seed, epoch), part in rows.groupby(["seed", "epoch"]):
        measured = final.loc[seed].reindex(part["index"]).to_numpy()
        for proxy in (*PROXIES, *LEARNING):
            row = {"seed": seed, "epoch": epoch, "proxy": proxy}
            found.append(row | correlate_usable(part[proxy], measured, RESAMPLES, "decay"))
    return pd.DataFrame(found)


def average(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds, and the least and greatest: epoch, proxy, spearman, least, most, seeds."""
    groups = curves.groupby(["epoch", "proxy"], sort=False)["spearman"]
    return groups.agg(spearman="mean", least="min", most="max", seeds="count").reset_index()


def tabulate(curves: pd.DataFrame, epochs: Sequence[int]) -> pd.DataFrame:
    """Return means over seeds: proxy, one column an epoch, n (fewest rows), left_out (most, of any epoch)."""
    groups = curves[curves["epoch"].isin(epochs)].groupby("proxy", sort=False)
    means = curves.groupby(["proxy", "epoch"], sort=False)["spearman"].mean().unstack("epoch")[list(epochs)]
    counts = groups.agg(n=("n", "min"), left_out=("left_out", "max"))
    return means.add_prefix("epoch ").join(counts).rename_axis(columns=None).reset_index()


def seed_agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation of final accuracies between two seeds: seed, other, spearman, n."""
    final = rows[rows["epoch"] == rows["epoch"].max()].pivot(index="index", columns="seed", values="accuracy")
    pairs = [(a, b) for a in final for b in final if a < b]
    found = [(a, b, spearman(final[a], final[b]), len(final)) for a, b in pairs]
    return pd.DataFrame(found, columns=["seed", "other", "spearman", "n"])


def study(name: str, rows: pd.DataFrame, recipe: Recipe, seconds: float) -> Deposit:
    """Return the deposit of one task: `curves` (see `correlate`), `accuracy` by epoch and `agreement`."""
    groups = rows.groupby(["seed", "epoch"])["accuracy"]
    accuracy = groups.agg(mean="mean", least="min", median="median", most="max").reset_index()
    seeds, count = sorted(map(int, rows["seed"].unique())), int(rows["index"].nunique())
    settings = {"task": name, "recipe": asdict(recipe), "resamples": RESAMPLES}
    settings |= {"seeds": seeds, "architectures": count}
    tables = {"curves": correlate(rows), "accuracy": accuracy, "agreement": seed_agreement(rows)}
    made = {"versions": versions(), "seconds": round(seconds, 1), "rows": len(rows)}
    if (path := DEPOSITED / f"decay-{name}.parquet").is_file():
        made["rows_sha256"] = sha256(path)
    return Deposit(f"decay-{name}", settings, tables, made)


def read_rows(name: str) -> pd.DataFrame:
    """Return the deposited rows of the trainings of a task.

    Raises:
        InputError: if they are missing.
    """
    path = DEPOSITED / f"decay-{name}.parquet"
    if not path.is_file():
        raise InputError(f"no deposited trainings {path}; make them with `zcp run 16 -p profile paper`")
    return pd.read_parquet(path)


def write_rows(name: str, rows: pd.DataFrame) -> None:
    """Deposit the rows of the trainings of a task."""
    DEPOSITED.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(DEPOSITED / f"decay-{name}.parquet", index=False, compression="zstd")


def check(rows: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare the correlations of rows, computed now, with the deposited ones.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    counts = ["n", "left_out"]
    return agree(correlate(rows), deposit, "curves", keys=KEYS, measured=["spearman"], exact=counts)


def retrain(name: str, rows: pd.DataFrame, recipe: Recipe, indices: Sequence[int]) -> pd.DataFrame:
    """Train some networks anew for one epoch and compare them with the deposited rows.

    Raises:
        DisagreementError: if a score before or after the epoch, or the accuracy, differs by more than its
            measured tolerance; steps of gradient descent magnify rounding, so that most of what an epoch
            leaves is listed and not compared.
    """
    task, seed = load_task(name), int(rows["seed"].min())
    again = pd.DataFrame([r for i in indices for r in training.train(i, task, recipe, seed, epochs=1)])
    trainings = Deposit(f"trainings-{name}", {}, {"rows": rows})
    keys, measured = ["index", "seed", "epoch"], ["accuracy", *PROXIES]
    return agree(again, trainings, "rows", keys=keys, measured=measured, by=["epoch"], share=SINGLE)


def post_curves() -> pd.DataFrame | None:
    """Return the digitised Figure 9: dataset, proxy, epoch_index, spearman; None without the data folder."""
    folder = data_folder()
    path = folder and folder / "deeper_look" / "post_fig9_digitised.csv"
    return pd.read_csv(path).drop(columns="src") if path and path.is_file() else None

"""Do proxies predict better together? Votes, sums of ranks of two, and each with params or flops."""

import time
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from zcp.analysis.scores import turn, usable
from zcp.ensemble.examples import Examples
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.deeper_look.published import POST
from zcp.study.results import Deposit, compare_all

#: Members of combinations, where the scores hold them: the post's eight and cheap later ones.
MEMBERS = (*POST, "naswot", "zen", "zico")
VOTE = ("jacob_cov", "snip", "synflow")
FOUR = (*VOTE, "zen")
CELL = ["space", "dataset"]
KINDS = ("single", "with params", "with flops", "pair", "vote", "four", "all")


def vote(ranks: pd.DataFrame) -> np.ndarray:
    """Return how many networks each one beats by a majority of the proxies, shape (n,).

    Args:
        ranks: one column a voter, larger is better; an equal rank is no vote, and equal votes half a win.
    """
    columns = ranks.to_numpy(float)
    ayes = sum(np.sign(c[:, None] - c[None, :]) for c in columns.T)
    wins: np.ndarray = (np.sign(ayes) + 1).sum(axis=1) / 2
    return wins


def combine(ranks: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Return combined scores by (kind, name); the rank sum of two names them `a + b`."""
    found = {("single", str(name)): ranks[name].to_numpy(float) for name in ranks}
    for a, b in combinations(ranks, 2):
        found["pair", f"{a} + {b}"] = (ranks[a] + ranks[b]).to_numpy(float)
    for base in ("params", "flops"):
        for name in ranks.columns.drop(["params", "flops"], errors="ignore"):
            if base in ranks:
                found[f"with {base}", f"{name} + {base}"] = (ranks[name] + ranks[base]).to_numpy(float)
    for kind, members in (("vote", VOTE), ("four", FOUR), ("all", tuple(ranks))):
        if set(members) <= set(ranks):
            mine = ranks[list(members)]
            name = "all" if kind == "all" else " + ".join(map(str, members))
            found[kind, name] = vote(mine) if kind == "vote" else mine.sum(axis=1).to_numpy(float)
    return found


def correlate(examples: Examples, seeds: Sequence[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every combination on every cell, and what a choice by one half is worth on the other.

    Networks without a usable score of every member are left out. A half of them decides which combination of
    a kind is used, the other half says how good it is: the best of many on the same data would flatter.

    Returns:
        (all: space, dataset, kind, name, spearman, n, left_out; halves: space, dataset, kind, seed, name (the
        choice), spearman (on the other half)).
    """
    rows, halves = [], []
    labels = examples.labels.reset_index(drop=True)
    for (space, dataset), cell in labels.groupby(CELL, sort=False):
        part = examples.take(cell.index.to_numpy())
        scores = turn(part.features[[m for m in MEMBERS if m in part.features]])
        known = np.logical_and.reduce([usable(scores[name]) for name in scores])
        ranks = scores[known].rank().reset_index(drop=True)
        accuracy = part.accuracy[known].reset_index(drop=True)
        key = {"space": space, "dataset": dataset}
        found = _spearman(ranks, accuracy)
        counts = {"n": len(ranks), "left_out": int((~known).sum())}
        rows += [key | {"kind": k, "name": n, "spearman": v} | counts for (k, n), v in found.items()]
        for seed in seeds:
            halves += [key | row for row in _halve(ranks, accuracy, seed)]
    return pd.DataFrame(rows), pd.DataFrame(halves)


def _halve(ranks: pd.DataFrame, accuracy: pd.Series, seed: int) -> list[dict[str, object]]:
    order = np.random.default_rng(seed_for("halves", seed)).permutation(len(ranks))
    first, second = (_spearman(ranks.iloc[o].rank(), accuracy.iloc[o]) for o in np.array_split(order, 2))
    rows: list[dict[str, object]] = []
    for kind in dict.fromkeys(k for k, _ in first):
        name = max((value, n) for (k, n), value in first.items() if k == kind)[1]
        rows.append({"kind": kind, "seed": seed, "name": name, "spearman": second[kind, name]})
    return rows


def _spearman(ranks: pd.DataFrame, accuracy: pd.Series) -> dict[tuple[str, str], float]:
    combined = combine(ranks)
    table = pd.DataFrame(dict(enumerate(combined.values())))
    found = table.rank().corrwith(accuracy.reset_index(drop=True).rank())
    return dict(zip(combined, map(float, found), strict=True))


def study(examples: Examples, seeds: Sequence[int]) -> Deposit:
    """Return the deposit `combination-<target>`, with the tables `all` and `halves` (see `correlate`)."""
    start = time.perf_counter()
    rows, halves = correlate(examples, seeds)
    settings = {"target": examples.target, "seeds": list(seeds)}
    made = examples.provenance(time.perf_counter() - start)
    return Deposit(f"combination-{examples.target}", settings, {"all": rows, "halves": halves}, made)


def summarise(halves: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over seeds: kind, then one text column a cell, and the mean."""
    groups = halves.groupby(["kind", *CELL], sort=False)["spearman"].agg(["mean", "std"]).reset_index()
    text = groups.apply(lambda row: f"{row['mean']:.3f} ± {row['std']:.3f}", axis=1)
    named = groups.assign(cell=groups["space"] + " " + groups["dataset"], text=text)
    wide = named.pivot(index="kind", columns="cell", values="text")
    wide["mean"] = groups.groupby("kind")["mean"].mean()
    return wide.reindex([k for k in KINDS if k in wide.index]).rename_axis(columns=None).reset_index()


def check(examples: Examples, deposit: Deposit) -> dict[str, pd.DataFrame]:
    """Compare the correlations of all networks, and what the first choice by a half is worth, as of now.

    Returns:
        The compared rows by table.

    Raises:
        DisagreementError: if a count or a choice differs, or another value by more than its measured
            tolerance.
    """
    every, halves = correlate(examples, deposit.settings["seeds"][:1])
    keys, counts, measured = [*CELL, "kind", "name"], ["n", "left_out"], ["spearman"]
    found = compare_all(
        lambda: agree(every, deposit, "all", keys=keys, measured=measured, exact=counts),
        lambda: agree(halves, deposit, "halves", keys=[*keys, "seed"], measured=measured),
    )
    return dict(zip(("all", "halves"), found, strict=True))

"""The book's claim and headline table, as Markdown, from the deposited evaluation."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from zcp.data.datasets import DATASETS
from zcp.errors import InputError
from zcp.spaces import SPACES
from zcp.study import results
from zcp.study.greenfactory.ceiling import ceilings_of
from zcp.study.greenfactory.paper import compare_evaluation
from zcp.study.greenfactory.published import ENSEMBLES
from zcp.study.greenfactory.summaries import arrange

CAPTION = (
    "Absolute Kendall correlation with test accuracy, mean ± standard deviation over {seeds} seeds, about "
    "{n:.0f} test networks a cell. *Grouped*: an architecture's rows stay on one side of the split; "
    "*random*: single rows are split, as in the paper {{cite}}`cortes2025greenfactory`, whose networks are "
    "more than ours. See how far an ensemble is above its best single proxy, and how near to "
    "the paper."
)
CLAIM = (
    "A random forest on {features} features, zero-cost proxies and the dataset, ranks unseen architectures "
    "of NATS-Bench with a Kendall correlation of **{ours}** in the six cells of search space and dataset. "
    "The best single proxy, `{best}`, reaches {single}; the number of parameters alone, {params}."
)


# One line each: what reproduces, what does not, and why.
REPRODUCES = (
    "- **What reproduces.** {sss} of the absolute Kendall correlations that GreenFactory "
    "{{cite}}`cortes2025greenfactory` prints for single proxies in the size space lie inside our 95 percent "
    "intervals, and {early} of those in the topology space, if the accuracy is that after 12 epochs."
)
FAILS = (
    "- **What does not.** Its ensemble: with rows split at random ours reaches {ours} on average over the "
    "cells, the paper's {paper}; {cells} of the paper's {total} values lie inside our intervals. With the "
    "accuracy after the full training, only {late} of its proxies' values in the topology space do."
)
WHY = (
    "- **Why.** Its topology-space numbers fit the accuracy after 12 epochs; it fits some hundred thousand "
    "rows, we fit {rows:,}; some definitions are not published; and over-sampling before the split alone "
    "moves our ensemble from {random} to {stratified}, because copies of a network lie on both sides."
)
WITHOUT_LEAKS = (
    "- **Without leaks**, a network, its three datasets and its isomorphic twins on one side of the split: "
    "**{clean}** on average over {splits} splits, where seed noise would let a perfect predictor reach "
    "{ceiling}. With twins on both sides it is {grouped}, {gain:+.2f} over the best single proxy."
)


class Beside(NamedTuple):
    """What the evaluation is held against: deposits of the same target, and of 12 epochs."""

    short: results.Deposit
    leaks: results.Deposit
    ceiling: results.Deposit


def headline(deposit: results.Deposit, beside: Beside | None = None) -> Iterator[str]:
    """Yield the claim, what reproduces and what does not, and the table.

    Args:
        deposit: an evaluation; the first of its ensembles is the one that the claim is about.
        beside: the evaluation with the accuracy after 12 epochs, the leaks and the ceiling; where None, the
            claim stands alone.

    Raises:
        InputError: if a value that the claim needs is missing.
    """
    summary, ensembles = deposit.tables["summary"], list(deposit.settings["ensembles"])
    cells = [f"{space} {dataset}" for space in SPACES for dataset in DATASETS]
    grouped = arrange(summary, "grouped").reindex(columns=cells)
    best = str(grouped.drop(index=ensembles).mean(axis=1).idxmax())
    features = len(deposit.settings["ensembles"][ensembles[0]]["features"])
    yield CLAIM.format(
        features=features,
        ours=_range(grouped, ensembles[0]),
        best=best,
        single=_range(grouped, best),
        params=_range(grouped, "params"),
    )
    if beside is not None:
        yield from ("", *_stand(deposit, beside, grouped, best))
    n = summary.query("scheme == 'grouped'")["n"].mean()
    yield from ("", f":::{{table}} {CAPTION.format(seeds=len(deposit.settings['seeds']), n=n)}")
    yield from (":name: tab-headline", "", "| | split | " + " | ".join(map(str, grouped.columns)) + " |")
    yield "|---|---|" + "---:|" * len(grouped.columns)
    yield from _rows(summary, grouped, [*ensembles, best], ["params"])
    yield ":::"


def _stand(deposit: results.Deposit, beside: Beside, grouped: pd.DataFrame, best: str) -> Iterator[str]:
    """Yield how our evaluation stands to the paper's, a line each."""
    summary, name = deposit.tables["summary"], next(iter(deposit.settings["ensembles"]))
    late, early = (
        compare_evaluation(each.tables["summary"]).query("scheme == 'random' and metric == 'abs_kendall'")
        for each in (deposit, beside.short)
    )
    proxies = ~late["published"].isin(ENSEMBLES)
    inside = early[~early["published"].isin(ENSEMBLES) & early["space"].eq("tss")]
    yield REPRODUCES.format(sss=_share(late[proxies & late["space"].eq("sss")]), early=_share(inside))
    mine = late[late["name"] == name]
    yield FAILS.format(
        ours=f"{mine['ours'].mean():.2f}",
        paper=f"{mine['paper'].mean():.2f}",
        cells=mine["verdict"].eq("inside").sum(),
        total=len(mine),
        late=_share(late[proxies & late["space"].eq("tss")]),
    )
    means = {scheme: arrange(summary, scheme).loc[name].mean() for scheme in ("random", "stratified")}
    shown = {scheme: f"{value:.2f}" for scheme, value in means.items()}
    yield WHY.format(rows=deposit.provenance["rows"], **shown)
    average = grouped.mean(axis=1)
    ours = results.finite(float(average[name]), name)
    gain = ours - results.finite(float(average[best]), best)
    clean = beside.leaks.tables["summary"].query("scheme == 'isomorphic'")["kendall"].mean()
    yield WITHOUT_LEAKS.format(
        clean=f"{results.finite(float(clean), 'the leak-free split'):.2f}",
        splits=len(beside.leaks.settings["seeds"]),
        ceiling=f"{ceilings_of(beside.ceiling, 'kendall').mean():.2f}",
        grouped=f"{ours:.2f}",
        gain=gain,
    )


def _share(twin: pd.DataFrame) -> str:
    judged = twin[twin["verdict"] != ""]
    if judged.empty:
        raise InputError("the deposited evaluation has no intervals; make it with `make study PROFILE=paper`")
    return f"{judged['verdict'].eq('inside').sum()} of {len(judged)}"


def _rows(
    summary: pd.DataFrame, grouped: pd.DataFrame, both: Sequence[str], once: Sequence[str]
) -> Iterator[str]:
    apart = arrange(summary, "random").reindex(columns=grouped.columns)
    spread = {
        scheme: arrange(summary, scheme, "abs_kendall_std").reindex(columns=grouped.columns)
        for scheme in ("grouped", "random")
    }
    paper = compare_evaluation(summary).query("scheme == 'random' and metric == 'abs_kendall'")
    published = arrange(paper.assign(scheme="random"), "random", "paper").reindex(columns=grouped.columns)
    for name in dict.fromkeys([*both, *once]):
        shown = f"**{name}**" if name == both[0] else name
        yield _row(shown, "grouped", grouped.T[name], spread["grouped"].T[name])
        if name in both:
            yield _row("", "random", apart.T[name], spread["random"].T[name])
        if name in published.index:
            yield _row("*the paper*", "random", published.T[name])


def _row(name: str, scheme: str, taus: pd.Series, spread: pd.Series | None = None) -> str:
    cells = [f"{tau:.3f}" for tau in taus]
    if spread is not None:
        # What needs no split has no deviation over splits.
        told = [f" ± {std:.2f}" if pd.notna(std) else "" for std in spread]
        cells = [tau + std for tau, std in zip(cells, told, strict=True)]
    return f"| {name} | {scheme} | " + " | ".join(cells) + " |"


def _range(taus: pd.DataFrame, name: str) -> str:
    found = taus.T[name]
    if found.isna().any():
        raise InputError(f"the deposited evaluation of {name!r} lacks a cell: {found.to_dict()}")
    return f"{found.min():.2f} to {found.max():.2f}"

"""The book's claim and headline table, as Markdown, from the deposited evaluation."""

from collections.abc import Iterator, Sequence

import pandas as pd

from zcp import results
from zcp.datasets import DATASETS
from zcp.ensemble.evaluation import arrange
from zcp.ensemble.twins import compare_with_paper
from zcp.errors import InputError
from zcp.spaces import SPACES

CAPTION = (
    "Absolute Kendall correlation with test accuracy, mean ± standard deviation over {seeds} seeds, about "
    "{n:.0f} test networks a cell. *Grouped*: an architecture's rows stay on one side of the split; "
    "*random*: single rows are split, as in the paper {{cite}}`cortes2025greenfactory`, whose networks and "
    "proxies are more than ours. See how far an ensemble is above its best single proxy, and how near to "
    "the paper."
)
CLAIM = (
    "A random forest on {features} features, zero-cost proxies and the dataset, ranks unseen architectures "
    "of NATS-Bench with a Kendall correlation of **{ours}** in the six cells of search space and dataset. "
    "The best single proxy, `{best}`, reaches {single}; the number of parameters alone, {params}."
)


def headline(deposit: results.Deposit) -> Iterator[str]:
    """Yield the lines of the claim and of the table.

    Args:
        deposit: an evaluation; the first of its ensembles is the one that the claim is about.

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
    n = summary.query("scheme == 'grouped'")["n"].mean()
    yield from ("", f":::{{table}} {CAPTION.format(seeds=len(deposit.settings['seeds']), n=n)}")
    yield from (":name: tab-headline", "", "| | split | " + " | ".join(map(str, grouped.columns)) + " |")
    yield "|---|---|" + "---:|" * len(grouped.columns)
    yield from _rows(summary, grouped, [*ensembles, best], ["params"])
    yield ":::"


def _rows(
    summary: pd.DataFrame, grouped: pd.DataFrame, both: Sequence[str], once: Sequence[str]
) -> Iterator[str]:
    apart = arrange(summary, "random").reindex(columns=grouped.columns)
    spread = {
        scheme: arrange(summary, scheme, "abs_kendall_std").reindex(columns=grouped.columns)
        for scheme in ("grouped", "random")
    }
    paper = compare_with_paper(summary).query("scheme == 'random' and metric == 'abs_kendall'")
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
        cells = [f"{tau} ± {std:.2f}" for tau, std in zip(cells, spread, strict=True)]
    return f"| {name} | {scheme} | " + " | ".join(cells) + " |"


def _range(taus: pd.DataFrame, name: str) -> str:
    found = taus.T[name]
    if found.isna().any():
        raise InputError(f"the deposited evaluation of {name!r} lacks a cell: {found.to_dict()}")
    return f"{found.min():.2f} to {found.max():.2f}"

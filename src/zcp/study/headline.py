"""The landing page's lead, its four lines and its table, as Markdown: filled from deposits and model cards.

The number that comes first is that of networks which no choice has seen, by `zcp.study.greenfactory.nested`.
What is of other rows, or chosen on them, says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import pandas as pd

from zcp.data.datasets import DATASETS
from zcp.ensemble.measured import DESCRIBED, TO_BEAT
from zcp.errors import InputError
from zcp.paths import MODELS, RESULTS
from zcp.spaces import SPACES
from zcp.study import results
from zcp.study.greenfactory import leaks, shipped
from zcp.study.greenfactory.ceiling import bounds_of, ceilings_of
from zcp.study.greenfactory.paper import compare_evaluation
from zcp.study.greenfactory.published import ENSEMBLES
from zcp.study.greenfactory.summaries import arrange

OURS = "GreenFactory"
TURNED = "mean of ranks, turned"
BASELINES = (*TO_BEAT, TURNED, "params")
TAU = ["kendall", "kendall_low", "kendall_high"]
CELLS = [f"{space} {dataset}" for space in SPACES for dataset in DATASETS]
LEAD = (
    "On networks of NATS-Bench that no choice has seen, under any of their names, zero-cost proxies together"
    " rank accuracies with a Kendall correlation of **{tau}** on average over {cells} cells of search space "
    "and dataset (GreenFactory; mean and 95 percent interval over {splits} splits). The best single proxy of"
    " each cell, chosen on training rows, has {single}, the unfitted mean of all proxies' ranks {ranks}, or "
    "{turned} if training rows tell its directions, the number of parameters {params}; the difference to the "
    "best of these is {gain}. The same models on the architecture alone, without a proxy, have {described}: "
    "the difference to them is {over_described}."
)
SHIPS = "- **What ships.** {models} {{doc}}`notebooks/11_prediction` has every cell."
REACHED = (
    "- **What can be reached.** In the topology space seed noise would let a perfect predictor reach "
    "{ceiling}; GreenFactory has {tss} there. In the size space nothing was trained twice, and there is only"
    " a bound: a model of the widths alone, fitted on most of the complete space, reaches {bound}, so the "
    "ceiling is at least that; on the rows that have scores GreenFactory has {sss}, and the architecture "
    "alone {described}."
)
COPIES = (
    "- **What copies are worth.** With rows over-sampled before the split, a reading of the paper, the "
    "forest of {{doc}}`notebooks/04_tuning` has {stratified}; with every leak closed, {clean}. Copies of "
    "rows add {copies}, all leaks together {leaked}, and the changed mixture of accuracies, which is no "
    "leak, {mixture}."
)
PAPER = (
    "- **Against the paper.** With rows split at random that forest has {ours}, and "
    "{{cite}}`cortes2025greenfactory` prints {paper}, on average over the cells; {rows} of the paper's "
    "values lie inside our 95 percent intervals if it split rows, {networks} if it split networks. Of its "
    "values of single proxies {sss} lie inside in the size space; in the topology space {late} for the full "
    "training, and {early} for the one of 12 epochs."
)
CAPTION = (
    "Kendall correlation with test accuracy. *Outer test*: networks that no choice has seen, about {sss:.0f} "
    "a cell in the size space and {tss:.0f} in the topology space, mean of {splits} splits. *Random rows*: "
    "as the paper may have split, absolute; features and forest were chosen on rows of the same collection, "
    "and a network's other rows may be in training. Compare the first row with the baselines below it, and "
    "with what sees the architecture alone."
)


class Sources(NamedTuple):
    """What the landing page is filled from.

    Attributes:
        nested: the evaluation whose test rows nothing else reads.
        leaks: the chain of splits.
        ceiling: ceilings and bounds.
        evaluation: the paper's protocol.
        short: the same for the accuracy after 12 epochs.
        models: folder of the shipped models.
    """

    nested: results.Deposit
    leaks: results.Deposit
    ceiling: results.Deposit
    evaluation: results.Deposit
    short: results.Deposit
    models: Path = MODELS

    @classmethod
    def read(cls, folder: Path = RESULTS, models: Path = MODELS) -> Self:
        """Read the deposits of the target `test`.

        Raises:
            InputError: if one is missing or damaged.
        """
        names = ("nested-test", "leaks-test", "ceiling-test", "evaluation-test", "evaluation-test_12ep")
        nested, chain, ceiling, evaluation, short = (results.read(name, folder) for name in names)
        return cls(nested, chain, ceiling, evaluation, short, models)


def headline(sources: Sources) -> Iterator[str]:
    """Yield the lead, the lines and the table.

    Raises:
        InputError: if a value that one of them needs is missing.
    """
    outer = _outer(sources.nested)
    yield from (_lead(sources.nested, outer), "")
    models = [shipped.tell(name, shipped.find(name, "test", sources.models)) for name in shipped.NAMES]
    yield SHIPS.format(models=" ".join(models))
    yield _reached(sources.ceiling, outer)
    yield _copies(sources.leaks)
    yield _paper(sources)
    yield from _table(sources, outer)


def _outer(nested: results.Deposit) -> pd.DataFrame:
    """Return Kendall's correlation on the outer test rows: a row a name, a column a cell.

    Raises:
        InputError: if what the page needs lacks a cell.
    """
    summary = nested.tables["summary"]
    named = summary.assign(cell=summary["space"] + " " + summary["dataset"])
    outer = named.pivot(index="name", columns="cell", values="kendall").reindex(columns=CELLS)
    for name in (OURS, *BASELINES, DESCRIBED):
        if name not in outer.index or outer.loc[name].isna().any():
            raise InputError(
                f"{nested.name} lacks a cell of {name!r}; make it with `zcp run 09 -p profile paper`"
            )
    return outer


def _lead(nested: results.Deposit, outer: pd.DataFrame) -> str:
    summary, gains = nested.tables["summary"], nested.tables["gains"]
    whole = summary[summary["space"] == "all"].set_index("name")
    best = str(whole.loc[list(BASELINES), "kendall"].idxmax())
    ours = gains[(gains["name"] == OURS) & (gains["space"] == "all")].set_index("over")
    if best not in ours.index:
        raise InputError(f"{nested.name} does not compare {OURS} with {best}")
    over = {name: _tell(ours, name, ["difference", "low", "high"], "+") for name in (best, DESCRIBED)}
    told = {name: _tell(whole, name, TAU) for name in (*BASELINES, DESCRIBED)}
    return LEAD.format(
        tau=_tell(whole, OURS, TAU),
        cells=outer.shape[1],
        splits=len(nested.settings["seeds"]),
        single=told["best proxy"],
        ranks=told["mean of ranks"],
        turned=told[TURNED],
        params=told["params"],
        gain=over[best],
        described=told[DESCRIBED],
        over_described=over[DESCRIBED],
    )


def _tell(table: pd.DataFrame, name: str, columns: Sequence[str], sign: str = "") -> str:
    """Return a mean and the ends of its interval, three columns of a row, in two decimals."""
    found = [results.finite(float(table[column][name]), f"{column} of {name}") for column in columns]
    value, low, high = (f"{each:{sign}.2f}" for each in found)
    return f"{value} [{low}, {high}]"


def _reached(ceiling: results.Deposit, outer: pd.DataFrame) -> str:
    limits = {"tss": ceilings_of(ceiling), "sss": bounds_of(ceiling)}
    cells = {space: [cell for cell in CELLS if cell.startswith(space)] for space in limits}
    means = {}
    for space, limit in limits.items():
        named = limit.reindex(cells[space])
        means[space] = results.finite(float(named.mean(skipna=False)), f"the limit of {space}")
    ours = {space: outer.loc[OURS, cells[space]].mean() for space in limits}
    return REACHED.format(
        ceiling=f"{means['tss']:.2f}",
        bound=f"{means['sss']:.2f}",
        tss=f"{ours['tss']:.2f}",
        sss=f"{ours['sss']:.2f}",
        described=f"{outer.loc[DESCRIBED, cells['sss']].mean():.2f}",
    )


def _copies(deposit: results.Deposit) -> str:
    worth = leaks.decompose(deposit.tables["cells"]).query("metric == 'kendall'").set_index("leak")
    added = {
        name: _tell(worth, leak, ["mean", "low", "high"], "+")
        for name, leak in (("copies", "copies of a row"), ("leaked", "all leaks"), ("mixture", leaks.MIXTURE))
    }
    taus = deposit.tables["summary"].groupby("scheme")["kendall"].mean()
    return COPIES.format(stratified=f"{taus['stratified']:.2f}", clean=f"{taus['isomorphic']:.2f}", **added)


def _paper(sources: Sources) -> str:
    late, early = (
        compare_evaluation(each.tables["summary"]).query("data == 'random' and metric == 'abs_kendall'")
        for each in (sources.evaluation, sources.short)
    )
    mine = dict(iter(late[late["name"] == OURS].groupby("reading")))
    return PAPER.format(
        ours=f"{mine['rows']['ours'].mean():.2f}",
        paper=f"{mine['rows']['paper'].mean():.2f}",
        rows=_inside(mine["rows"]),
        networks=_inside(mine["networks"]),
        sss=_inside(_proxies(late, "sss")),
        late=_inside(_proxies(late, "tss")),
        early=_inside(_proxies(early, "tss")),
    )


def _proxies(twin: pd.DataFrame, space: str) -> pd.DataFrame:
    """Return the rows of single proxies; they are fitted to nothing, so that both readings give the same."""
    return twin[~twin["name"].isin(ENSEMBLES) & twin["space"].eq(space) & twin["reading"].eq("rows")]


def _inside(twin: pd.DataFrame) -> str:
    judged = twin[twin["verdict"] != ""]
    if judged.empty:
        raise InputError("the deposited evaluation has no intervals; make it with `make study PROFILE=paper`")
    return f"{judged['verdict'].eq('inside').sum()} of {len(judged)}"


def _table(sources: Sources, outer: pd.DataFrame) -> Iterator[str]:
    """Yield the table: first what no choice has seen, then the paper's way and the paper."""
    summary, settings = sources.nested.tables["summary"], sources.nested.settings
    n = summary[summary["name"] == OURS].groupby("space")["n"].mean()
    counts = {space: n[space] for space in SPACES if space in n}
    yield from ("", f":::{{table}} {CAPTION.format(splits=len(settings['seeds']), **counts)}")
    yield from (":name: tab-headline", "", "| | rows | " + " | ".join([*CELLS, "mean"]) + " |")
    yield "|---|---|" + "---:|" * (len(CELLS) + 1)
    for name in [name for name in (*ENSEMBLES, *BASELINES, DESCRIBED) if name in outer.index]:
        yield _row(f"**{name}**" if name == OURS else name, "outer test", outer.T[name])
    for name, values in _their_way(sources.evaluation).items():
        yield _row(name, "random rows", values)
    yield ":::"


def _their_way(evaluation: results.Deposit) -> Mapping[str, "pd.Series[float]"]:
    """Return our forest under the paper's protocol, and the paper's values."""
    ours = arrange(evaluation.tables["summary"], "random").reindex(columns=CELLS).T[OURS]
    twin = compare_evaluation(evaluation.tables["summary"])
    twin = twin.query("reading == 'rows' and data == 'random' and metric == 'abs_kendall' and name == @OURS")
    paper = arrange(twin, "random", "paper").reindex(columns=CELLS).T[OURS]
    return {OURS: ours, f"*{OURS}, the paper*": paper}


def _row(name: str, rows: str, taus: "pd.Series[float]") -> str:
    cells = [f"{tau:.3f}" if pd.notna(tau) else "–" for tau in [*taus, taus.mean(skipna=False)]]
    return f"| {name} | {rows} | " + " | ".join(cells) + " |"

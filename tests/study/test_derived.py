"""Deposited tables that follow from other deposited tables, computed anew: no check of a page does it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from zcp.ensemble.examples import targets_at_hand
from zcp.paths import RESULTS
from zcp.study import results
from zcp.study.deeper_look import comparison, decay, perturbation, predictor, search
from zcp.study.deeper_look.training import Recipe
from zcp.study.greenfactory import (
    growing,
    intervals,
    leaks,
    learning_curves,
    nested,
    summaries,
    transfer,
    verdicts,
)
from zcp.study.results import Deposit

CELL = ["space", "dataset"]
DEPOSITS = sorted(path.stem for path in RESULTS.glob("*.json"))


class Derived(NamedTuple):
    """How a table of a section's deposits follows from the others; `part` where it gives some of its rows."""

    section: str
    table: str
    make: Callable[[Deposit], pd.DataFrame]
    part: bool = False


def _fits(deposit: Deposit) -> pd.DataFrame:
    aims = {"mean": ("rmse", "mean"), "std": ("rmse", "std"), "seeds": ("seed", "count"), "n": ("n", "first")}
    return deposit.tables["fits"].groupby(["regressor", "data"]).agg(**aims).reset_index()


def _of_ensembles(deposit: Deposit) -> pd.DataFrame:
    cells = deposit.tables["cells"]
    return cells[cells["name"].isin(deposit.settings["ensembles"])]


def _of_proxies(deposit: Deposit) -> pd.DataFrame:
    """Return what of a proxy is a mean over test rows; its rank correlations are over all rows."""
    cells = deposit.tables["cells"]
    found = summaries.summarise(cells[~cells["name"].isin(deposit.settings["ensembles"])])
    return found.drop(columns=[*summaries.RANKS, "abs_kendall_std", "rows"])


def _means(deposit: Deposit) -> pd.DataFrame:
    groups = _of_ensembles(deposit).groupby(["scheme", "name"])[summaries.METRICS]
    means = groups.agg(lambda values: values.mean(skipna=False)).reset_index()
    # One cell without an order has no mean over the cells.
    return means.melt(["scheme", "name"], var_name="metric", value_name="mean").dropna()


def _ceilings(deposit: Deposit) -> pd.DataFrame:
    return deposit.tables["draws"].groupby([*CELL, "trainings"])[["kendall", "rmse"]].mean().reset_index()


def _chosen(deposit: Deposit) -> pd.DataFrame:
    cells = deposit.tables["cells"]
    fitted = cells[cells["coding"].isin(transfer.CODINGS)]
    return transfer.take_chosen(fitted, deposit.tables["inner"])


def _selected(deposit: Deposit) -> pd.DataFrame:
    targets = [target for target in deposit.settings["targets"] if target in targets_at_hand()]
    chosen = deposit.tables["chosen"]
    found = {target: perturbation.summarise(perturbation.look_up(chosen, target)) for target in targets}
    return pd.concat([table.assign(target=target) for target, table in found.items()])


def _trained(table: str) -> Callable[[Deposit], pd.DataFrame]:
    """Return what makes a table of the trainings, whose rows are deposited, too."""
    return lambda deposit: decay.study(
        "digits", decay.read_rows("digits"), Recipe(**deposit.settings["recipe"]), 0.0
    ).tables[table]


def _compared(table: str) -> Callable[[Deposit], pd.DataFrame]:
    return lambda deposit: comparison.summarise(deposit.tables["pairs"], deposit.tables["correlations"])[
        table
    ]


DERIVED = [
    Derived("model_selection", "summary", _fits),
    Derived("evaluation", "summary", lambda d: summaries.summarise(_of_ensembles(d)), part=True),
    Derived("evaluation", "summary", _of_proxies, part=True),
    Derived("evaluation", "means", _means, part=True),
    Derived("rows", "summary", lambda d: growing.summarise(d.tables["points"])),
    Derived("ceiling", "summary", _ceilings),
    Derived("leaks", "summary", lambda d: leaks.summarise(d.tables["cells"])),
    Derived("leaks", "effects", lambda d: leaks.explain(d.tables["cells"])),
    Derived("leaks", "worth", lambda d: leaks.decompose(d.tables["cells"])),
    Derived("nested", "summary", lambda d: verdicts.summarise(d.tables["cells"])),
    Derived("nested", "gains", lambda d: verdicts.compare(d.tables["cells"], tuple(nested.CONTENDERS))),
    Derived("transfer", "summary", lambda d: transfer.summarise(d.tables["cells"])),
    Derived("transfer", "cells", _chosen, part=True),
    Derived("learning_curves", "summary", lambda d: learning_curves.summarise(d.tables["points"])),
    Derived("intervals", "summary", lambda d: intervals.summarise(d.tables["cells"])),
    Derived("comparison", "averages", _compared("averages")),
    Derived("comparison", "ranks", _compared("ranks")),
    Derived("comparison", "profiles", _compared("profiles")),
    Derived("decay", "accuracy", _trained("accuracy")),
    Derived("decay", "agreement", _trained("agreement")),
    Derived("decay", "curves", _trained("curves")),
    Derived("predictor", "gains", lambda d: predictor.gains(d.tables["runs"])),
    Derived("search", "summary", lambda d: search.summarise(d.tables["runs"], d.settings["budget"])),
    Derived("perturbation", "summary", _selected, part=True),
]


def require_equal(made: pd.DataFrame, deposited: pd.DataFrame, part: bool) -> None:
    """Raise unless the made rows are deposited, to the decimals that deposits keep; all of them if no `part`.

    A column that holds floats is a value; all others name a row, with its place among those of one name.
    """
    values = [str(column) for column in made if pd.api.types.is_float_dtype(made[column])]
    keys = [str(column) for column in made if column not in values]
    ours, theirs = (table.assign(place=_places(table, keys)) for table in (made, deposited[list(made)]))
    names = [*keys, "place"]
    both = ours.merge(theirs, on=names, how="left", suffixes=("", "_deposited"), indicator=True)
    assert both["_merge"].eq("both").all(), both.loc[both["_merge"].ne("both"), names]
    assert part or len(made) == len(deposited)
    for column in values:
        known = both[f"{column}_deposited"].astype(float)
        np.testing.assert_allclose(both[column], known, rtol=1e-6, atol=1e-6, err_msg=column)


def _places(table: pd.DataFrame, keys: list[str]) -> np.ndarray:
    return table.groupby(keys).cumcount().to_numpy() if keys else np.arange(len(table))


CASES = [
    pytest.param(each, name, id=f"{name}-{each.table}-{number}")
    for number, each in enumerate(DERIVED)
    for name in DEPOSITS
    if name.split("-")[0] == each.section
]


@pytest.mark.parametrize(("derived", "name"), CASES)
def test_a_table_follows_from_the_others(derived, name):
    deposit = results.read(name)
    require_equal(derived.make(deposit), deposit.tables[derived.table], derived.part)


def test_every_kind_of_table_is_there():
    assert {each.section for each in DERIVED} == {case.values[0].section for case in CASES}


def test_a_changed_value_or_name_and_a_row_too_many_are_noticed():
    rows = pd.DataFrame({"name": ["a", "b"], "mean": [1.0, np.nan]})
    require_equal(rows, rows, False)
    require_equal(rows[:1], rows, True)
    wrong = rows.assign(mean=[1.0001, np.nan]), rows.assign(mean=1.0), rows.assign(name=["a", "c"]), rows[:1]
    for deposited in wrong:
        with pytest.raises(AssertionError):
            require_equal(rows, deposited, False)
    with pytest.raises(AssertionError):
        require_equal(rows[:1], rows, False)

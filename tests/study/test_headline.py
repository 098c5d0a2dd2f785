"""Every number of the landing page is one of a deposit or a card: other deposits make another page."""

import re
from itertools import product

import pandas as pd
import pytest
from ensembles import make_measured, make_rows, write_models

from zcp.ensemble.artefacts import withhold, write
from zcp.errors import InputError
from zcp.study.greenfactory import leaks, release, verdicts
from zcp.study.greenfactory.published import read_table
from zcp.study.headline import Sources, headline
from zcp.study.results import Deposit

CELLS = list(product(["tss", "sss"], ["cifar10", "cifar100", "ImageNet16-120"]))
OUTER = {"GreenFactory": 0.7, "GreenFactory-Fast": 0.6, "best proxy": 0.5, "mean of ranks": 0.55,
         "mean of ranks, turned": 0.52, "params": 0.4, "architecture": 0.8}  # fmt: skip
TAUS = {"GreenFactory": 0.8, "GreenFactory-Fast": 0.7, "naswot": 0.5, "params": 0.4}


def make_nested(cells=CELLS, taus=OUTER):
    """Two splits; the second is better by .02, the size space by .1."""
    rows = [
        {"name": name, "seed": seed, "space": space, "dataset": dataset, "n": 90, "rmse": 1.0}
        | {"kendall": tau + 0.02 * seed + 0.1 * (space == "sss")}
        for (name, tau), seed, (space, dataset) in product(taus.items(), (0, 1), cells)
    ]
    found = pd.DataFrame(rows)
    tables = {"summary": verdicts.summarise(found), "gains": verdicts.compare(found, ("GreenFactory",))}
    return Deposit("nested-test", {"seeds": [0, 1]}, tables)


def make_leaks():
    taus = dict(zip(leaks.CHAIN, (0.95, 0.90, 0.88, 0.84, 0.81), strict=True))
    rows = [
        {"scheme": scheme, "seed": seed, "space": space, "dataset": dataset, "kendall": tau, "rmse": 1.0}
        for (scheme, tau), seed, (space, dataset) in product(taus.items(), (0, 1), CELLS)
    ]
    cells = pd.DataFrame(rows)
    return Deposit("leaks-test", {"seeds": [0, 1]}, {"cells": cells, "summary": cells})


def make_ceiling():
    cells = pd.DataFrame(CELLS, columns=["space", "dataset"])
    limits = cells[cells["space"] == "tss"].assign(trainings="as measured", kendall=0.93)
    limits = pd.concat([limits, limits.assign(trainings="one", kendall=0.99)])
    bounds = pd.concat([cells.assign(fold=fold, kendall=0.89 + 0.02 * fold) for fold in (0, 1)])
    return Deposit("ceiling-test", {}, {"summary": limits, "bounds": bounds})


def make_evaluation(half, name="evaluation-test"):
    rows = [
        {"scheme": scheme, "name": name, "space": space, "dataset": dataset, "abs_kendall": tau + 0.0005}
        for scheme, (name, tau), (space, dataset) in product(["random", "grouped"], TAUS.items(), CELLS)
    ]
    summary = pd.DataFrame(rows).assign(abs_spearman=0.5, rmse=1.0, n=45, seeds=3)
    summary["abs_kendall_low"] = summary["abs_kendall"] - half
    summary["abs_kendall_high"] = summary["abs_kendall"] + half
    return Deposit(name, {"seeds": [0, 1, 2]}, {"summary": summary})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"), "it does not beat the mean of ranks")


@pytest.fixture
def sources(models):
    short = make_evaluation(1, "evaluation-test_12ep")
    return Sources(make_nested(), make_leaks(), make_ceiling(), make_evaluation(0), short, models)


def numbers(line):
    return [float(number) for number in re.findall(r"[-+]?\d\.\d\d", line)]


def test_the_lead_is_the_outer_test_of_the_nested_evaluation(sources):
    lead = next(headline(sources))
    tau, low, high, *others = numbers(lead)
    assert (tau, *others[::3]) == (0.76, 0.56, 0.61, 0.58, 0.46, 0.15, 0.86, -0.1)
    assert low < tau < high and "over 6 cells" in lead and "over 2 splits" in lead
    assert others[12:15] == [0.15, 0.15, 0.15]  # the difference to the mean of ranks, the same in both splits
    worse = sources._replace(nested=make_nested(taus={**OUTER, "params": 0.9}))
    assert numbers(next(headline(worse)))[15:18] == [-0.2, -0.2, -0.2]


def test_the_lines_say_what_ships_and_what_is_known_of_ceilings_and_copies(sources):
    ships, reached, copies, paper = [line for line in headline(sources) if line.startswith("- **")]
    assert "`GreenFactory` is a model of the kind extra trees" in ships and "random forest" not in ships
    assert "`GreenFactoryFast` does not ship: it does not beat the mean of ranks." in ships
    assert numbers(reached) == [0.93, 0.71, 0.9, 0.81, 0.91]
    assert numbers(copies)[:2] == [0.95, 0.81]
    assert numbers(copies)[2::3] == [0.05, 0.12, 0.02]
    values = read_table("5").query("name == 'GreenFactory' and metric == 'abs_kendall'")["value"]
    assert numbers(paper) == pytest.approx([0.8, values.astype(float).mean()], abs=0.006)
    assert "0 of 6 of the paper's values" in paper and "and 6 of 6 for the one of 12 epochs" in paper


def test_the_table_has_what_no_choice_has_seen_first_and_the_paper_in_the_same_order(sources):
    rows = [line.strip("| ").split(" | ") for line in headline(sources) if line.startswith("|")]
    cells = rows[0][-7:-1]
    assert [row[0] for row in rows[2:]] == [
        "**GreenFactory**", "GreenFactory-Fast", "mean of ranks", "best proxy", "mean of ranks, turned",
        "params", "architecture",
        "GreenFactory", "*GreenFactory, the paper*",
    ]  # fmt: skip
    ours, paper = (dict(zip(cells, row[2:-1], strict=True)) for row in (rows[2], rows[-1]))
    assert ours["tss cifar100"] == "0.710" and ours["sss cifar100"] == "0.810"
    assert paper["sss cifar100"] == "0.945" and paper["tss ImageNet16-120"] == "0.908"  # its abstract
    assert rows[2][-1] == "0.760"


def test_what_is_missing_is_not_claimed(sources):
    fewer = sources._replace(nested=make_nested(cells=CELLS[1:]))
    with pytest.raises(InputError, match="lacks a cell"):
        next(headline(fewer))
    unjudged = sources._replace(evaluation=make_evaluation(float("nan")))
    with pytest.raises(InputError, match="no intervals"):
        list(headline(unjudged))
    unbound = Deposit("ceiling-test", {}, {**sources.ceiling.tables, "summary": pd.DataFrame(
        columns=["space", "dataset", "trainings", "kendall"])})  # fmt: skip
    with pytest.raises(InputError, match="the limit of tss"):
        list(headline(sources._replace(ceiling=unbound)))


def test_a_model_that_is_worth_less_is_told_to_be(sources, tmp_path, monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    rows = make_rows()
    chosen = {
        "features": ["params", "flops"],
        "model": "random forest",
        "hyperparameters": {"min_samples_leaf": 5},
    }
    write(release.fit_artefact(rows, "GreenFactory", chosen, make_measured(rows, kendall=0.3)), tmp_path)
    withhold("GreenFactoryFast", "test", "no", tmp_path)
    (line,) = [line for line in headline(sources._replace(models=tmp_path)) if "What ships" in line]
    assert "of the kind random forest, sees 2 proxies" in line
    assert numbers(line) == [0.3, 0.3, 0.5, 0.6]

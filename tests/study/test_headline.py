import re
from itertools import product

import pandas as pd
import pytest

from zcp.errors import InputError
from zcp.study.greenfactory.published import read_table
from zcp.study.headline import Beside, headline
from zcp.study.results import Deposit

CELLS = list(product(["sss", "tss"], ["cifar10", "cifar100", "ImageNet16-120"]))
TAUS = {"GreenFactory": 0.8, "GreenFactory-Fast": 0.7, "naswot": 0.5, "params": 0.4}


@pytest.fixture
def deposit():
    rows = [
        {"scheme": scheme, "name": name, "space": space, "dataset": dataset, "abs_kendall": tau + 0.01 * i}
        for scheme, (name, tau), (i, (space, dataset)) in product(
            ["random", "grouped"], TAUS.items(), enumerate(CELLS)
        )
    ]
    summary = pd.DataFrame(rows).assign(abs_spearman=0.5, abs_kendall_std=0.03, rmse=1.0, n=45, seeds=3)
    summary.loc[summary["scheme"] == "random", "abs_kendall"] += 0.1
    ensembles = {"GreenFactory": {"features": list("abcd")}, "GreenFactory-Fast": {"features": ["a"]}}
    return Deposit("evaluation-test", {"ensembles": ensembles, "seeds": [0, 1, 2]}, {"summary": summary})


def test_claim_is_read_from_the_deposit(deposit):
    claim = next(headline(deposit))
    assert "on 4 features" in claim and "**0.80 to 0.85**" in claim
    assert "`naswot`, reaches 0.50 to 0.55" in claim and "alone, 0.40 to 0.45" in claim


def test_table_has_ours_and_the_paper_in_the_same_order(deposit):
    rows = [line.strip("| ").split(" | ") for line in headline(deposit) if line.startswith("|")]
    cells = rows[0][1:] if rows[0][0] == "split" else rows[0][2:]
    ours = next(row for row in rows if "**GreenFactory**" in row[0])
    paper = next(row for row in rows if "the paper" in row[0])
    assert dict(zip(cells, paper[-6:], strict=True))["sss cifar100"] == "0.945"  # the paper's abstract
    assert dict(zip(cells, paper[-6:], strict=True))["tss ImageNet16-120"] == "0.908"
    assert dict(zip(cells, ours[-6:], strict=True))["sss cifar100"] == "0.810 ± 0.03"


def test_missing_cell_is_not_claimed(deposit):
    summary = deposit.tables["summary"]
    deposit.tables["summary"] = summary[summary["dataset"] != "cifar10"]
    with pytest.raises(InputError, match="lacks a cell"):
        next(headline(deposit))


def judged(deposit, low, high):
    summary = deposit.tables["summary"]
    bounds = {
        "abs_kendall_low": summary["abs_kendall"] - low,
        "abs_kendall_high": summary["abs_kendall"] + high,
    }
    tables = {"summary": summary.assign(**bounds)}
    return Deposit(deposit.name, deposit.settings, tables, {"rows": 1234})


def beside(short):
    cells = pd.DataFrame(CELLS, columns=["space", "dataset"])
    split = cells.assign(scheme="isomorphic", kendall=[0.6, 0.8] * 3)
    leaks = pd.concat([split, split.assign(scheme="random", kendall=0.9)])
    limits = cells.assign(trainings="as measured", kendall=0.95)
    limits = pd.concat([limits, limits.assign(trainings="one", kendall=0.99)])
    return Beside(
        short,
        Deposit("leaks-test", {"seeds": [0, 1]}, {"summary": leaks}),
        Deposit("ceiling-test", {}, {"summary": limits}),
    )


def test_what_reproduces_and_what_does_not_is_counted(deposit):
    summary = deposit.tables["summary"]
    copies = summary[summary["scheme"] == "random"].assign(scheme="stratified")
    copies["abs_kendall"] += 0.05
    deposit.tables["summary"] = pd.concat([summary, copies])
    deposit.tables["summary"]["abs_kendall"] += 0.0005  # no value is the paper's by chance
    wide, narrow = judged(deposit, 1, 1), judged(deposit, 0, 0)
    _, *lines = [line for line in headline(narrow, beside(wide)) if line.startswith(("A random", "- **"))]
    assert len(lines) == 4
    assert "0 of 6 of the absolute" in lines[0] and "6 of 6 of those in the topology" in lines[0]
    numbers = [[float(n) for n in re.findall(r"[-+]?0\.\d\d", line)] for line in lines]
    paper = read_table("5").query("name == 'GreenFactory' and metric == 'abs_kendall'")["value"]
    assert numbers[1] == pytest.approx([0.925, paper.astype(float).mean()], abs=0.006)
    assert "; 0 of the paper's 6 values" in lines[1] and "only 0 of 6" in lines[1]
    assert "we fit 1,234;" in lines[2] and numbers[2] == pytest.approx([0.925, 0.975], abs=0.006)
    assert numbers[3] == pytest.approx([0.7, 0.95, 0.825, 0.3], abs=0.006) and "over 2 splits" in lines[3]


def test_nothing_is_said_of_the_paper_without_intervals(deposit):
    with pytest.raises(InputError, match="no intervals"):
        list(headline(judged(deposit, 0, float("nan")), beside(judged(deposit, 0, float("nan")))))

from itertools import product

import pandas as pd
import pytest

from zcp.errors import InputError
from zcp.headline import headline
from zcp.results import Deposit

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

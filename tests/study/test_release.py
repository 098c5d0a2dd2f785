"""What ships is what was measured, for the targets that ship, and Fast where it beats its baselines."""

import dataclasses
import json

import pytest
from checking import small
from checking_ensembles import COSTS
from ensembles import ORIGIN, make_examples

from zcp.ensemble.artefacts import read
from zcp.errors import InputError
from zcp.study.greenfactory import nested, release
from zcp.study.results import Deposit


@pytest.fixture(scope="module")
def rows():
    return dataclasses.replace(make_examples(100), origin=ORIGIN)


@pytest.fixture(scope="module")
def deposit(rows):
    with small():
        return nested.study(rows, COSTS, 2, 2, keep=False)


def with_baselines(deposit: Deposit, tau: float) -> Deposit:
    """Return the deposit with baselines of this correlation."""
    summary = deposit.tables["summary"].copy()
    summary.loc[summary["name"].isin(["mean of ranks", "best proxy", "params"]), "kendall"] = tau
    return dataclasses.replace(deposit, tables={**deposit.tables, "summary": summary})


def test_what_ships_is_the_choice_of_all_rows_and_says_what_it_is_worth(rows, deposit, tmp_path):
    with small():
        cards = release.ship(rows, with_baselines(deposit, 0.1), tmp_path)
    assert [card.name for card in cards] == ["GreenFactory-test.json", "GreenFactoryFast-test.json"]
    summary = deposit.tables["summary"].set_index(["name", "space", "dataset"])
    for name, kind in release.ESTIMATORS.items():
        shipped = read(kind.__name__, "test", tmp_path)
        chosen = nested.read_choice(deposit, name, nested.ALL_ROWS)
        assert shipped.features == chosen["features"] and shipped.card["model"] == chosen["model"]
        assert shipped.card["hyperparameters"] == chosen["hyperparameters"]
        assert shipped.card["rows"] == shipped.measured["rows"] == len(rows)
        for cell in shipped.measured["cells"]:
            row = summary.loc[(name, cell["space"], cell["dataset"])]
            assert [cell["kendall"], cell["rmse"], cell["inside"]] == list(row[["kendall", "rmse", "inside"]])


def test_fast_is_withheld_with_its_reason(rows, deposit, tmp_path):
    with small():
        _, note = release.ship(rows, with_baselines(deposit, 1.0), tmp_path)
    assert note.name == "GreenFactoryFast-test.txt" and "best proxy 1.000 against its" in note.read_text()
    assert (tmp_path / "GreenFactory-test.json").is_file()


def test_other_targets_do_not_ship(rows, deposit, tmp_path):
    short = dataclasses.replace(rows, target="test_12ep")
    with pytest.raises(InputError, match="nested-test is of the target test, the rows are of test_12ep"):
        release.ship(short, deposit, tmp_path)
    settings = json.loads(json.dumps(deposit.settings | {"target": "test_12ep"}))
    assert release.ship(short, dataclasses.replace(deposit, settings=settings), tmp_path) == []
    assert list(tmp_path.iterdir()) == [] and release.SHIPPED == ("test", "valid")

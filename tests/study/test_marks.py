"""What code writes into the pages of prose is what the data say."""

import json

import pytest
from ensembles import write_models

from zcp.ensemble.artefacts import withhold
from zcp.ensemble.cards import read_card
from zcp.errors import InputError
from zcp.paths import GOLDEN, MODELS
from zcp.study import results
from zcp.study.greenfactory import release, shipped
from zcp.study.greenfactory.verdicts import read_measured
from zcp.study.marks import MARK, PAGES, count_golden, fill, tell_shipped

ENSEMBLES = {kind.__name__: name for name, kind in release.ESTIMATORS.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = write_models(tmp_path_factory.mktemp("models"), "it does not beat params")
    for name in shipped.NAMES:
        withhold(name, "valid", "nor here", folder)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_marked_parts_are_what_the_data_say(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- from ") == len(MARK.findall(text)), "a mark without its end"
    assert fill(text) == text, f"{page.name}: run `python -m zcp.study.marks`"


def test_a_part_that_was_changed_by_hand_is_written_anew():
    assert (
        fill("<!-- from golden -->all<!-- end --> of it")
        == f"<!-- from golden -->{count_golden()}<!-- end --> of it"
    )
    with pytest.raises(InputError, match="unknown part 'gold'"):
        fill("<!-- from gold -->all<!-- end -->")


def test_golden_values_are_counted_by_proxy(tmp_path):
    told = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
    with_value, registered = map(int, count_golden().split(" of "))
    assert 0 < with_value < registered
    for entries in told["values"].values():
        entries.pop("snip", None)
    fewer = tmp_path / "golden.json"
    fewer.write_text(json.dumps(told))
    assert count_golden(fewer) == f"{with_value - 1} of {registered}"


def test_what_ships_is_told_by_its_card_and_what_does_not_by_its_note(models):
    first, fast, *valid = tell_shipped(models).strip().splitlines()
    assert first.startswith("* Target `test`: `GreenFactory` is a model of the kind extra trees")
    assert "of 0.80 on average" in first and "(mean of ranks 0.50, best proxy 0.60)." in first
    assert fast == "* Target `test`: `GreenFactoryFast` does not ship: it does not beat params."
    assert all(line.endswith("does not ship: nor here.") for line in valid) and len(valid) == 2


def test_worth_has_a_row_a_model_and_cell(models):
    card = shipped.find("GreenFactory", "test", models)
    worth = shipped.tabulate([card])
    assert len(worth) == len(card.measured.cells) == 6
    assert set(worth["kendall"]) == {0.8} and set(worth["covered"]) == {shipped.LEVEL}


def test_no_model_of_another_target_ships(models):
    assert (
        shipped.find("GreenFactory", "test_12ep", models) == "models ship for the targets test and valid only"
    )
    with pytest.raises(InputError):
        shipped.find("GreenFactory", "valid", models / "nowhere")


@pytest.mark.parametrize("card", sorted(MODELS.glob("*.json")), ids=lambda card: card.stem)
def test_what_ships_is_worth_what_the_deposit_measured(card):
    found = read_card(card)
    deposit = results.read(found.measured.deposit)
    assert deposit.settings["target"] == found.target
    assert found.measured.model_dump() == read_measured(deposit, ENSEMBLES[found.name])

"""Artefacts are written and read, and refused when they do not fit."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from ensembles import FEATURES, FOUND, ORIGIN, SETTINGS, make_artefact, make_measured, make_rows
from torch import nn

from zcp.ensemble import artefacts
from zcp.ensemble.artefacts import read, write
from zcp.ensemble.candidates import CANDIDATES, build_released
from zcp.ensemble.cards import seal
from zcp.ensemble.population import quantiles, rank_in_population
from zcp.errors import InputError
from zcp.proxies.population import AZ_NAS_PARTS


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)


def test_reading_gives_back_what_was_written(rows, tmp_path):
    made = make_artefact(rows)
    card = write(made, tmp_path)
    back = read("GreenFactory", "test", tmp_path)
    assert np.array_equal(back.estimator.predict(rows.features), made.estimator.predict(rows.features))
    assert back.features == sorted(FEATURES) and back.card["rows"] == len(rows)
    assert back.width("tss", "cifar10", 0.9) == made.width("tss", "cifar10", 0.9) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "GreenFactory-test.json",
        "GreenFactory-test.skops",
    ]
    assert card.with_suffix(".skops").stat().st_size < 3 * 2**20


@pytest.mark.parametrize("model", CANDIDATES)
def test_every_model_that_may_win_can_be_shipped(rows, tmp_path, model):
    made = make_artefact(rows, model=model, found={"min_samples_leaf": 5})
    write(made, tmp_path)
    back = read("GreenFactory", "test", tmp_path).estimator
    assert np.allclose(back.predict(rows.features), made.estimator.predict(rows.features))


def test_unknown_models_and_small_leaves_are_not_shipped(rows):
    with pytest.raises(InputError, match="TabPFN"):
        build_released("TabPFN", {}, 0)
    for found in ({}, {"min_samples_leaf": 4}):
        with pytest.raises(InputError, match="at least 5 networks in a leaf"):
            make_artefact(rows, found=found)


def test_the_card_says_what_was_fitted_and_what_it_is_worth(rows, tmp_path):
    made = make_artefact(rows)
    card = write(made, tmp_path)
    back = read("GreenFactory", "test", tmp_path)
    assert back.card["hyperparameters"] == FOUND
    assert back.measured == make_measured(rows)
    told = json.loads(card.read_text())
    rewrite(card, card={**told["card"], "hyperparameters": {**FOUND, "min_samples_leaf": 4}})
    with pytest.raises(InputError, match="says min_samples_leaf 4, which its model was not fitted with"):
        read("GreenFactory", "test", tmp_path)
    rewrite(card, card=told["card"], measured={**told["measured"], "scores_sha256": "1" * 64})
    with pytest.raises(InputError, match="measured on other rows"):
        read("GreenFactory", "test", tmp_path)


def test_fast_ships_only_where_it_beats_its_baselines(rows, tmp_path):
    made = make_artefact(rows, name="GreenFactory-Fast")
    write(made, tmp_path)
    lost = dataclasses.replace(made, measured=make_measured(rows, kendall=0.55))
    with pytest.raises(InputError, match=r"does not beat best proxy 0\.600 against its 0\.550"):
        write(lost, tmp_path)
    write(dataclasses.replace(lost, name="GreenFactory"), tmp_path)
    artefacts.withhold("GreenFactoryFast", "test", "it does not beat x (nested-test)", tmp_path)
    with pytest.raises(InputError, match=r"does not ship for the target test: .*nested-test") as caught:
        read("GreenFactoryFast", "test", tmp_path)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("GreenFactoryFast*.skops"))


def rewrite(path, **changes):
    """Change a card as a program would: its seal is right."""
    told = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({**told, "seal": seal(told)}))


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"format": 99}, "has format 99"),
        ({"format": 1}, "has format 1"),
        ({"format": 2}, "has format 2, this zcp reads 3; make it with"),
        ({"format": True}, "has format True"),
        ({"versions": {"scikit-learn": "0.24.0"}}, "fitted with scikit-learn 0.24.0"),
        ({"versions": {}}, "fitted with scikit-learn None"),
        ({"name": "Green"}, "is the card of Green-test"),
        ({"sha256": "0" * 64}, "is damaged"),
    ],
)
def test_artefacts_that_do_not_fit_are_refused(rows, tmp_path, changes, fault):
    card = write(make_artefact(rows), tmp_path)
    rewrite(card, **changes)
    with pytest.raises(InputError, match=fault):
        read("GreenFactory", "test", tmp_path)


def test_a_model_of_other_features_is_refused(rows, tmp_path):
    card = write(make_artefact(rows), tmp_path)
    regions = json.loads(card.read_text())["regions"]
    for region in regions.values():
        region |= {"knots": {"params": region["knots"]["params"]}, "missing": []}
        region["rows"] = [row[:1] for row in region["rows"]]
    rewrite(card, features=["params"], regions=regions)
    with pytest.raises(InputError, match="different features"):
        read("GreenFactory", "test", tmp_path)


def width_of(**changes):
    told = {"space": "tss", "dataset": "cifar10", "level": 0.9, "width": 2.0}
    return {"widths": [told | changes]}


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"versions": None}, "versions: "), ({"versions": {"torch": 2}}, "versions.torch: "),
        ({"widths": []}, "widths: "), ({"scores": {}}, r"scores.scores: Field required"),
        ({"scores": None}, "scores: "), (width_of(width=0.0), r"widths.0.width: .* greater than 0"),
        (width_of(width=-5.0), r"widths.0.width: .* greater"), (width_of(width=float("nan")), "width: "),
        (width_of(width="2"), "widths.0.width: "), (width_of(level=1.0), "widths.0.level: "),
        (width_of(space="moon"), "unknown search space"), (width_of(dataset="mnist"), "unknown dataset"),
        ({"widths": 2 * width_of()["widths"]}, "not one width for each cell and level"),
        ({"widths": width_of()["widths"] + width_of(level=0.8, width=3.0)["widths"]}, "do not ascend"),
        ({"features": []}, "features: "), ({"features": ["b", "a"]}, "features are not in order"),
        ({"population": {"tss cifar10": {"zen": [2.0, 1.0]}}}, "do not ascend"),
        ({"population": {"moon": {}}}, "unknown search space"), ({"card": {}}, "card.model: Field required"),
        ({"regions": {}}, "a region or the fitted networks are missing"), ({"more": 1}, "more: Extra inputs"),
        ({"scores": {**ORIGIN, "scores_settings": {**SETTINGS, "batch": -8}}}, "no such batch"),
        ({"scores": {**ORIGIN, "scores_settings": {}}}, "missing or unknown: batch"),
    ],
)  # fmt: skip
def test_a_card_that_is_not_whole_is_refused_in_a_line(rows, tmp_path, changes, fault):
    card = write(make_artefact(rows), tmp_path)
    rewrite(card, **changes)
    with pytest.raises(InputError, match=f"is not a whole model card .*{fault}") as caught:
        read("GreenFactory", "test", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[]", "3", "[" * 100_000, '{"a": ' * 990 + "1" + "}" * 990, "\x00", '{"format": []}']
)
def test_what_is_no_card_is_refused_in_a_line(rows, tmp_path, text):
    write(make_artefact(rows), tmp_path).write_text(text)
    with pytest.raises(InputError, match=r"damaged|not a whole model card|has format") as caught:
        read("GreenFactory", "test", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_value_that_was_changed_in_a_card_is_noticed(rows, tmp_path):
    card = write(make_artefact(rows), tmp_path)
    text = card.read_text()
    card.write_text(text.replace('"batch": 4', '"batch": 8'))
    with pytest.raises(InputError, match="was changed after it was written"):
        read("GreenFactory", "test", tmp_path)
    card.write_text(json.dumps(json.loads(text), indent=1))
    assert read("GreenFactory", "test", tmp_path).card["rows"] == len(rows)


@pytest.mark.parametrize("model", ["extra trees", "histogram boosting"])
def test_the_packages_that_a_model_is_made_of_must_be_those_of_its_fit(rows, tmp_path, model):
    card = write(make_artefact(rows, model=model, found={"min_samples_leaf": 5}), tmp_path)
    told = json.loads(card.read_text())["versions"]
    rewrite(card, versions={**told, "scikit-learn": "0.1.0"})
    with pytest.raises(InputError, match=r"was fitted with scikit-learn 0\.1\.0, but .* is installed"):
        read("GreenFactory", "test", tmp_path)
    rewrite(card, versions={**told, "catboost": "0.1.0"})
    assert read("GreenFactory", "test", tmp_path)  # nothing that ships is made of it


def test_no_card_is_written_that_would_not_be_read(rows, tmp_path):
    made = make_artefact(rows)
    with pytest.raises(InputError, match=r"scores.scores_sha256: Field required"):
        write(dataclasses.replace(made, scores={"scores": "mine"}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_artefacts_of_another_release_are_read(rows, tmp_path):
    card = write(make_artefact(rows), tmp_path)
    rewrite(card, versions={**json.loads(card.read_text())["versions"], "zcp": "0.0.1"})
    assert read("GreenFactory", "test", tmp_path).features == sorted(FEATURES)


@pytest.mark.parametrize("card", sorted(artefacts.MODELS.glob("*.json")), ids=lambda card: card.stem)
def test_shipped_models_are_read(card):
    assert read(*card.stem.split("-")).features


def test_damaged_files_are_refused(rows, tmp_path):
    card = write(make_artefact(rows), tmp_path)
    model = card.with_suffix(".skops")
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        read("GreenFactory", "test", tmp_path)
    card.write_text(card.read_text()[:50])
    with pytest.raises(InputError, match="damaged"):
        read("GreenFactory", "test", tmp_path)
    card.write_text("{}")
    with pytest.raises(InputError, match="not a whole model card"):
        read("GreenFactory", "test", tmp_path)
    with pytest.raises(InputError, match=r"unknown model 'Green'; choose GreenFactory$"):
        read("Green", "test", str(tmp_path))
    for target in ("x" * 5000, "\x00"):
        with pytest.raises(InputError, match=r"unknown target .*; choose test$"):
            read("GreenFactory", target, tmp_path)
    card.unlink()
    with pytest.raises(InputError, match=r"GreenFactory-test\.json is missing, the other half"):
        read("GreenFactory", "test", tmp_path)
    model.unlink()
    with pytest.raises(InputError, match="no fitted model"):
        read("GreenFactory", "test", tmp_path)


def test_foreign_types_are_not_loaded(rows, tmp_path, monkeypatch):
    made = make_artefact(rows)
    made.estimator.extra_ = nn.ReLU()
    with pytest.raises(InputError, match="not trusted"):
        write(made, tmp_path)
    del made.estimator.extra_
    write(made, tmp_path)
    monkeypatch.setattr(artefacts, "TRUSTED", artefacts.TRUSTED[1:])
    with pytest.raises(InputError, match=r"not trusted: zcp.ensemble.estimators.GreenFactory$"):
        read("GreenFactory", "test", tmp_path)
    assert list(tmp_path.glob("*.tmp")) == []


def test_ranks_in_a_population_are_those_of_az_nas(rows):
    table = pd.concat([rows.labels, rows.features], axis=1)
    known = quantiles(table)["tss cifar10"]
    cell = table[(table["space"] == "tss") & (table["dataset"] == "cifar10")]
    at = cell.index[3]
    found = rank_in_population(dict(cell.loc[at, list(AZ_NAS_PARTS)]), known)
    assert found == pytest.approx(rows.features.loc[at, "az_nas"])
    assert quantiles(table.drop(columns="expressivity")) == {}

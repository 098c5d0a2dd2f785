"""Artefacts are written and read, refused when they do not fit, and predict for networks."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from ensembles import make_scores
from torch import nn

import zcp
from zcp.ensemble import artefacts, prediction
from zcp.ensemble.artefacts import quantiles, rank_in_population, read, write
from zcp.ensemble.candidates import KEEPS_ROWS, SHIPPABLE, build_released
from zcp.ensemble.examples import Examples, join
from zcp.errors import InputError
from zcp.proxies.population import AZ_NAS_PARTS, az_nas
from zcp.study.greenfactory import release
from zcp.study.results import Deposit

FEATURES = ["dataset=ImageNet16-120", "dataset=cifar10", "dataset=cifar100", "flops", "naswot", "params"]
ORIGIN = {"scores": "made-up", "scores_sha256": "0" * 64,
          "scores_settings": {"batch": 4, "batches": 2, "seed": 0, "inputs": "gaussian"}}  # fmt: skip
FOUND = {"max_features": 0.5, "min_samples_leaf": 1, "bootstrap": False}
ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"


@pytest.fixture(scope="module")
def rows() -> Examples:
    table = make_scores(20)
    rng = np.random.default_rng(0)
    for part in AZ_NAS_PARTS:
        table[part] = rng.normal(size=len(table))
    table["az_nas"] = az_nas(table)
    measured = table[["space", "index", "dataset", "accuracy"]]
    return join(table.drop(columns="accuracy"), measured, "test", ORIGIN)


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)


def make(rows, features=FEATURES, name="GreenFactory", model="extra trees", found=FOUND):
    return release.fit_artefact(rows, name, features, model, found)


def test_reading_gives_back_what_was_written(rows, tmp_path):
    made = make(rows)
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


@pytest.mark.parametrize("model", SHIPPABLE)
def test_every_model_that_may_win_can_be_shipped(rows, tmp_path, model):
    found = {"max_features": 0.5} if "trees" in model or "forest" in model else {}
    made = make(rows, model=model, found=found)
    write(made, tmp_path)
    back = read("GreenFactory", "test", tmp_path).estimator
    assert np.allclose(back.predict(rows.features), made.estimator.predict(rows.features))


@pytest.mark.parametrize("model", KEEPS_ROWS)
def test_what_keeps_rows_of_the_benchmark_is_not_shipped(model):
    with pytest.raises(InputError, match="cannot be shipped; choose one of random forest, "):
        build_released(model, {}, 0)


def rewrite(card, **changes):
    told = json.loads(card.read_text())
    card.write_text(json.dumps({**told, **changes}))


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"format": 99}, "has format 99"),
        ({"versions": {"scikit-learn": "0.24.0"}}, "fitted with scikit-learn 0.24.0"),
        ({"versions": {}}, "fitted with scikit-learn None"),
        ({"features": ["params"]}, "different features"),
        ({"sha256": "0" * 64}, "is damaged"),
    ],
)
def test_artefacts_that_do_not_fit_are_refused(rows, tmp_path, changes, fault):
    card = write(make(rows), tmp_path)
    rewrite(card, **changes)
    with pytest.raises(InputError, match=fault):
        read("GreenFactory", "test", tmp_path)


def test_artefacts_of_another_release_are_read(rows, tmp_path):
    card = write(make(rows), tmp_path)
    rewrite(card, versions={**json.loads(card.read_text())["versions"], "zcp": "0.0.1"})
    assert read("GreenFactory", "test", tmp_path).features == sorted(FEATURES)


@pytest.mark.parametrize("card", sorted(artefacts.MODELS.glob("*.json")), ids=lambda card: card.stem)
def test_shipped_models_are_read(card):
    assert read(*card.stem.split("-")).features


def test_damaged_files_are_refused(rows, tmp_path):
    card = write(make(rows), tmp_path)
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
    card.unlink()
    with pytest.raises(InputError, match="no fitted model"):
        read("GreenFactory", "test", tmp_path)


def test_foreign_types_are_not_loaded(rows, tmp_path, monkeypatch):
    made = make(rows)
    made.estimator.extra_ = nn.ReLU()
    with pytest.raises(InputError, match="not trusted"):
        write(made, tmp_path)
    del made.estimator.extra_
    write(made, tmp_path)
    monkeypatch.setattr(artefacts, "TRUSTED", artefacts.TRUSTED[1:])
    with pytest.raises(InputError, match=r"not trusted: zcp.ensemble.estimators.GreenFactory$"):
        read("GreenFactory", "test", tmp_path)
    assert list(tmp_path.glob("*.tmp")) == []


def test_an_architecture_is_predicted_from_its_scores(rows):
    made = make(rows)
    found = prediction.predict_architecture(made, "tss", ARCH, "cifar10")
    assert list(found.features) == made.features and found.features["dataset=cifar10"] == 1
    assert found.features["params"] == sum(p.numel() for p in zcp.build("tss", ARCH).parameters()) / 1e6
    assert found.low <= found.accuracy <= found.high and found.notes == ()
    table = pd.DataFrame([found.features])
    assert found.accuracy == made.estimator.predict(table)[0]
    index = zcp.spaces.get_space("tss").index(ARCH)
    assert prediction.predict_architecture(made, "tss", index, "cifar10") == found
    assert any("accuracy" in line for line in found.lines())


def test_scores_are_those_of_a_collection(rows):
    from zcp.collect import Settings, score_row

    index = zcp.spaces.get_space("tss").index(ARCH)
    settings = Settings(("params", "flops", "naswot"), batch=4, seed=0, inputs="gaussian")
    collected = score_row("tss", index, "cifar100", settings)
    found = prediction.predict_architecture(make(rows), "tss", ARCH, "cifar100").features
    assert {p: collected[p] for p in settings.proxies} == {p: found[p] for p in settings.proxies}


def test_noise_is_announced_where_images_are_missing(rows, monkeypatch):
    monkeypatch.setenv("ZCP_DATA", "")
    made = make(rows)
    made.scores["scores_settings"] = {**ORIGIN["scores_settings"], "inputs": "images"}
    found = prediction.predict_architecture(made, "tss", ARCH, "cifar10")
    made.scores["scores_settings"] = ORIGIN["scores_settings"]
    assert found.notes == (prediction.NOISE_NOTE,)


def test_a_network_of_one_s_own_is_ranked_in_the_population(rows):
    made = make(rows, [*FEATURES, "az_nas"])
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                            nn.Flatten(), nn.Linear(8, 10))  # fmt: skip
    found = prediction.predict_network(made, network, "cifar10", population="sss")
    assert found.features["az_nas"] < 0 and torch.isfinite(torch.tensor(found.accuracy))
    with pytest.raises(InputError, match="not for darts cifar10"):
        prediction.predict_network(made, network, population="darts")


def test_ranks_in_a_population_are_those_of_az_nas(rows):
    table = pd.concat([rows.labels, rows.features], axis=1)
    known = quantiles(table)["tss cifar10"]
    cell = table[(table["space"] == "tss") & (table["dataset"] == "cifar10")]
    at = cell.index[3]
    found = rank_in_population(dict(cell.loc[at, list(AZ_NAS_PARTS)]), known)
    assert found == pytest.approx(rows.features.loc[at, "az_nas"])
    assert quantiles(table.drop(columns="expressivity")) == {}


def test_bad_requests_are_named(rows):
    made = make(rows)
    with pytest.raises(InputError, match="unknown dataset 'mnist'"):
        prediction.predict_architecture(made, "tss", ARCH, "mnist")
    with pytest.raises(InputError, match=r"at 0\.5"):
        prediction.predict_architecture(made, "tss", ARCH, "cifar10", 0.5)
    with pytest.raises(InputError, match="malformed cell"):
        prediction.predict_architecture(made, "tss", "|none|", "cifar10")
    with pytest.raises(InputError, match="lack the feature zen"):
        make(rows, ["zen"])
    with pytest.raises(InputError, match="unknown ensemble"):
        make(rows, name="Green")


def test_the_contest_s_choice_is_shipped():
    tuned = pd.DataFrame({"model": ["XGBoost", "XGBoost"], "seed": [3, 4], "found": ['{"a": 1}', '{"a": 2}']})
    deposit = Deposit("d", {"choice": {"default": "XGBoost"}, "seeds": [3, 4]}, {"hyperparameters": tuned})
    assert release.choose_model(deposit) == ("XGBoost", {"a": 1})


def test_command_line(rows, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from zcp.cli import app

    write(make(rows, name="GreenFactory-Fast"), tmp_path)
    monkeypatch.setattr(artefacts.read, "__defaults__", ("test", tmp_path))
    call = ["predict", "--space", "tss", "--arch", ARCH, "--dataset", "cifar10", "--fast"]
    found = CliRunner().invoke(app, call)
    assert found.exit_code == 0, found.output
    for word in ("accuracy", "interval", "90% coverage", "params", "naswot"):
        assert word in found.output

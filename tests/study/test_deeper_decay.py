"""Trainings with scores after each epoch: they learn, are resumed, and are correlated without failures."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from zcp.errors import InputError
from zcp.study.deeper_look import decay, training
from zcp.study.deeper_look.small_tasks import load_task
from zcp.study.deeper_look.training import Recipe
from zcp.study.results import DisagreementError

SHORT = Recipe(epochs=2, width=4, scored=16)


@pytest.fixture(scope="module")
def digits():
    return load_task("digits")


def test_the_split_is_fixed_balanced_and_disjoint(digits):
    again = load_task("digits")
    assert torch.equal(digits.train.inputs, again.train.inputs)
    assert len(digits.train.labels) == 300 and len(digits.test.labels) == 1497
    assert torch.bincount(digits.train.labels).tolist() == [30] * 10
    assert digits.train.inputs.mean().abs() < 1e-5
    flat = {tuple(x.flatten().tolist()) for x in digits.train.inputs}
    assert not any(tuple(x.flatten().tolist()) in flat for x in digits.test.inputs)
    first, second = digits.batches(16)
    assert torch.equal(first.inputs, digits.batches(16)[0].inputs) and not torch.equal(first[0], second[0])
    with pytest.raises(InputError, match="unknown small task 'mnist'"):
        load_task("mnist")


def test_a_training_learns_and_is_repeatable(digits):
    rows = list(training.train(1462, digits, SHORT, 0))
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[0]["accuracy"] < 30 < rows[2]["accuracy"] and rows[2]["loss"] < rows[1]["loss"]
    assert rows[0]["params"] == rows[2]["params"] and rows[0]["snip"] != rows[2]["snip"]
    again = list(training.train(1462, digits, SHORT, 0, epochs=1))
    assert again[1] == rows[1]
    other = next(training.train(1462, digits, SHORT, 1))
    assert other["snip"] != rows[0]["snip"]


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    first = training.run("digits", 2, [0], SHORT, folder=tmp_path)
    files = sorted((tmp_path / "decay-digits").iterdir())
    assert [f.suffix for f in files] == [".json", ".json"] and len(first) == 6
    files[0].unlink()
    calls = []
    real = training.train
    monkeypatch.setattr(training, "train", lambda *a: calls.append(a[0]) or real(*a))
    second = training.run("digits", 2, [0], SHORT, folder=tmp_path)
    assert len(calls) == 1 and first.equals(second)
    # Another recipe is another training.
    kept = json.loads(files[1].read_text())
    kept["recipe"]["epochs"] = 99
    files[1].write_text(json.dumps(kept))
    training.run("digits", 2, [0], SHORT, folder=tmp_path)
    assert len(calls) == 2


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    found = []
    for seed in (0, 1):
        final = rng.uniform(50, 90, 30)
        for epoch in (0, 1):
            part = pd.DataFrame(
                {"index": range(30), "seed": seed, "epoch": epoch, "loss": -final if epoch else np.nan}
            )
            noise = {p: rng.normal(size=30) for p in training.PROXIES}
            noise |= {"params": 1.0, "snip": final if epoch == 0 else -final}
            found.append(part.assign(**noise, accuracy=final if epoch else 10.0))
    found[0].loc[:4, "grasp"] = np.nan
    return pd.concat(found, ignore_index=True)


def test_correlations_with_the_final_accuracy_of_the_same_training(rows):
    curves = decay.correlate(rows)
    found = curves.set_index(["proxy", "seed", "epoch"])
    assert found.loc[("snip", 0, 0), "spearman"] == pytest.approx(1)
    assert found.loc[("snip", 1, 1), "spearman"] == pytest.approx(-1)
    assert found.loc[("grasp", 0, 0), ["n", "left_out"]].tolist() == [25, 5]
    assert np.isnan(found.loc[("params", 0, 0), "spearman"])
    assert np.isnan(found.loc[("accuracy", 0, 0), "spearman"])
    assert found.loc[("negative_loss", 0, 1), "spearman"] == pytest.approx(1)
    assert found.loc[("negative_loss", 0, 0), "left_out"] == 30
    mean = decay.average(curves).set_index(["proxy", "epoch"])
    assert mean.loc[("snip", 0), ["spearman", "seeds"]].tolist() == pytest.approx([1, 2])
    table = decay.tabulate(curves, [0, 1]).set_index("proxy")
    assert table.loc["snip", ["epoch 0", "epoch 1"]].tolist() == pytest.approx([1, -1])
    assert table.loc["grasp", ["n", "left_out"]].tolist() == [25, 5]


def test_a_deposit_is_checked(rows):
    deposit = decay.study("digits", rows, SHORT, 1.0)
    assert len(decay.check(rows, deposit)) == len(deposit.tables["curves"])
    assert deposit.tables["agreement"]["n"].tolist() == [30]
    deposit.tables["curves"].loc[0, "spearman"] = 0.123
    with pytest.raises(DisagreementError):
        decay.check(rows, deposit)


def test_a_training_that_goes_another_way_is_noticed(digits):
    rows = pd.DataFrame(training.train(1462, digits, SHORT, 0, epochs=1))
    assert len(decay.retrain("digits", rows, SHORT, [1462])) == 2
    with pytest.raises(DisagreementError, match="accuracy"):
        wrong = rows.assign(accuracy=rows["accuracy"] * 1.01)
        decay.retrain("digits", wrong, SHORT, [1462])

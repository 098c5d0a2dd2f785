import dataclasses

import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples
from joblib import Memory
from sklearn.dummy import DummyRegressor

from zcp.data.datasets import DATASETS
from zcp.data.images import ImageSet
from zcp.ensemble.splits import split
from zcp.errors import InputError
from zcp.study.greenfactory import descriptors, fits, transfer
from zcp.study.greenfactory.transfer import Plan
from zcp.study.results import Deposit, DisagreementError

TABLE = pd.DataFrame(
    {"dataset": list(DATASETS), "classes": [10, 100, 120], "resolution": [32, 32, 16], "channels": 3,
     "samples": [50_000, 50_000, 151_700], "separability": [0.55, 0.56, 0.6]}
)  # fmt: skip


@pytest.fixture(scope="module")
def deposit():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MEMORY", Memory(None))
        patch.setattr(transfer, "TREES", 10)
        patch.setattr(transfer, "INNER_TREES", 5)
        return transfer.study(make_examples(30), TABLE, [0])


def test_every_plan_is_there_once(deposit):
    cells = deposit.tables["cells"]
    assert not cells.duplicated(["scenario", "coding", "space", "dataset", "seed"]).any()
    assert len(cells) == (3 + 2) * 3 * 6
    assert set(cells["coding"]) == {*transfer.CODINGS, "chosen", "best proxy"}
    left = cells.query("scenario == 'leave dataset out'")
    assert (left["left_out"] == left["dataset"]).all()


def test_what_is_left_out_is_not_trained_on(deposit):
    sizes = deposit.tables["cells"].groupby("scenario")["train"].mean()
    assert sizes["leave dataset out"] == pytest.approx(sizes["within"] * 2 / 3)
    assert sizes["leave space out"] < 0.6 * sizes["within"]


def test_the_level_of_a_new_dataset_is_unknown(deposit):
    summary = deposit.tables["summary"]
    assert summary.query("coding == 'ranks'")["rmse"].isna().all()
    errors = summary[summary["coding"].isin(["one-hot", "descriptors"])].groupby("scenario")["rmse"].mean()
    assert errors["leave dataset out"] > 3 * errors["within"]


def test_codings():
    rows = make_examples(10)
    coded = transfer.code_rows(rows, "descriptors", TABLE)
    assert "dataset=cifar10" not in coded and set(coded["classes"]) == {10, 100, 120}
    ranks = transfer.code_rows(rows, "ranks", TABLE)
    assert ranks["params"].max() == 1 and "dataset=cifar10" not in ranks
    cell = (rows.labels["space"] == "tss") & (rows.labels["dataset"] == "cifar100")
    assert np.allclose(ranks.loc[cell, "params"], rows.features.loc[cell, "params"].rank() / 10)


def test_ranks_order_a_new_dataset(deposit):
    taus = deposit.tables["summary"].query("coding == 'ranks'").groupby("scenario")["kendall"].mean()
    assert taus["leave dataset out"] > 0.6 and taus["within"] > 0.6


def test_undescribed_datasets_are_named():
    rows = make_examples(10)
    with pytest.raises(InputError, match="'cifar10' has no descriptors"):
        transfer.code_rows(rows, "descriptors", TABLE.iloc[1:])


def changed(rows, foreign):
    """The same rows, with accuracies and scores of `foreign` ones shuffled and turned round."""
    rng = np.random.default_rng(0)
    at = np.flatnonzero(foreign)
    features, accuracy = rows.features.copy(), rows.accuracy.copy()
    features.loc[at, "zico"] *= -1
    features.loc[at, "flops"] = rng.normal(size=len(at))
    accuracy.loc[at] = accuracy.loc[rng.permutation(at)].to_numpy()
    return dataclasses.replace(rows, features=features, accuracy=accuracy)


@pytest.mark.parametrize("left_out", ["cifar10", "tss"])
def test_no_choice_sees_what_is_left_out_or_a_test_row(left_out, monkeypatch):
    monkeypatch.setattr(transfer, "INNER_TREES", 5)
    rows, plan = make_examples(30), Plan("leave", left_out, "one-hot")
    tested = np.isin(np.arange(len(rows)), split(rows, "isomorphic", 0).test)
    other = changed(rows, tested | rows.labels[["space", "dataset"]].eq(left_out).any(axis=1).to_numpy())
    assert transfer.rank_coding(other, plan, TABLE, 0) == transfer.rank_coding(rows, plan, TABLE, 0)
    choices = [set(transfer.measure_proxy(each, plan, 0)["choice"]) for each in (rows, other)]
    assert choices[0] == choices[1] and len(choices[0]) == 1


def test_the_best_proxy_keeps_the_sign_that_it_learnt():
    rows = make_examples(30)
    turned = dataclasses.replace(rows, features=-rows.features[["zico"]])
    found = transfer.measure_proxy(turned, Plan("leave", "cifar10", ""), 0)
    assert set(found["choice"]) == {"-zico"} and found["kendall"].min() > 0.5
    foreign = rows.labels["dataset"].eq("cifar10")
    misled = turned.features.where(~foreign.to_numpy()[:, None], -turned.features)
    found = transfer.measure_proxy(dataclasses.replace(turned, features=misled), Plan("l", "cifar10", ""), 0)
    assert found["kendall"].max() < -0.5  # a baseline can be wrong, and then is told to be


def test_the_chosen_coding_is_the_best_inside_not_the_best_outside(deposit):
    cells, inner = deposit.tables["cells"], deposit.tables["inner"]
    for key, options in inner.groupby(["scenario", "left_out", "seed"]):
        mine = cells[(cells[["scenario", "left_out", "seed"]] == key).all(axis=1)].set_index("coding")
        best = options.set_index("coding")["inner"].idxmax()
        assert set(mine.loc[["chosen"], "choice"]) == {best}
        assert mine.loc[["chosen"], "kendall"].tolist() == mine.loc[[best], "kendall"].tolist()
    swapped = inner.assign(inner=-inner["inner"])
    fitted = cells[cells["coding"].isin(transfer.CODINGS)]
    assert not transfer.take_chosen(fitted, swapped).equals(transfer.take_chosen(fitted, inner))


def test_a_live_slice_is_compared(deposit, monkeypatch):
    monkeypatch.setattr(transfer, "TREES", 10)
    rows = make_examples(30)
    assert len(transfer.check(rows, deposit)) == 3 * 2
    for column in ("kendall", "rmse", "n"):
        wrong = deposit.tables["cells"].assign(**{column: lambda t, c=column: 0.98 * t[c]})
        with pytest.raises(DisagreementError, match=column):
            transfer.check(rows, Deposit("d", deposit.settings, {**deposit.tables, "cells": wrong}))
    assert Plan("within", "", "ranks") in list(transfer.plans(rows))


@pytest.mark.parametrize("coding", ["descriptors", "ranks", "best proxy"])
def test_the_slice_covers_errors_ranks_and_the_baseline(deposit, coding, monkeypatch):
    monkeypatch.setattr(transfer, "TREES", 10)
    cells = deposit.tables["cells"]
    wrong = cells.assign(kendall=cells["kendall"].where(cells["coding"] != coding, 0.0))
    with pytest.raises(DisagreementError, match=coding):
        transfer.check(make_examples(30), Deposit("d", deposit.settings, {**deposit.tables, "cells": wrong}))


def test_a_shuffled_column_and_a_blind_model_are_noticed(deposit, monkeypatch):
    monkeypatch.setattr(transfer, "TREES", 10)
    rows = make_examples(30)
    shuffled = rows.features.assign(zico=rows.features["zico"].sample(frac=1, random_state=0).to_numpy())
    with pytest.raises(DisagreementError):
        transfer.check(dataclasses.replace(rows, features=shuffled), deposit)
    monkeypatch.setattr(transfer, "_build", lambda trees, seed: DummyRegressor())
    with pytest.raises(DisagreementError):
        transfer.check(rows, deposit)


def test_separability_of_pixels(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    noise = rng.integers(0, 50, (200, 4, 4, 3)).astype(np.uint8)
    blind = descriptors.separability(ImageSet(noise, labels, tmp_path), pairs=2_000)
    clear = ImageSet(
        (noise + 60 * labels[:, None, None, None]).clip(0, 255).astype(np.uint8), labels, tmp_path
    )
    assert blind == pytest.approx(0.5, abs=0.03) and descriptors.separability(clear, pairs=2_000) > 0.95
    with pytest.raises(InputError, match="one kind is missing"):
        descriptors.separability(ImageSet(noise, np.zeros(200, int), tmp_path))

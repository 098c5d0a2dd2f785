import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.data.datasets import DATASETS
from zcp.data.images import ImageSet
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
        patch.setattr("zcp.ensemble.candidates.TREES", 10)
        return transfer.study(make_examples(30), TABLE, [0])


def test_every_plan_is_there_once(deposit):
    cells = deposit.tables["cells"]
    assert not cells.duplicated(["scenario", "coding", "space", "dataset", "seed"]).any()
    assert len(cells) == 3 * 3 * 6
    left = cells.query("scenario == 'leave dataset out'")
    assert (left["left_out"] == left["dataset"]).all()


def test_what_is_left_out_is_not_trained_on(deposit):
    sizes = deposit.tables["cells"].groupby("scenario")["train"].mean()
    assert sizes["leave dataset out"] == pytest.approx(sizes["within"] * 2 / 3)
    assert sizes["leave space out"] < 0.6 * sizes["within"]


def test_the_level_of_a_new_dataset_is_unknown(deposit):
    summary = deposit.tables["summary"]
    assert summary.query("coding == 'ranks'")["rmse"].isna().all()
    errors = summary.groupby("scenario")["rmse"].mean()
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


def test_the_best_proxy_is_chosen_elsewhere():
    found = transfer.best_proxy(make_examples(30), 0)
    assert set(found["proxy"]) <= {"params", "zico"} and found["kendall"].min() > 0.5


def test_a_live_slice_is_compared(deposit, monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)
    rows = make_examples(30)
    assert len(transfer.check(rows, deposit)) == 6
    wrong = deposit.tables["cells"].assign(kendall=lambda t: 0.99 * t["kendall"])
    with pytest.raises(DisagreementError, match="kendall"):
        transfer.check(rows, Deposit("d", deposit.settings, {**deposit.tables, "cells": wrong}))
    assert Plan("within", "", "ranks") in list(transfer.plans(rows))


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

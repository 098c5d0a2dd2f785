"""Small made-up scores and accuracies for the tests of `zcp.ensemble`."""

import numpy as np
import pandas as pd
import pytest

from zcp.collect.settings import Origin, Settings
from zcp.data.datasets import DATASETS
from zcp.ensemble.artefacts import withhold, write
from zcp.ensemble.examples import Examples, join
from zcp.proxies.population import AZ_NAS_PARTS, az_nas
from zcp.study.greenfactory import release

PROXIES = ["flops", "naswot", "params", "zico"]
FEATURES = ["dataset=ImageNet16-120", "dataset=cifar10", "dataset=cifar100", "flops", "naswot", "params"]
SETTINGS = Origin(Settings(("params", "flops", "naswot"), batch=4, inputs="gaussian")).to_json()
ORIGIN = {"scores": "made-up", "scores_sha256": "0" * 64, "scores_settings": SETTINGS}
FOUND = {"max_features": 0.5, "min_samples_leaf": 5, "bootstrap": False}


def make_scores(networks=40, seed=0):
    """Two spaces, three datasets; `params` and `zico` follow the accuracy, `naswot` is noise and may fail."""
    rng = np.random.default_rng(seed)
    blocks = []
    for space in ("sss", "tss"):
        quality = rng.uniform(0, 1, networks)
        for level, dataset in enumerate(DATASETS):
            block = pd.DataFrame({"space": space, "index": np.arange(networks) * 3, "dataset": dataset})
            block["arch"] = "|…|"
            block["params"] = np.exp(5 * quality)
            block["flops"] = quality + rng.normal(0, 0.3, networks)
            block["zico"] = quality + level
            block["naswot"] = np.where(rng.random(networks) < 0.1, -np.inf, rng.normal(size=networks))
            block["reason"] = "{}"
            block["accuracy"] = 80 - 20 * level + 10 * quality + rng.normal(0, 0.5, networks)
            blocks.append(block.assign(seconds_params=0.1, seconds_zico=0.4))
    return pd.concat(blocks, ignore_index=True)


def make_examples(networks=40, seed=0) -> Examples:
    table = make_scores(networks, seed)
    measured = table[["space", "index", "dataset", "accuracy"]]
    return join(table.drop(columns="accuracy"), measured, "test", {"scores_sha256": "0" * 64})


def make_rows() -> Examples:
    """Rows that a model can be fitted on, with AZ-NAS."""
    table = make_scores(20)
    rng = np.random.default_rng(0)
    for part in AZ_NAS_PARTS:
        table[part] = rng.normal(size=len(table))
    table["az_nas"] = az_nas(table)
    measured = table[["space", "index", "dataset", "accuracy"]]
    return join(table.drop(columns="accuracy"), measured, "test", ORIGIN)


def make_measured(rows, kendall=0.8):
    """What a card says of a model's quality: made up, and better than its baselines."""
    cell = {
        "n": 10,
        "kendall": kendall,
        "kendall_low": -1.0,
        "kendall_high": 1.0,
        "rmse": 1.0,
        "rmse_low": 0.5,
    }
    cell |= {"rmse_high": 2.0, "inside": 1.0, "baselines": {"mean of ranks": 0.5, "best proxy": 0.6}}
    cell |= {"coverage": [{"level": level, "coverage": level, "n": 10} for level in (0.8, 0.9, 0.95)]}
    cells = rows.labels[["space", "dataset"]].drop_duplicates().to_dict("records")
    told = {"deposit": "nested-test", "scheme": "isomorphic", "splits": 2, "trials": 3, "rows": len(rows)}
    return told | {"scores_sha256": "0" * 64, "cells": [each | cell for each in cells]}


def make_artefact(rows, features=FEATURES, name="GreenFactory", model="extra trees", found=FOUND):
    chosen = {"features": features, "model": model, "hyperparameters": found}
    return release.fit_artefact(rows, name, chosen, make_measured(rows))


def write_models(folder, why):
    """Ship one small model for `test`, and withhold the fast one for this reason."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zcp.ensemble.candidates.TREES", 10)
        write(make_artefact(make_rows()), folder)
    withhold("GreenFactoryFast", "test", why, folder)
    return folder

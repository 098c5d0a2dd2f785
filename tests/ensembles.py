"""Small made-up scores and accuracies for the tests of `zcp.ensemble`."""

import numpy as np
import pandas as pd

from zcp.data.datasets import DATASETS
from zcp.ensemble.examples import Examples, join

PROXIES = ["flops", "naswot", "params", "zico"]


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

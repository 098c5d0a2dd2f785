import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from collecting import SETTINGS

import zcp
from zcp.collect import digests
from zcp.collect import row as module
from zcp.collect.digests import image_digests
from zcp.collect.row import failed_row, score_row
from zcp.data.batches import gaussian_batches
from zcp.data.images import ImageSet
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.scoring import Scores
from zcp.statistics.seeding import seed_for

PROXIES = ("params", "grad_norm", "zen")
GAUSSIAN = replace(SETTINGS, proxies=PROXIES)


def test_row_is_what_score_gives():
    row = score_row("sss", 5, "cifar10", GAUSSIAN)
    network = zcp.build("sss", 5, "cifar10", seed=0)
    batches = gaussian_batches("cifar10", 4, count=2, seed=0)
    scores = zcp.score(network, batches, PROXIES, seed=seed_for(0, "sss", 5, "cifar10"))
    assert {name: row[name] for name in PROXIES} == dict(scores)
    assert {key: row[key] for key in ("space", "index", "arch", "dataset", "reason")} == {
        "space": "sss", "index": 5, "arch": "8:8:8:8:48", "dataset": "cifar10", "reason": "{}",
    }  # fmt: skip
    timed = {name.removeprefix("seconds_") for name in row if name.startswith("seconds_")}
    assert timed == set(scores.seconds)
    assert {step for steps in row["steps"].values() for step in steps} <= timed
    assert json.loads(json.dumps(row)) == row


def test_row_does_not_depend_on_what_ran_before():
    def values():
        row = score_row("sss", 5, "cifar10", GAUSSIAN)
        return [row[name] for name in PROXIES]

    before = values()
    torch.manual_seed(123)
    score_row("tss", 11, "cifar100", replace(GAUSSIAN, proxies=("params",)))
    assert values() == before


def test_reasons_are_recorded():
    # This cell passes nothing on.
    index = zcp.get_space("tss").index("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    settings = replace(SETTINGS, proxies=("params", "log_synflow", "naswot"))
    row = score_row("tss", index, "cifar10", settings)
    reasons = json.loads(row["reason"])
    assert reasons
    assert {name for name in settings.proxies if not math.isfinite(row[name])} == set(reasons)


def test_failed_row():
    row = failed_row("sss", 5, "cifar10", GAUSSIAN, "its worker was killed by SIGKILL")
    assert all(math.isnan(row[name]) for name in PROXIES)
    assert json.loads(row["reason"]) == dict.fromkeys(PROXIES, "its worker was killed by SIGKILL")


def test_a_full_device_is_no_property_of_the_network(monkeypatch):
    def full(*_arguments, **_keywords):
        scores = Scores()
        scores["grad_norm"], scores.reasons["grad_norm"] = math.nan, "OutOfMemoryError: CUDA out of memory."
        return scores

    monkeypatch.setattr(module, "score", full)
    with pytest.raises(MemoryError, match="CUDA out of memory"):
        score_row("sss", 5, "cifar10", GAUSSIAN)


def test_settings_of_another_release_are_scored_alike():
    rows = [score_row("sss", 5, "cifar10", s) for s in (GAUSSIAN, replace(GAUSSIAN, zcp="0.0.1"))]
    assert [rows[0][name] for name in GAUSSIAN.proxies] == [rows[1][name] for name in GAUSSIAN.proxies]


def test_other_images_are_refused(monkeypatch):
    monkeypatch.setattr(module, "image_digests", lambda names: dict.fromkeys(names, "f" * 64))
    settings = replace(GAUSSIAN, inputs="images", images={"cifar10": "e" * 64})
    with pytest.raises(InputError, match=r"images here are not those .*ffffffffffff against eeeeeeeeeeee"):
        score_row("sss", 5, "cifar10", settings)


def test_digest_depends_on_pixels_and_labels(monkeypatch, tmp_path):
    images, labels = np.zeros((4, 32, 32, 3), np.uint8), np.arange(4)
    found = set()
    for change in ("nothing", "pixel", "label"):
        digests._digest.cache_clear()
        altered, named = images.copy(), labels.copy()
        altered[0, 0, 0, 0] += change == "pixel"
        named[0] += change == "label"
        kept = ImageSet(altered, named, tmp_path)
        monkeypatch.setattr(digests, "find_images", lambda _name, kept=kept: kept)
        found.add(image_digests(["cifar10"])["cifar10"])
    digests._digest.cache_clear()
    assert len(found) == 3


def test_images_of_the_data_folder():
    if data_folder() is None:
        pytest.skip("no data folder: set ZCP_DATA")
    settings = replace(GAUSSIAN, inputs="images", images=image_digests(["cifar10"]))
    row = score_row("sss", 5, "cifar10", settings)
    assert row["params"] == score_row("sss", 5, "cifar10", GAUSSIAN)["params"]
    assert row["grad_norm"] != score_row("sss", 5, "cifar10", GAUSSIAN)["grad_norm"]

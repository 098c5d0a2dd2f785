import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from collecting import SETTINGS

import zcp
from zcp.collect import row as module
from zcp.collect import settings as settings_module
from zcp.collect.row import failed_row, score_row
from zcp.collect.settings import image_digests
from zcp.data.batches import gaussian_batches
from zcp.data.images import ImageSet
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.proxies.registry import REGISTRY, get_proxy
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
    timed = {name: value for name, value in row.items() if name.startswith("seconds_")}
    assert set(timed) == {"seconds_none", "seconds_default", "seconds_normal"}
    assert all(0 < value < 60 and np.float16(value) == value for value in timed.values())
    assert json.loads(json.dumps(row)) == row


def test_the_time_of_a_group_is_that_of_all_its_steps(monkeypatch):
    def timed(*_arguments, **_keywords):
        scores = Scores()
        scores.update(dict.fromkeys(PROXIES, 1.0))
        scores.steps = {"params": ("none_init", "params"), "grad_norm": ("default_init", "default_a"),
                        "zen": ("default_init", "zen")}  # fmt: skip
        scores.seconds = {
            "none_init": 1.0,
            "params": 0.5,
            "default_init": 2.0,
            "default_a": 0.25,
            "zen": 0.125,
        }
        return scores

    monkeypatch.setattr(module, "score", timed)
    row = score_row("sss", 5, "cifar10", GAUSSIAN)
    assert (row["seconds_none"], row["seconds_default"]) == (1.5, 2.375)


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


@pytest.mark.parametrize(
    "told",
    [
        "OutOfMemoryError: CUDA out of memory.",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
        "memory: you tried to allocate 4096 bytes. Error code 12 (Cannot allocate memory)",
        "RuntimeError: could not allocate memory",
        "RuntimeError: std::bad_alloc",
        "MemoryError: ",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_a_shortage_of_memory_is_never_a_score(monkeypatch, told):
    def full(*_arguments, **_keywords):
        scores = Scores()
        scores["grad_norm"], scores.reasons["grad_norm"] = math.nan, told
        return scores

    monkeypatch.setattr(module, "score", full)
    with pytest.raises(MemoryError) as error:
        score_row("sss", 5, "cifar10", GAUSSIAN)
    assert str(error.value) == told


def test_what_pytorch_says_without_memory_is_known(monkeypatch):
    greedy = replace(get_proxy("params"), name="greedy", function=lambda _: torch.empty(1 << 50))
    monkeypatch.setitem(REGISTRY, "greedy", greedy)
    with pytest.raises(MemoryError):
        score_row("sss", 5, "cifar10", replace(GAUSSIAN, proxies=("greedy",)))


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
        settings_module._image_digest.cache_clear()
        altered, named = images.copy(), labels.copy()
        altered[0, 0, 0, 0] += change == "pixel"
        named[0] += change == "label"
        kept = ImageSet(altered, named, tmp_path)
        monkeypatch.setattr(settings_module, "find_images", lambda _name, kept=kept: kept)
        found.add(image_digests(["cifar10"])["cifar10"])
    settings_module._image_digest.cache_clear()
    assert len(found) == 3


def test_images_of_the_data_folder():
    if data_folder() is None:
        pytest.skip("no data folder: set ZCP_DATA")
    settings = replace(GAUSSIAN, inputs="images", images=image_digests(["cifar10"]))
    row = score_row("sss", 5, "cifar10", settings)
    assert row["params"] == score_row("sss", 5, "cifar10", GAUSSIAN)["params"]
    assert row["grad_norm"] != score_row("sss", 5, "cifar10", GAUSSIAN)["grad_norm"]

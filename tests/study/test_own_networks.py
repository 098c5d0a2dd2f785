"""Networks from outside the benchmarks: three small ones, and the deposited table of a library's models."""

import math

import pandas as pd
import pytest
import torch

from zcp import gaussian_batches, score
from zcp.proxies.registry import default_proxies
from zcp.study import results
from zcp.study.own_networks import coverage, figures, small

IMAGES = gaussian_batches("cifar10", 6)
TEXT = [(small.as_text(x), y) for x, y in IMAGES]
NO_FEATURE_MAPS = {"eznas": "no activation of feature maps"}


@pytest.mark.parametrize(
    ("make", "batches", "missing"),
    [
        (small.ConvNet, IMAGES, {}),
        (small.ViT, IMAGES, NO_FEATURE_MAPS),
        (small.LanguageModel, TEXT, NO_FEATURE_MAPS),
    ],
)
def test_small_networks_of_three_kinds_have_a_value_or_a_reason(make, batches, missing):
    found = score(make(), batches)
    without = {name: found.reasons[name] for name in found if math.isnan(found[name])}
    assert without.keys() == missing.keys(), without
    assert all(words in without[name] for name, words in missing.items())
    assert found.untouched == ()


def test_images_as_text_are_grey_levels():
    ramp = torch.linspace(0, 1, small.SIDE).expand(2, 3, small.SIDE, small.SIDE)
    tokens = small.as_text(ramp)["input_ids"]
    assert tokens.shape == (2, small.SIDE**2)
    assert torch.equal(tokens[0, : small.SIDE], tokens[1, small.SIDE : 2 * small.SIDE])
    assert tokens[0, 0] == 0 and tokens.max() == small.WORDS - 1
    assert (tokens[0, : small.SIDE].diff() > 0).all()


def test_the_deposit_covers_nearly_all_and_says_why_not_the_rest():
    deposit = results.read(coverage.NAME)
    table, models = deposit.tables["coverage"], deposit.tables["models"]
    assert set(deposit.settings["proxies"]) == set(default_proxies())
    assert len(table) == len(models) * len(default_proxies()) and len(models) == 10
    assert table["valued"].mean() >= 0.95
    assert (table.loc[table["valued"] == 0, "reason"] != "").all()
    assert models["operations"].equals(models["pytorch"])


def test_reasons_are_numbered():
    columns = ["model", "proxy", "valued", "reason"]
    rows = [("b", "x", 1, ""), ("b", "y", 0, "why"), ("a", "x", 0, "because"), ("a", "y", 0, "why")]
    wide, listed = coverage.arrange(pd.DataFrame(rows, columns=columns))
    assert wide.to_dict("list") == {"proxy": ["x", "y"], "b": ["✓", "2"], "a": ["1", "2"]}
    assert listed.to_dict("list") == {"": ["1", "2"], "reason": ["because", "why"]}


def test_without_the_library_nothing_is_compared(monkeypatch):
    monkeypatch.setattr(coverage, "why_missing", lambda module: f"{module} is not installed")
    assert coverage.check(results.read(coverage.NAME), ["vit"]) == {}


def test_a_missing_rank_is_no_point():
    ranks = pd.DataFrame({"x": [1, 2], "y": [1, float("nan")]}, index=["one", "other"])
    (axis,) = figures.plot_ranks(ranks).axes
    assert [len(points.get_offsets()) for points in axis.collections] == [2, 1]
    assert axis.collections[0].get_offsets()[:, 0].tolist() == [0.875, 0.875]

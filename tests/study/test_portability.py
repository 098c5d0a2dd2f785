"""The machinery that finds what rounding decides; what it finds in the study is the command's own matter."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from zcp.collect import load_scores
from zcp.ensemble.regressors import build_regressor
from zcp.paths import PROJECT
from zcp.study import agreement, rescoring, ulps
from zcp.study.portability import live_checks as live
from zcp.study.portability import processors, spreads
from zcp.study.portability.runs import Outcome, summarise

SEEDS = (1, 2, 3)


def run(values: dict[str, float], exact: dict[str, float] | None = None) -> pd.DataFrame:
    """Return the table of a run, a group a value."""
    rows = [(name, value, "measured") for name, value in values.items()]
    rows += [(name, value, "exact") for name, value in (exact or {}).items()]
    table = pd.DataFrame(rows, columns=["group", "live", "basis"])
    return table.assign(deposit="d", table="t", quantity="rmse", key=table["group"])


def test_values_move_by_one_unit_and_equal_ones_alike():
    values = np.array([0.1, 0.1, 7.0, np.nan, np.inf, -0.3, 1e30 / 3])
    moved = ulps.move_values(values, 1)
    with np.errstate(invalid="ignore"):
        distance = np.abs(moved - values) / np.spacing(np.abs(values))
    assert moved[0] == moved[1] != 0.1 and distance[[0, 1, 5]].tolist() == pytest.approx([1, 1, 1], abs=0.5)
    assert moved[2] == 7 and np.isnan(moved[3]) and np.isinf(moved[4])
    assert (ulps.move_values(values, 1)[:3] == moved[:3]).all()
    assert any((ulps.move_values(values, seed)[:3] != moved[:3]).any() for seed in range(2, 9))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_move_by_one_unit_of_their_precision(dtype):
    layer = torch.nn.Linear(30, 40).to(dtype)
    before, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    ulps.move_network(layer, 1)
    change = (layer.weight.detach() - before).abs() / before.abs()
    assert change.min() > 0 and change.max() <= 2 * torch.finfo(dtype).eps
    assert (layer.bias == bias).all()


def test_what_is_read_arrives_moved_and_nothing_stays_so():
    plain = load_scores("nats-b8")
    import zcp.ensemble.examples as reader

    with ulps.moved_inputs(1):
        moved = reader.load_scores("nats-b8")
    assert (moved["index"] == plain["index"]).all() and moved.attrs == plain.attrs
    for name in ("zen", "params"):
        assert 0 < (moved[name] / plain[name] - 1).abs().max() < 1e-15
    assert moved["params"].nunique() == plain["params"].nunique()
    assert (reader.load_scores("nats-b8")["params"] == plain["params"]).all()


def ridge_error(seed: int) -> float:
    """Return the error of a Bayesian ridge on raw columns of 1 and of 1e30, moved."""
    source = np.random.default_rng(0)
    quality = source.uniform(0, 1, (400, 6))
    features = np.column_stack([quality, np.exp(69 * quality[:, 0]), np.exp(60 * quality[:, 1])])
    if seed:
        features = ulps.move_values(features, seed)
    accuracy = 50 + quality @ np.arange(6.0)
    rows = source.integers(0, 200, 800)
    model = build_regressor("Bayesian Ridge", 0).fit(features[rows], accuracy[rows])
    return float(np.sqrt(np.mean((model.predict(features[200:]) - accuracy[200:]) ** 2)))


def sign_determinant(seed: int) -> float:
    """Return how many of twenty singular matrices of signs have a determinant in floating point."""
    source = np.random.default_rng(0)
    signs = source.choice([-1.0, 1.0], (20, 32, 32))
    a, b = signs[:, 0], signs[:, 1]
    signs[:, 2] = np.where(a == b, a, signs[:, 2])
    signs[:, 3] = a + b - signs[:, 2]  # signs again, and a combination of three rows
    if seed:  # signs are exact: what moves is the order of the sums, by that of the columns
        signs = signs[:, :, np.random.default_rng(seed).permutation(32)]
    return float(np.count_nonzero(np.linalg.det(signs)))


def test_the_ridge_and_the_determinants_are_found():
    values = [
        {"ridge": ridge_error(seed), "determinant": sign_determinant(seed), "mean": 2 / 3}
        for seed in (0, *SEEDS)
    ]
    plain, *moved = (run(each) for each in values)
    found = spreads.measure_spreads(plain, moved, []).set_index("group")
    assert found["perturbations"].eq(3).all() and found["settings"].eq(0).all()
    most = agreement.largest_tolerance("rmse", plain.set_index("group").loc[found.index, "live"].to_numpy())
    decided = agreement.FACTOR * found["spread"] + agreement.RESOLUTION > most
    assert decided.to_dict() == {"ridge": True, "determinant": True, "mean": False}


def test_a_spread_is_the_largest_deviation_of_a_group():
    plain, first = run({"a": 1.0, "b": np.nan, "c": 2.0}), run({"a": 1.25, "b": np.nan, "c": np.inf})
    found = spreads.spread_of(plain, [first, run({"a": 0.5})]).set_index("group")["spread"]
    assert found.to_dict() == {"a": 0.5, "b": 0.0, "c": np.inf}


def test_a_choice_that_moves_is_named():
    lines = spreads.moved_choices(run({}, {"index": 3}), run({}, {"index": 4}))
    assert lines == ["d t index index rmse: 3, then 4"]
    assert not spreads.moved_choices(run({}, {"index": 3}), run({}, {"index": 3}))


def test_measured_spreads_are_put_beside_the_others(tmp_path):
    first = spreads.measure_spreads(run({"a": 1.0, "b": 1.0}), [run({"a": 1.5, "b": 1.0})], [])
    spreads.write_spreads(first, tmp_path)
    spreads.write_spreads(spreads.measure_spreads(run({"a": 1.0}), [run({"a": np.inf})], []), tmp_path)
    found = agreement.read_spreads(tmp_path).set_index("group")["spread"]
    assert found.to_dict() == {"a": np.inf, "b": 0.0}
    json.loads((tmp_path / "portability.json").read_text(), parse_constant=pytest.fail)


def test_settings_that_a_processor_lacks_are_named():
    assert processors.usable_settings({"sse4_1", "sse4_2", "avx2", "avx512f"})[1] == []
    assert "ATen avx2" in processors.usable_settings({"sse4_1", "sse4_2", "avx2"})[1]
    able, unable = processors.usable_settings({"sse4_1", "sse4_2"})
    assert {"ATen avx2", "oneDNN AVX2", "MKL AVX2"} == {*unable}
    assert {"oldest", "MKL compatible", "one thread", "two threads"} <= {*able}
    assert not any("OPENBLAS" in name for each in able.values() for name in each.variables)


def test_every_check_of_a_page_is_among_those_that_are_run():
    called = {
        name
        for path in (PROJECT / "notebooks").glob("*.ipynb")
        for name in re.findall(r"(\w+)\.check\b", path.read_text())
    }
    names = {check.name.split("-")[0] for check in live.live_checks()}
    # Where `transformers` is missing, the page compares nothing either.
    assert called - {"throughput", "pages"} <= names | {"perturbation", "coverage"}
    assert {"retrain", "golden", "rescored"} <= names


def test_every_value_that_the_first_page_scores_again_has_a_spread():
    scores = load_scores(live.SCORES)
    rows = rescoring.choose_rows(scores, live.RESCORED)
    drawn = rows.melt(rescoring.KEY, rescoring.choose_proxies(scores, images=True), "proxy")
    named = agreement.name_groups(drawn, [*rescoring.KEY, "proxy"])
    known = agreement.read_spreads()
    assert {*named} <= {*known.loc[known["deposit"] == "scores", "group"]}, "measure: zcp portable --write"


def test_a_miss_is_named_in_the_summary():
    text = summarise(
        [Outcome("oldest", "tests", 5, 0, ["FAILED here"], 1.0), Outcome("x", "tests", 5, 2, [], 1)]
    )
    assert "oldest: FAILED here" in text and "1 MISSES" in text and "2 decided by rounding" in text

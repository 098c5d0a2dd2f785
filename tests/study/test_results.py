import json
import math

import pandas as pd
import pytest

from zcp.data.checksums import sha256
from zcp.errors import InputError
from zcp.study import results
from zcp.study.results import Deposit, DisagreementError


@pytest.fixture
def deposit():
    table = pd.DataFrame({"name": ["a", "b"], "seed": [0, 1], "rmse": [1.25, math.nan]})
    return Deposit("section-test", {"seeds": [0, 1]}, {"fits": table}, {"scores_sha256": "0" * 64})


def test_a_deposit_comes_back(deposit, tmp_path):
    path = results.write(deposit, tmp_path)
    back = results.read("section-test", tmp_path)
    assert (back.name, back.settings, back.provenance) == (deposit.name, deposit.settings, deposit.provenance)
    pd.testing.assert_frame_equal(back.tables["fits"], deposit.tables["fits"])
    assert list(tmp_path.iterdir()) == [path]
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_a_failed_write_keeps_the_old_deposit(deposit, tmp_path):
    path = results.write(deposit, tmp_path)
    before = path.read_text()
    with pytest.raises(TypeError):
        results.write(Deposit("section-test", {"bad": object()}, {}), tmp_path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_deposit_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="PROFILE=paper"):
        results.read("nothing", tmp_path)


@pytest.mark.parametrize("damage", [lambda text: text[:-30], lambda text: "{}", lambda text: "[1]"])
def test_a_damaged_deposit_is_refused(deposit, tmp_path, damage):
    path = results.write(deposit, tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match="not a whole deposit"):
        results.read("section-test", tmp_path)


def test_scores_must_be_those_of_the_deposit(deposit, tmp_path):
    scores = tmp_path / "scores"
    scores.mkdir()
    (scores / "part.parquet").write_bytes(b"scores")
    same = Deposit("d", {}, {}, {"scores_sha256": sha256(scores / "part.parquet")})
    results.require_same_scores(same, scores)
    with pytest.raises(DisagreementError, match="scores has"):
        results.require_same_scores(deposit, scores)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_prose_never_says_nan(value):
    with pytest.raises(InputError, match="best_rmse"):
        results.finite(value, "best_rmse")
    assert results.finite(2, "two") == 2.0

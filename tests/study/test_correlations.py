import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from zcp.ensemble.examples import Examples
from zcp.study import correlations
from zcp.study.greenfactory import paper
from zcp.study.results import DisagreementError

N = 60


@pytest.fixture(scope="module")
def rows() -> Examples:
    rng = np.random.default_rng(0)
    accuracy = pd.Series(rng.uniform(10, 95, N))
    noisy = accuracy + rng.normal(0, 20, N)
    features = {"params": noisy, "ntk_cond": -noisy, "flops": np.ones(N), "naswot": noisy.to_numpy().copy()}
    features["naswot"][:5] = [-np.inf, np.nan, -np.inf, np.nan, np.nan]
    table = pd.DataFrame(features).assign(**{"dataset=cifar10": 1.0})
    labels = pd.DataFrame({"space": "tss", "index": range(N), "dataset": "cifar10"})
    return Examples(table, accuracy, labels, "test_12ep", {"scores": "none"})


@pytest.fixture(scope="module")
def table(rows) -> pd.DataFrame:
    return correlations.correlate(rows).set_index("proxy")


def test_correlation_and_interval(rows, table):
    expected = spearmanr(rows.features["params"], rows.accuracy).statistic
    assert table["spearman"]["params"] == pytest.approx(expected)
    assert table["low"]["params"] < expected < table["high"]["params"]
    # The usual large-sample interval, on Fisher's scale.
    half = 1.96 / np.sqrt(N - 3)
    usual = np.tanh(np.arctanh(expected) + np.array([-half, half]))
    assert table.loc["params", ["low", "high"]].astype(float).to_numpy() == pytest.approx(usual, abs=0.06)


def test_direction_failures_and_constants(table):
    assert table["spearman"]["ntk_cond"] == pytest.approx(table["spearman"]["params"])  # smaller is better
    assert table["failed"]["naswot"] == 5 and table["spearman"]["naswot"] < table["spearman"]["params"]
    assert np.isnan(table.loc["flops", ["spearman", "low", "high"]].astype(float)).all()
    assert "dataset=cifar10" not in table.index


def test_the_papers_values_are_joined_by_name(table):
    twin = paper.compare_correlations(table.reset_index(), "tss", "cifar10").set_index("proxy")
    assert twin["paper"]["params"] == 0.529 and np.isnan(twin["paper"]["ntk_cond"])
    inside = table["low"]["params"] <= 0.529 <= table["high"]["params"]
    assert twin["inside"]["params"] == inside and twin["inside"]["ntk_cond"] is None


def test_live_values_are_compared(rows, table):
    deposit = correlations.study(rows)
    live = table.reset_index()
    assert len(correlations.check(live, deposit)) == len(live)
    with pytest.raises(DisagreementError):
        correlations.check(live.assign(spearman=np.nan), deposit)
    deposit.tables["correlations"].loc[0, "spearman"] += 1e-3
    with pytest.raises(DisagreementError):
        correlations.check(live, deposit)


def test_a_score_of_a_population_counts_upwards(rows):
    wider = dataclasses.replace(rows, features=rows.features.assign(az_nas=rows.features["params"]))
    table = correlations.correlate(wider).set_index("proxy")
    assert table["spearman"]["az_nas"] == table["spearman"]["params"] > 0

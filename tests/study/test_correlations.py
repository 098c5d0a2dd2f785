import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from zcp import benchmarks
from zcp.collect import load_scores
from zcp.ensemble.examples import Examples
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.study import correlations, whole_space
from zcp.study.greenfactory import paper
from zcp.study.greenfactory.architectures import CELL_COLUMNS, encode_architectures
from zcp.study.results import Deposit, DisagreementError

N = 60
#: The accuracy after 12 epochs of all networks.
needs_data = pytest.mark.skipif(data_folder() is None, reason="needs the data folder (set ZCP_DATA)")


@pytest.fixture(scope="module")
def rows() -> Examples:
    rng = np.random.default_rng(0)
    accuracy = pd.Series(rng.uniform(10, 95, N))
    noisy = accuracy + rng.normal(0, 20, N)
    labels = pd.DataFrame({"space": "tss", "index": range(0, 15_600, 260), "dataset": "cifar10"})
    # Exactly 100 for each 1x1 and 900 for each 3x3 convolution, so that a cell can be counted from another.
    cells = encode_architectures(labels)[CELL_COLUMNS]
    small, large = (cells.filter(like=f"nor_conv_{k}x{k}").sum(axis=1) for k in (1, 3))
    features = {"params": noisy, "ntk_cond": -noisy, "flops": np.ones(N), "naswot": noisy.to_numpy().copy()}
    features["naswot"][:5] = [-np.inf, np.nan, -np.inf, np.nan, np.nan]
    table = pd.DataFrame(features).assign(**{"dataset=cifar10": 1.0})
    counted = table.assign(synflow_bn=1_000 + 100 * small + 900 * large)
    return Examples(counted, accuracy, labels, "test_12ep", {"scores": "none"})


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


@pytest.fixture
def counts(monkeypatch):
    """The made-up count in place of the parameters."""
    monkeypatch.setattr(whole_space, "COUNTED", ("synflow_bn",))


@pytest.mark.usefixtures("counts")
@needs_data
def test_live_values_are_compared(rows):
    deposit = correlations.study(rows)
    found = correlations.check([rows], deposit)
    assert len(found["correlations"]) == 5 and len(found["whole_space"]) == 1
    shuffled = rows.features["params"].sample(frac=1, random_state=0).to_numpy()
    with pytest.raises(DisagreementError, match="params"):
        correlations.check(
            [dataclasses.replace(rows, features=rows.features.assign(params=shuffled))], deposit
        )
    for table, column in (
        ("correlations", "spearman"),
        ("correlations", "regret"),
        ("whole_space", "kendall"),
    ):
        wrong = deposit.tables[table].assign(**{column: lambda t, c=column: 0.98 * t[c]})
        with pytest.raises(DisagreementError, match=column):
            correlations.check([rows], Deposit("d", {}, {**deposit.tables, table: wrong}))


def test_a_proxy_comes_from_the_first_collection_that_holds_it(rows):
    few = dataclasses.replace(rows.without("ntk_cond"), origin={"scores": "first"})
    found = correlations.correlate_first([few, rows], resamples=0)
    assert found.set_index("proxy")["scores"].to_dict() == {
        "params": "first", "flops": "first", "naswot": "first", "synflow_bn": "first", "ntk_cond": "none",
    }  # fmt: skip
    assert found["low"].isna().all() and found["spearman"].notna().sum() == 4


def test_cells_of_an_architecture_are_drawn_together(rows):
    both = [rows.labels, rows.labels.assign(dataset="cifar100")]
    twice = dataclasses.replace(
        rows.take(np.tile(np.arange(N), 2)), labels=pd.concat(both, ignore_index=True)
    )
    table = correlations.correlate(twice, ["params"], 50)
    assert table["low"].nunique() == table["kendall_high"].nunique() == 1


@needs_data
@pytest.mark.usefixtures("counts")
def test_a_count_of_the_whole_space_is_exact_and_needs_no_interval(rows):
    whole = whole_space.correlate_counts(rows).iloc[0]
    measured = benchmarks.load("tss").accuracy("cifar10", "test_12ep")
    every = encode_architectures(pd.DataFrame({"space": "tss", "index": measured.index}))
    small, large = (every.filter(like=f"nor_conv_{k}x{k}").sum(axis=1) for k in (1, 3))
    assert whole["n"] == 15_625
    assert whole["kendall"] == pytest.approx(kendalltau(small + 9 * large, measured).statistic)


def test_what_is_no_count_is_refused(rows):
    index = rows.labels["index"].to_numpy()
    with pytest.raises(InputError, match="no counts of parts"):
        whole_space.count("tss", index, rows.features["params"].to_numpy())
    with pytest.raises(InputError, match="too few"):
        whole_space.count("tss", index[:20], np.ones(20))


def test_a_score_of_a_population_counts_upwards(rows):
    wider = dataclasses.replace(rows, features=rows.features.assign(az_nas=rows.features["params"]))
    table = correlations.correlate(wider).set_index("proxy")
    assert table["spearman"]["az_nas"] == table["spearman"]["params"] > 0


@pytest.mark.parametrize("space", ["tss", "sss"])
def test_networks_that_were_not_counted_get_their_counts(space):
    """In millions, and where a cell of the size space projects nothing, too."""
    scores = load_scores("nats-b8").query("space == @space and dataset == 'cifar10'")
    index = scores["index"].to_numpy()
    for proxy in whole_space.COUNTED:
        values = scores[proxy].to_numpy()
        counted = whole_space.count(space, index[:500], values[:500])
        assert counted[index[500:]] == pytest.approx(values[500:], rel=1e-9)

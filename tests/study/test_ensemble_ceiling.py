from itertools import product

import numpy as np
import pandas as pd
import pytest

from zcp.analysis.metrics import kendall
from zcp.errors import InputError
from zcp.study.greenfactory import bounds, ceiling
from zcp.study.greenfactory.ceiling import (
    bounds_of,
    ceilings_of,
    check,
    check_model,
    estimate_noise,
    simulate,
    study,
)
from zcp.study.results import Deposit, DisagreementError


def trained(sigma=0.5, networks=3_000):
    rng = np.random.default_rng(0)
    expected = rng.uniform(60, 90, networks)
    seeds = pd.DataFrame({f"seed{i}": expected + rng.normal(0, sigma, networks) for i in range(3)})
    seeds.loc[::2, "seed2"] = np.nan
    return expected, seeds


def test_noise_of_known_size_is_found():
    _, seeds = trained(0.5)
    noise = estimate_noise(seeds)
    assert noise.sigma == pytest.approx(0.5, abs=0.08) and noise.shape.std() == pytest.approx(1, abs=0.05)


def test_the_ceiling_is_what_a_perfect_predictor_gets():
    expected, seeds = trained(0.5)
    noise, one = estimate_noise(seeds), np.ones(len(expected))
    found = simulate(expected, one, noise, range(3)).mean()
    truth = pd.Series(expected).corr(seeds["seed0"], method="kendall")
    assert found["kendall"] == pytest.approx(truth, abs=0.005) and found["rmse"] == pytest.approx(
        0.5, abs=0.03
    )
    better = simulate(expected, 3 * one, noise, range(3)).mean()
    assert better["kendall"] > found["kendall"]
    assert better["rmse"] == pytest.approx(found["rmse"] / np.sqrt(3), rel=0.05)


def test_simulated_pairs_correlate_as_measured_ones_do():
    _, seeds = trained(1.0)
    found = check_model(seeds, estimate_noise(seeds))
    assert found["pair"] == pytest.approx(found["pair_simulated"], abs=0.01)
    assert found["rest"] == pytest.approx(found["rest_simulated"], abs=0.01) and found["rest"] > found["pair"]


def test_too_few_repetitions_are_refused():
    _, seeds = trained(networks=50)
    with pytest.raises(InputError, match="only 50 networks"):
        estimate_noise(seeds)


@pytest.mark.slow
def test_study_of_the_topology_space_needs_no_data(monkeypatch):
    monkeypatch.setenv("ZCP_DATA", "")
    first = bounds.find_bounds("valid", [0])
    monkeypatch.setattr(ceiling, "find_bounds", lambda target, folds=(0,): first)
    deposit = study("valid", [0])
    assert len(deposit.tables["summary"]) == 9 and set(ceilings_of(deposit).index) == {
        "tss cifar10", "tss cifar100", "tss ImageNet16-120",
    }  # fmt: skip
    checks = deposit.tables["checks"]
    assert (checks["pair"] - checks["pair_simulated"]).abs().max() < 0.01
    assert (bounds_of(deposit) < ceilings_of(deposit)).all()
    assert (bounds_of(deposit, "rmse") > ceilings_of(deposit, "rmse")).all()
    assert set(check(deposit)) == {"bounds", "draws"}
    for table, column in product(("draws", "bounds"), ("kendall", "rmse")):
        wrong = deposit.tables[table].assign(**{column: lambda t, c=column: 0.98 * t[c]})
        with pytest.raises(DisagreementError, match=column):
            check(Deposit(deposit.name, deposit.settings, {**deposit.tables, table: wrong}))


@pytest.fixture
def made_up(monkeypatch):
    """A size space of which the accuracy is a polynomial of degree 4 and noise of half a point."""
    rng = np.random.default_rng(0)
    widths = np.log2(rng.integers(1, 9, (2_000, 5)) * 8.0)
    clean = 60 + 4 * (widths - widths.mean()).sum(axis=1) + np.prod(widths[:, 1:] - 4.5, axis=1)
    accuracy = pd.Series(clean + rng.normal(0, 0.5, len(clean)))
    monkeypatch.setattr(bounds, "describe", lambda space: widths)
    monkeypatch.setattr(bounds.benchmarks, "load", lambda space: Accuracies(accuracy))
    monkeypatch.setattr(bounds, "SPACES", {"test": ("sss",)})
    monkeypatch.setattr(bounds, "DATASETS", ["cifar10"])
    monkeypatch.setattr(bounds, "DEGREES", (2, 4))
    return clean, accuracy


class Accuracies:
    def __init__(self, values):
        self.values = values

    def accuracy(self, dataset, target):
        return self.values


def test_a_bound_is_reached_and_never_above_the_ceiling(made_up):
    clean, accuracy = made_up
    found = bounds.find_bounds("test", [0, 1]).groupby("fold").mean(numeric_only=True)
    assert (found["degree"] == 4).all()
    assert found["rmse"].mean() == pytest.approx(0.5, abs=0.05)
    ceiling_of_all = kendall(clean, accuracy)
    assert ceiling_of_all - 0.02 < found["kendall"].mean() < ceiling_of_all + 0.01


def test_shuffled_accuracies_have_no_bound(made_up):
    _, accuracy = made_up
    accuracy[:] = accuracy.sample(frac=1, random_state=0).to_numpy()
    assert abs(bounds.find_bounds("test", [0])["kendall"]).max() < 0.1


def test_nothing_is_borrowed_for_what_was_trained_once():
    assert ceiling.find_ceilings("test_12ep", [0]).empty
    drawn = ceiling.find_ceilings("valid", [0])
    assert set(drawn["space"]) == {"tss"}

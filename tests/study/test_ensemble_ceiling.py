import numpy as np
import pandas as pd
import pytest

from zcp.errors import InputError
from zcp.study.greenfactory.ceiling import ceilings_of, check, check_model, estimate_noise, simulate, study
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


def test_study_of_the_topology_space_needs_no_data(monkeypatch):
    monkeypatch.setenv("ZCP_DATA", "")
    deposit = study("valid", [0])
    assert len(deposit.tables["summary"]) == 9 and set(ceilings_of(deposit).index) == {
        "tss cifar10", "tss cifar100", "tss ImageNet16-120",
    }  # fmt: skip
    checks = deposit.tables["checks"]
    assert (checks["pair"] - checks["pair_simulated"]).abs().max() < 0.01
    check(deposit)
    wrong = deposit.tables["draws"].assign(kendall=lambda t: 0.99 * t["kendall"])
    with pytest.raises(DisagreementError, match="kendall"):
        check(Deposit(deposit.name, deposit.settings, {**deposit.tables, "draws": wrong}))

r"""The ceiling: how well a predictor that knows every network's expected accuracy can do.

A measured accuracy is that of one training or the mean of a few; another seed gives another number. With
$\mu_i$ the expected accuracy of network $i$, a target is $y_i = \mu_i + \frac1k \sum_s \varepsilon_{is}$, and
the ceiling is Kendall's correlation of $\mu$ with $y$ and the RMSE between them. $\sigma(\mu)$ is estimated
from the per-seed validation accuracies of the topology space in bins of equal count, the shape of
$\varepsilon / \sigma$ is that of the residuals, and the measured means stand for $\mu$.

Measured means are spread a little further than expected accuracies, by their own noise, so that the ceiling
is generous, most so in the size space.

The check of the model: simulated with it, two single trainings, and one against the mean of two others,
must correlate as the measured ones do.

Assumptions where nothing was measured: test accuracies vary over seeds as validation accuracies do at
equal accuracy, and the size space, trained once, varies as the topology space does at equal accuracy.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zcp import benchmarks
from zcp.analysis.metrics import kendall, rmse
from zcp.data.datasets import DATASETS
from zcp.ensemble.examples import SPACES
from zcp.errors import InputError
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.results import Deposit
from zcp.versions import versions

Values = NDArray[np.float64]
BINS = 30


@dataclass(frozen=True)
class SeedNoise:
    """How accuracies of one dataset spread over training seeds.

    Attributes:
        levels: mean accuracy of each bin, percent, ascending.
        sigma: standard deviation of one training in each bin, percent.
        shape: residuals over sigma, drawn from with replacement.
    """

    levels: Values
    sigma: Values
    shape: Values

    def measure(self, expected: Values, trainings: Values, rng: np.random.Generator) -> Values:
        """Return accuracies as measured: expected ones plus the mean noise of so many trainings.

        Args:
            expected: shape (n,), percent.
            trainings: how many trainings each mean has, shape (n,).
            rng: source of randomness.
        """
        most = int(trainings.max())
        noise = rng.choice(self.shape, (len(expected), most))
        used = np.arange(most) < trainings[:, None]
        mean = (noise * used).sum(axis=1) / trainings
        measured: Values = expected + np.interp(expected, self.levels, self.sigma) * mean
        return measured


def estimate_noise(seeds: pd.DataFrame) -> SeedNoise:
    """Return the noise of a dataset, from networks trained at least twice.

    Args:
        seeds: one row a network, one column a training seed, percent; NaN where not trained.

    Raises:
        InputError: if fewer than a hundred networks were trained twice.
    """
    count = seeds.notna().sum(axis=1)
    again = seeds[count >= 2]
    if len(again) < 100:
        raise InputError(f"only {len(again)} networks were trained twice; seed noise needs at least 100")
    mean, variance, k = again.mean(axis=1), again.var(axis=1), count[count >= 2]
    bins = pd.qcut(mean, BINS, labels=False, duplicates="drop")
    levels, sigma = mean.groupby(bins).mean().to_numpy(), np.sqrt(variance.groupby(bins).mean().to_numpy())
    spread = np.interp(mean, levels, sigma)
    residuals = again.sub(mean, axis=0).mul(np.sqrt(k / (k - 1)), axis=0)[spread > 0]
    shape = residuals.div(spread[spread > 0], axis=0).to_numpy().ravel()
    return SeedNoise(levels, sigma, shape[np.isfinite(shape)])


def simulate(expected: Values, trainings: Values, noise: SeedNoise, seeds: Sequence[int]) -> pd.DataFrame:
    """Return one row a seed: kendall and rmse (percent) of a perfect predictor of these networks."""
    rows = []
    for seed in seeds:
        rng = np.random.default_rng(seed_for("ceiling", seed))
        measured = noise.measure(expected, trainings, rng)
        rows.append({"seed": seed, "kendall": kendall(expected, measured), "rmse": rmse(expected, measured)})
    return pd.DataFrame(rows)


def check_model(seeds: pd.DataFrame, noise: SeedNoise, seed: int = 0) -> dict[str, float]:
    """Return Kendall's correlation of single trainings, measured and simulated, of networks trained thrice.

    Returns:
        `pair`: seed 0 against seed 1; `rest`: seed 0 against the mean of the other two; each with
        `_simulated`; n.
    """
    all_three = seeds.dropna()
    first, second, third = (all_three[column].to_numpy() for column in all_three)
    expected = all_three.mean(axis=1).to_numpy()
    rng, one = np.random.default_rng(seed_for("ceiling", "check", seed)), np.ones(len(expected))
    alone = noise.measure(expected, one, rng)
    return {
        "pair": kendall(first, second),
        "pair_simulated": kendall(alone, noise.measure(expected, one, rng)),
        "rest": kendall(first, (second + third) / 2),
        "rest_simulated": kendall(alone, noise.measure(expected, 2 * one, rng)),
        "n": len(all_three),
    }


def find_ceilings(target: str, seeds: Sequence[int]) -> pd.DataFrame:
    """Return the ceiling of every cell of a target over its complete space.

    Returns:
        space, dataset, trainings (`one`, `three`, or `as measured`: as many as each network had), seed,
        kendall, rmse (percent).
    """
    tss = benchmarks.load("tss")
    blocks = []
    for space in SPACES[target]:
        for dataset in DATASETS:
            trained = tss.valid_seeds(dataset)
            accuracy = benchmarks.load(space).accuracy(dataset, target)
            counts = trained.notna().sum(axis=1).to_numpy(float) if space == "tss" else np.ones(len(accuracy))
            plans = {"one": np.ones(len(accuracy)), "three": np.full(len(accuracy), 3.0)}
            for name, trainings in (plans | {"as measured": counts}).items():
                found = simulate(accuracy.to_numpy(float), trainings, estimate_noise(trained), seeds)
                blocks.append(found.assign(space=space, dataset=dataset, trainings=name))
    return pd.concat(blocks, ignore_index=True)


def study(target: str, seeds: Sequence[int]) -> Deposit:
    """Return the deposit `ceiling-<target>`: tables `draws`, `summary` and `checks`."""
    start = time.perf_counter()
    draws = find_ceilings(target, seeds)
    checks = []
    for dataset in DATASETS:
        trained = benchmarks.load("tss").valid_seeds(dataset)
        checks.append({"dataset": dataset, **check_model(trained, estimate_noise(trained))})
    means = {metric: (metric, "mean") for metric in ("kendall", "rmse")}
    summary = draws.groupby(["space", "dataset", "trainings"]).agg(**means).reset_index()
    tables = {"draws": draws, "summary": summary, "checks": pd.DataFrame(checks)}
    provenance = {
        "sources": {space: benchmarks.load(space).source for space in {*SPACES[target], "tss"}},
        "versions": versions(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return Deposit(f"ceiling-{target}", {"target": target, "seeds": list(seeds)}, tables, provenance)


def check(deposit: Deposit) -> pd.DataFrame:
    """Simulate the deposit's first seed anew and compare.

    Raises:
        DisagreementError: if a value differs by more than its measured tolerance.
    """
    live = find_ceilings(deposit.settings["target"], deposit.settings["seeds"][:1])
    keys = ["space", "dataset", "trainings", "seed"]
    return agree(live, deposit, "draws", keys=keys, measured=["kendall", "rmse"])


def ceilings_of(deposit: Deposit, metric: str = "kendall") -> pd.Series:
    """Return the ceiling of each cell (`space dataset`) for targets as they were measured."""
    mine = deposit.tables["summary"].query("trainings == 'as measured'")
    values: pd.Series = mine.set_index(mine["space"] + " " + mine["dataset"])[metric]
    return values.rename(f"ceiling {metric}")

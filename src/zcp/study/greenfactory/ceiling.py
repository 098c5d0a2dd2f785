r"""The ceiling: how well a predictor does that knows every network's expected accuracy, where that is known.

A measured accuracy is that of one training or the mean of a few; another seed gives another number. With
$\mu_i$ the expected accuracy of network $i$, a target is $y_i = \mu_i + \frac1k \sum_s \varepsilon_{is}$, and
the ceiling is Kendall's correlation of $\mu$ with $y$ and the RMSE between them. $\sigma(\mu)$ is estimated
from the per-seed validation accuracies of the topology space in bins of equal count, the shape of
$\varepsilon / \sigma$ is that of the residuals, and the measured means stand for $\mu$.

Measured means are spread a little further than expected accuracies, by their own noise, so that the ceiling
is generous. The check of the model: simulated with it, two single trainings, and one against the mean of two
others, must correlate as the measured ones do. One assumption is left: test accuracies vary over seeds as
validation accuracies of the same trainings do at equal accuracy.

Only what was trained again has a ceiling (`REPEATED`): nothing is borrowed for the size space, which was
trained once, nor for short trainings. What there is for all is a bound (`zcp.study.greenfactory.bounds`).
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
from zcp.study.greenfactory.bounds import CELL, find_bounds
from zcp.study.results import Deposit, compare_all
from zcp.versions import versions

Values = NDArray[np.float64]
BINS = 30
METRICS = ["kendall", "rmse"]
#: Targets whose trainings were repeated, in the topology space only.
REPEATED = ("test", "valid")


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
    """Return the ceiling of the cells of the topology space, over all of it.

    Returns:
        space, dataset, trainings (`one`, `three`, or `as measured`: as many as each network had), seed,
        kendall, rmse (percent); empty for a target whose trainings were not repeated.
    """
    tss = benchmarks.load("tss")
    blocks = [pd.DataFrame(columns=["seed", *METRICS, *CELL, "trainings"])]
    for dataset in DATASETS if target in REPEATED else ():
        trained, accuracy = tss.valid_seeds(dataset), tss.accuracy(dataset, target).to_numpy(float)
        counts = trained.notna().sum(axis=1).to_numpy(float)
        plans = {"one": np.ones_like(counts), "three": np.full_like(counts, 3.0), "as measured": counts}
        noise = estimate_noise(trained)
        for name, trainings in plans.items():
            found = simulate(accuracy, trainings, noise, seeds)
            blocks.append(found.assign(space="tss", dataset=dataset, trainings=name))
    return pd.concat(blocks[1:] or blocks, ignore_index=True)


def study(target: str, seeds: Sequence[int]) -> Deposit:
    """Return the deposit `ceiling-<target>`: tables `draws`, `summary`, `checks`, and `bounds`."""
    start = time.perf_counter()
    draws = find_ceilings(target, seeds)
    checks = []
    for dataset in DATASETS if target in REPEATED else ():
        trained = benchmarks.load("tss").valid_seeds(dataset)
        checks.append({"dataset": dataset, **check_model(trained, estimate_noise(trained))})
    means = {metric: (metric, "mean") for metric in METRICS}
    summary = draws.groupby([*CELL, "trainings"]).agg(**means).reset_index()
    tables = {"draws": draws, "summary": summary, "checks": pd.DataFrame(checks)}
    tables["bounds"] = find_bounds(target)
    provenance = {
        "sources": {space: benchmarks.load(space).source for space in {*SPACES[target], "tss"}},
        "versions": versions(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return Deposit(f"ceiling-{target}", {"target": target, "seeds": list(seeds)}, tables, provenance)


def check(deposit: Deposit) -> dict[str, pd.DataFrame]:
    """Simulate the deposit's first seed anew, find the first fold of the bounds anew, and compare.

    Raises:
        DisagreementError: if a value differs by more than its measured tolerance; its `parts` are all.
    """
    target, both = deposit.settings["target"], METRICS
    bounds, exact = find_bounds(target, [0]), ["n", "degree"]
    drawn = find_ceilings(target, deposit.settings["seeds"][:1])
    comparisons = {
        "bounds": lambda: agree(bounds, deposit, "bounds", keys=[*CELL, "fold"], measured=both, exact=exact),
        "draws": lambda: agree(drawn, deposit, "draws", keys=[*CELL, "trainings", "seed"], measured=both),
    }
    names = [name for name in comparisons if name == "bounds" or target in REPEATED]
    return dict(zip(names, compare_all(*(comparisons[name] for name in names)), strict=True))


def ceilings_of(deposit: Deposit, metric: str = "kendall") -> pd.Series:
    """Return the ceiling of each cell (`space dataset`) that has one, for targets as they were measured."""
    return _by_cell(deposit.tables["summary"].query("trainings == 'as measured'"), metric, "ceiling")


def bounds_of(deposit: Deposit, metric: str = "kendall") -> pd.Series:
    """Return what the ceiling of each cell (`space dataset`) is at least; for the RMSE, at most."""
    means = deposit.tables["bounds"].groupby(CELL)[metric].mean().reset_index()
    return _by_cell(means, metric, "at most" if metric == "rmse" else "at least")


def _by_cell(table: pd.DataFrame, metric: str, name: str) -> pd.Series:
    values: pd.Series = table.set_index(table["space"] + " " + table["dataset"])[metric].astype(float)
    return values.rename(f"{name} {metric}")

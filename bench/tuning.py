"""The search of section 4 against plain scikit-learn in a plain Optuna loop, on the same rows in one run."""

from typing import Any

import optuna
from optuna.samplers import TPESampler
from sklearn.pipeline import Pipeline

from zcp.analysis.metrics import rmse
from zcp.ensemble import examples
from zcp.ensemble.examples import Examples
from zcp.ensemble.splits import split
from zcp.study.cost.units import interleaved
from zcp.study.greenfactory import tuning
from zcp.study.greenfactory.finalists import find_winner, fit_finalists
from zcp.study.greenfactory.hyperparameters import build_tuned, suggest
from zcp.study.greenfactory.published import PROXIES

SCHEME, SEED = "stratified", 0
SCORES = "nats-b8"
LEAST, CLOSE = 4.0, 0.02


def search_plainly(rows: Examples, trials: int) -> dict[str, Any]:
    """Search as a user would: every trial fits its whole forest."""
    parts = split(rows, SCHEME, SEED)
    train, held = rows.take(parts.train), rows.take(parts.validation)

    def objective(trial: optuna.Trial) -> float:
        model = build_tuned(suggest(trial), rows.features.shape[1], SEED)
        return rmse(model.fit(train.features, train.accuracy).predict(held.features), held.accuracy)

    study = optuna.create_study(sampler=TPESampler(seed=SEED))
    study.optimize(objective, n_trials=trials)
    return dict(study.best_params)


def search(rows: Examples, trials: int) -> dict[str, Any]:
    """Search as section 4 does, its finalists included."""
    features = list(rows.features)
    study = tuning.tune(rows, features, trials, scheme=SCHEME, seed=SEED)
    finals = fit_finalists(rows, features, study, "GreenFactory", scheme=SCHEME, seed=SEED)
    return dict(study.trials[find_winner(finals)].params)


def compare_searches(trials: int) -> bool:
    """Print seconds and best error of both searches; return whether ours is fast enough and as good.

    The errors are those of the winners, fitted in full on the training rows with other seeds than the
    searches saw, so that neither is flattered by its own luck.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    target = examples.available_target("test")
    rows = examples.read_examples(SCORES, target, PROXIES)
    print(
        f"{trials} trials, {len(rows)} rows ({SCORES}, target {target}), {SCHEME}, one thread, processor time"
    )
    best: dict[str, dict[str, Any]] = {}
    searches = {
        "plain loop": lambda: best.update({"plain loop": search_plainly(rows, trials)}),
        "ours": lambda: best.update(ours=search(rows, trials)),
    }
    seconds = interleaved(searches, 1, warm_up=False)
    errors = {name: _error(rows, found) for name, found in best.items()}
    for name, found in best.items():
        print(f"    {name} {seconds[name]:.1f} s, best RMSE {errors[name]:.4f}: {found}")
    ratio, excess = seconds["plain loop"] / seconds["ours"], errors["ours"] / errors["plain loop"] - 1
    print(f"    {ratio:.1f} times as fast (target: at least {LEAST:g})")
    print(f"    RMSE {excess:+.1%} against the plain loop (target: at most {CLOSE:+.0%})")
    return ratio >= LEAST and excess <= CLOSE


def _error(rows: Examples, hyperparameters: dict[str, Any], seeds: int = 3) -> float:
    """Return the mean validation RMSE of forests of other seeds with these hyperparameters."""
    parts = split(rows, SCHEME, SEED)
    train, held = rows.take(parts.train), rows.take(parts.validation)

    def fit(seed: int) -> Pipeline:
        model = build_tuned(hyperparameters, rows.features.shape[1], seed)
        return model.fit(train.features, train.accuracy)

    errors = [rmse(fit(SEED + 1 + s).predict(held.features), held.accuracy) for s in range(seeds)]
    return sum(errors) / seeds

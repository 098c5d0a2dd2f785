"""Which hyperparameters: a seeded Optuna study of the random forest that can be killed and resumed.

A trial's value is the validation RMSE of its forest, as `zcp.study.greenfactory.growth` measures or estimates
it. The best few settings are fitted in full at the end (`zcp.study.greenfactory.finalists`), and those errors
decide.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from joblib import Parallel, delayed
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from zcp.ensemble.examples import Examples
from zcp.ensemble.features import FiniteFeatures
from zcp.ensemble.splits import Split, split
from zcp.paths import RUNS
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.greenfactory.finalists import find_winner, fit_finalists
from zcp.study.greenfactory.growth import PRECISION, Growth
from zcp.study.greenfactory.hyperparameters import published_setting, suggest
from zcp.study.results import Deposit


def grow(examples: Examples, parts: Split, features: Sequence[str], seed: int) -> Growth:
    """Return what tells the validation RMSE of forests with these features; values are made finite once."""
    train, held, columns = examples.take(parts.train), examples.take(parts.validation), sorted(features)
    filler = FiniteFeatures().fit(train.features[columns])
    values = [filler.transform(part.features[columns]) for part in (train, held)]
    accuracies = train.accuracy.to_numpy(), held.accuracy.to_numpy()
    reference = published_setting("GreenFactory")
    return Growth((values[0], accuracies[0]), (values[1], accuracies[1]), seed, reference)


def tune(
    examples: Examples,
    features: Sequence[str],
    trials: int,
    *,
    scheme: str,
    seed: int,
    storage: Path | None = None,
) -> optuna.Study:
    """Search with the Tree-structured Parzen Estimator until `trials` trials are complete.

    The sampler is seeded anew for each trial, by its number: a search that was killed and resumed draws
    what an undisturbed one does.

    Args:
        examples: the rows.
        features: the ensemble's features.
        trials: how many; trials that the storage has already count, further ones are left out.
        scheme: how rows are split.
        seed: of split, forest and sampler.
        storage: an SQLite file that keeps the trials; in memory where None.

    Returns:
        An Optuna study in memory with these trials; their value is the RMSE on the validation rows,
        percent.
    """
    parts = split(examples, scheme, seed)
    growth = grow(examples, parts, features, seed)
    study = _open(_study_name(examples, features, parts, seed), storage)
    while (done := len(_complete(study))) < trials:
        study.sampler = TPESampler(seed=seed_for("tpe", seed, done) % 2**32)
        study.optimize(
            lambda trial: growth.rmse(suggest(trial)),
            n_trials=1,
        )
    found = optuna.create_study(direction="minimize")
    found.add_trials(_complete(study)[:trials])
    return found


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """Return the complete trials: trial, rmse, best (least RMSE so far), the hyperparameters, seconds."""
    rows = [
        {
            "trial": i,
            "rmse": t.value,
            **_plain(t.params),
            "seconds": t.duration.total_seconds() if t.duration else 0.0,
        }
        for i, t in enumerate(_complete(study))
    ]
    table = pd.DataFrame(rows)
    table.insert(2, "best", table["rmse"].cummin())
    return table


def importances(study: optuna.Study, seed: int) -> pd.DataFrame:
    """Return the share of each hyperparameter in the variance of the RMSE (fANOVA): parameter, importance."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return pd.DataFrame(shares.items(), columns=["parameter", "importance"])


def study(
    examples: Examples,
    picks: Mapping[str, Sequence[str]],
    trials: int,
    *,
    scheme: str,
    seed: int,
    storage: Path | None = RUNS / "tuning.db",
    jobs: int = 1,
) -> Deposit:
    """Tune the forest of every pick (ensemble -> features) and return the section's deposit.

    Its tables are `trials`, `importances` and `finals`; its settings hold the picks and the best
    hyperparameters.
    """
    start = time.perf_counter()
    found = Parallel(n_jobs=jobs)(
        delayed(_tune_pick)(examples, name, features, trials, scheme, seed, storage)
        for name, features in picks.items()
    )
    joined = {
        table: pd.concat([tables[table] for _, tables in found], ignore_index=True)
        for table in ("trials", "importances", "finals")
    }
    settings = {"target": examples.target, "scheme": scheme, "seed": seed, "trials": trials}
    settings |= {"picks": dict(picks), "precision": PRECISION}
    settings["best"] = {name: best for name, (best, _) in zip(picks, found, strict=True)}
    settings["winners"] = {
        name: find_winner(tables["finals"]) for name, (_, tables) in zip(picks, found, strict=True)
    }
    # A resumed search took the time of its trials, not only of this run.
    seconds = max(time.perf_counter() - start, float(joined["trials"]["seconds"].sum()) / jobs)
    return Deposit(f"tuning-{examples.target}", settings, joined, examples.provenance(seconds))


def _tune_pick(
    examples: Examples,
    name: str,
    features: Sequence[str],
    trials: int,
    scheme: str,
    seed: int,
    storage: Path | None,
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Return the best hyperparameters of one ensemble and its tables."""
    study = tune(examples, features, trials, scheme=scheme, seed=seed, storage=storage)
    tables = {"trials": trial_table(study), "importances": importances(study, seed)}
    tables["finals"] = fit_finalists(examples, features, study, name, scheme=scheme, seed=seed)
    winner = study.trials[find_winner(tables["finals"])].params
    return dict(winner), {key: table.assign(ensemble=name) for key, table in tables.items()}


def _open(name: str, storage: Path | None) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage is not None:
        storage.parent.mkdir(parents=True, exist_ok=True)
    url = None if storage is None else f"sqlite:///{storage}"
    return optuna.create_study(study_name=name, storage=url, direction="minimize", load_if_exists=True)


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _study_name(examples: Examples, features: Sequence[str], parts: Split, seed: int) -> str:
    """Name everything that an error depends on, so that trials of other data never mix."""
    digest = hashlib.sha256(json.dumps([sorted(features), seed]).encode())
    for values in (examples.features[sorted(features)], examples.accuracy, examples.labels):
        digest.update(pd.util.hash_pandas_object(values).to_numpy().tobytes())
    for rows in parts:
        digest.update(rows.astype("int64").tobytes())
    return f"{examples.target}-{digest.hexdigest()[:16]}"


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    return {**params, "max_features": str(params["max_features"])}


def check(examples: Examples, deposit: Deposit, trials: int) -> pd.DataFrame:
    """Repeat the first trials and the best one of every ensemble, and compare with the deposit.

    Raises:
        DisagreementError: if a trial's RMSE differs by more than its measured tolerance.
    """
    scheme, seed = deposit.settings["scheme"], deposit.settings["seed"]
    parts, blocks = split(examples, scheme, seed), []
    for name, features in deposit.settings["picks"].items():
        table = deposit.tables["trials"].query("ensemble == @name")
        error = grow(examples, parts, features, seed).rmse(deposit.settings["best"][name])
        best = {"trial": deposit.settings["winners"][name], "rmse": error}
        first = trial_table(tune(examples, features, min(trials, len(table)), scheme=scheme, seed=seed))
        block = pd.concat([first[["trial", "rmse"]], pd.DataFrame([best])]).drop_duplicates("trial")
        blocks.append(block.assign(ensemble=name))
    live = pd.concat(blocks, ignore_index=True)
    return agree(live, deposit, "trials", keys=["ensemble", "trial"], measured=["rmse"], by=["ensemble"])

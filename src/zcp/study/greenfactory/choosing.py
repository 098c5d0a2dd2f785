"""What is chosen before a model is measured: its features, the model and its hyperparameters.

`choose` gets the rows that it may see, and no other. Of them a seeded sample is fitted on and another, of
other networks under all their names, is what the choices are judged on, by the metric that is reported: the
mean over the cells of Kendall's correlation. First the proxies, with one forest; then a search by the
Tree-structured Parzen Estimator over all candidates and their hyperparameters at once, whose first trials are
random.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from zcp.analysis.metrics import kendall, rmse
from zcp.ensemble.candidates import CANDIDATES, Settings
from zcp.ensemble.examples import Examples
from zcp.ensemble.features import ONE_HOT
from zcp.spaces.isomorphism import name_classes
from zcp.statistics.seeding import seed_for
from zcp.study.greenfactory.architectures import choose_columns

CELL = ["space", "dataset"]
#: Rows that a search fits and judges on, where there are more.
FITTED, JUDGED = 2_000, 1_500
#: Random trials before the search learns from them.
STARTUP = 10
#: How much of Kendall's correlation a cheaper subset of the proxies may lose.
CLOSE = 0.01
#: What features are chosen with.
FIRST_MODEL = "extra trees, log features"
FIRST = {"max_features": 0.5, "min_samples_leaf": 5, "bootstrap": False}


class Choice(NamedTuple):
    """What is fitted and measured.

    Attributes:
        features: columns of `choose_columns`, in alphabetical order; the dataset's are among them.
        model: name of a candidate.
        hyperparameters: of it, those that are fixed included.
        kendall: mean over the cells on the rows that it was judged on.
        rmse: percent, the same.
        seconds: of one core, for all this.
        steps: of the elimination: count, dropped, kendall, rmse.
        trials: of the search: trial, model, kendall, rmse.
    """

    features: list[str]
    model: str
    hyperparameters: Settings
    kendall: float
    rmse: float
    seconds: float
    steps: list[dict[str, Any]]
    trials: list[dict[str, Any]]


class _Judge(NamedTuple):
    """The rows of a choice: features and accuracies of both parts, and the cell of each judged row."""

    fitted: pd.DataFrame
    accuracy: np.ndarray
    held: pd.DataFrame
    truth: np.ndarray
    cells: np.ndarray

    def __call__(self, model: Any, features: Sequence[str]) -> dict[str, float]:
        """Fit and return kendall (mean over the cells; one without an order counts 0) and rmse (percent)."""
        model.fit(self.fitted[list(features)], self.accuracy)
        predicted = np.asarray(model.predict(self.held[list(features)]), float)
        rows = [self.cells == cell for cell in np.unique(self.cells)]
        taus = [kendall(predicted[at], self.truth[at]) for at in rows]
        return {"kendall": float(np.nan_to_num(taus).mean()), "rmse": rmse(predicted, self.truth)}


def choose(
    examples: Examples, columns: str, subset: str, order: Sequence[str], trials: int, seed: int
) -> Choice:
    """Choose features, model and hyperparameters on these rows alone.

    Args:
        examples: all rows that the choice may depend on.
        columns: what the model may see: `proxies`, `encoding` or `both`.
        subset: a name of `SUBSETS`.
        order: the proxies, cheapest first.
        trials: of the search.
        seed: of the sample, the models and the search.
    """
    start = time.process_time()
    features = choose_columns(examples, columns)
    judge, steps = _draw(examples, features, seed), list[dict[str, Any]]()
    proxies = [str(name) for name in features if name not in ONE_HOT]
    chosen = sorted([*SUBSETS[subset](judge, proxies, order, steps, seed), *ONE_HOT])
    study = _search(judge, chosen, trials, seed)
    best = study.best_trial
    found = {name: value for name, value in best.params.items() if name != "model"}
    model, table = best.params["model"], _tabulate(study)
    whole, seconds = CANDIDATES[model].complete(found), round(time.process_time() - start, 2)
    return Choice(chosen, model, whole, **best.user_attrs, seconds=seconds, steps=steps, trials=table)


def repeat_trials(
    examples: Examples, columns: str, features: Sequence[str], trials: int, seed: int
) -> list[dict[str, Any]]:
    """Return the first trials of a search with these features; see `trials` of `Choice`."""
    judge = _draw(examples, choose_columns(examples, columns), seed)
    return _tabulate(_search(judge, features, trials, seed))


def _tabulate(study: optuna.Study) -> list[dict[str, Any]]:
    return [{"trial": t.number, "model": t.params["model"], **t.user_attrs} for t in study.trials]


def _draw(examples: Examples, features: pd.DataFrame, seed: int) -> _Judge:
    """Return a sample of rows to fit and one to judge on; no network is in both under any of its names.

    Judged is one name of a network: some have dozens, and would decide alone.
    """
    classes = name_classes(examples.labels)
    order = np.random.default_rng(seed_for("rows of a choice", seed)).permutation(sorted(classes.unique()))
    place = classes.map({name: at for at, name in enumerate(order)}).to_numpy().argsort(kind="stable")
    counts = np.cumsum(classes.value_counts().loc[order].to_numpy())
    first = counts[np.searchsorted(counts, min(FITTED, 2 * len(classes) // 3))]
    accuracy, cells = examples.accuracy.to_numpy(), examples.labels[CELL].agg(" ".join, axis=1).to_numpy(str)
    again = pd.DataFrame({"class": classes.to_numpy(), "cell": cells}).iloc[place[first:]].duplicated()
    fit, held = np.sort(place[:first]), np.sort(place[first:][~again][:JUDGED])
    return _Judge(features.iloc[fit], accuracy[fit], features.iloc[held], accuracy[held], cells[held])


def _first_model(seed: int) -> Any:
    return CANDIDATES[FIRST_MODEL].build(FIRST, seed)


def _most_telling(
    judge: _Judge, proxies: list[str], order: Sequence[str], steps: list[dict[str, Any]], seed: int
) -> list[str]:
    """Drop the proxy of least importance, again and again; return the subset that ranks best."""
    left, subsets = list(proxies), []
    while left:
        model, columns = _first_model(seed), sorted([*left, *ONE_HOT])
        found = judge(model, columns)
        shares = pd.Series(model[-1].feature_importances_, columns).drop(ONE_HOT)
        steps.append({"count": len(left), "dropped": str(shares.idxmin()), **found})
        subsets.append(list(left))
        left.remove(str(shares.idxmin()))
    return subsets[int(np.argmax([step["kendall"] for step in steps]))]


def _cheapest(
    judge: _Judge, proxies: list[str], order: Sequence[str], steps: list[dict[str, Any]], seed: int
) -> list[str]:
    """Drop the dearest proxy, again and again; return the smallest subset that ranks about as well as all."""
    left, subsets = [name for name in order if name in proxies], []
    while left:
        found = judge(_first_model(seed), sorted([*left, *ONE_HOT]))
        steps.append({"count": len(left), "dropped": left[-1], **found})
        subsets.append(list(left))
        left.pop()
    taus = np.array([step["kendall"] for step in steps])
    return subsets[int(np.flatnonzero(taus >= taus[0] - CLOSE).max())]


#: Which features: those that rank best, the cheapest that rank about as well as all, or all.
SUBSETS: dict[str, Callable[..., list[str]]] = {
    "best": _most_telling,
    "cheapest": _cheapest,
    "all": lambda judge, proxies, order, steps, seed: proxies,
}


def _search(judge: _Judge, features: Sequence[str], trials: int, seed: int) -> optuna.Study:
    """Return the finished search; a trial's value is its mean Kendall correlation."""

    def rank(trial: optuna.Trial) -> float:
        candidate = CANDIDATES[trial.suggest_categorical("model", list(CANDIDATES))]
        found = judge(candidate.build(candidate.suggest(trial), seed), features)
        for name, value in found.items():
            trial.set_user_attr(name, value)
        return found["kendall"]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = TPESampler(
            n_startup_trials=STARTUP, multivariate=True, group=True, seed=seed_for("search", seed) % 2**32
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(rank, n_trials=trials)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    return study

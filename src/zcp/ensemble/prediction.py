"""The accuracy of a network that nobody trained: score it as the training rows were scored, and predict.

An interval is given only where the features are like those of fitted networks and the inputs are theirs: see
`why` of `Prediction`. A level is said only of networks of a kind that its coverage was measured on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from torch import nn

from zcp.collect.settings import image_digests
from zcp.data.batches import Batch, gaussian_batches, image_batches
from zcp.data.datasets import DATASETS
from zcp.ensemble.artefacts import Artefact
from zcp.ensemble.own_network import examine
from zcp.ensemble.population import rank_in_population
from zcp.errors import InputError, Kind
from zcp.proxies.population import AZ_NAS_PARTS
from zcp.scoring import score
from zcp.spaces import build, get_space
from zcp.spaces.isomorphism import name_classes
from zcp.statistics.batches import drawn
from zcp.statistics.seeding import seed_for

LEVEL = 0.9
#: Batches that a proxy reads at most.
MOST = 2
NOISE_NOTE = (
    "scored on Gaussian noise, because no images are at hand; the model was fitted on scores of images, so "
    "expect a different value (set ZCP_DATA to the data folder)"
)
ON_NOISE = "it was scored on noise, and coverage was measured on images"
ON_OTHERS = "it was scored on other inputs than those that coverage was measured on"
_OWN = "not known: it is given as code"
_ALIKE = f"{_OWN}, and like the fitted networks as far as proxies see, which is not all"
UNMEASURED = "coverage was not measured on networks that are given as code"


@dataclass(frozen=True)
class Prediction:
    """A predicted accuracy, and what is known about it.

    Attributes:
        network: the architecture, or where the network came from.
        dataset: the one that it would be trained on.
        target: which accuracy is predicted.
        model: what predicted it, and what that was fitted on.
        measured: what that is worth on such networks, and where the numbers come from.
        seen: whether this very network was among the fitted ones.
        population: the space whose fitted networks it is ranked among and compared with.
        accuracy: percent.
        low: lower bound of the interval, percent; NaN where there is none.
        high: upper bound.
        covered: share of the outer test rows within such intervals, and what they were; empty where no such
            network was measured.
        why: why there is no interval; empty where there is one.
        features: what the model saw, by name.
        notes: what else to know, such as proxies that failed.
    """

    network: str
    dataset: str
    target: str
    model: str
    measured: str
    seen: str
    population: str
    accuracy: float
    low: float
    high: float
    covered: str
    why: str
    features: dict[str, float]
    notes: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield the text that `zcp predict` prints."""
        for name in ("network", "dataset", "target", "model", "measured"):
            yield f"{name:<16}{getattr(self, name)}"
        yield f"{'fitted on it':<16}{self.seen}"
        yield f"{'compared with':<16}the fitted networks of {self.population} {self.dataset}"
        yield f"{'accuracy':<16}{self.accuracy:.2f} %"
        bounds = f"{self.low:.2f} to {self.high:.2f} % ({self.covered or UNMEASURED})"
        yield f"{'interval':<16}{f'none: {self.why}' if self.why else bounds}"
        yield from (f"{name:<24}{value:.8g}" for name, value in self.features.items())
        yield from (f"note: {note}" for note in self.notes)


def predict_architecture(
    artefact: Artefact, space: str, arch: str | int, dataset: str = "cifar10", level: float = LEVEL
) -> Prediction:
    """Predict the accuracy of an architecture of a benchmark.

    It is scored with the settings of the training scores: weights, batches and noise are the same, so an
    architecture that was collected gets the very features that it was collected with. `level` is the coverage
    of the interval, one that the artefact was calibrated for.

    Raises:
        InputError: if the space, architecture, dataset or level is unknown.
    """
    index, string = get_space(space).resolve(arch)
    base = artefact.scores["scores_settings"].get("seed", 0)
    network, seed = build(space, index, dataset, base), seed_for(base, space, index, dataset)
    found = _predict(artefact, network, dataset, space, level, seed)
    seen, covered = _was_fitted(artefact, space, index, dataset), _covered(artefact, space, dataset, level)
    return replace(found, network=f"{string} ({space} {index})", seen=seen, covered=covered)


def predict_network(
    artefact: Artefact,
    network: nn.Module,
    dataset: str = "cifar10",
    *,
    population: str = "tss",
    level: float = LEVEL,
    seed: int = 0,
    batches: Sequence[Batch] | None = None,
) -> Prediction:
    """Predict the accuracy of a network of one's own.

    Coverage was measured on networks of `population`: an interval is given only where the network's features
    are as close to fitted ones as theirs are, and scored on their inputs; and no level is said of it.

    Args:
        artefact: a fitted estimator.
        network: maps (B, 3, H, W) images to logits, in the dataset's resolution and number of classes.
        dataset: the one that it would be trained on.
        population: space whose training rows the network is compared with, and whose interval is used.
        level: coverage of the interval.
        seed: of weights and noise.
        batches: inputs to score on; the training scores' own by default.

    Raises:
        InputError: if the dataset, the population or the level is unknown, the network cannot be right for
            the dataset (`zcp.ensemble.own_network`), or no proxy can be computed.
    """
    found = _predict(artefact, network, dataset, population, level, seed, batches, own=True)
    return replace(found, measured=f"{found.measured}; not on networks that are given as code")


def _predict(
    artefact: Artefact,
    network: nn.Module,
    dataset: str,
    population: str,
    level: float,
    seed: int,
    batches: Sequence[Batch] | None = None,
    *,
    own: bool = False,
) -> Prediction:
    if not isinstance(artefact, Artefact):
        raise InputError(
            f"a prediction needs an artefact, as zcp.ensemble.artefacts.read gives it, not {artefact!r:.40}"
        )
    width = artefact.width(population, dataset, level)
    notes: list[str] = []
    why = ON_OTHERS
    if batches is None:
        batches, notes, why = _choose_batches(artefact.scores["scores_settings"], dataset)
    else:
        batches = [Batch(*each) for each in drawn(batches, MOST)]
    doubts = examine(network, dataset, batches, seed) if own else {}
    notes, why = [*notes, *doubts.values()], next(iter(doubts), why)
    features = _score(artefact, network, population, dataset, batches, seed, notes)
    accuracy = float(artefact.estimator.predict(pd.DataFrame([features]))[0])
    why = why or artefact.regions[f"{population} {dataset}"].why_outside(features)
    low, high = (math.nan, math.nan) if why else (max(accuracy - width, 0.0), min(accuracy + width, 100.0))
    return Prediction(
        type(network).__name__, dataset, _TARGETS.get(artefact.target, artefact.target), _describe(artefact),
        _measured(artefact, population, dataset), _OWN if why else _ALIKE, population, accuracy, low, high,
        "", why, features, tuple(notes),
    )  # fmt: skip


_TARGETS = {
    "test": "test accuracy after the full training",
    "test_12ep": "test accuracy after 12 epochs",
    "valid": "validation accuracy after the full training",
}


def _describe(artefact: Artefact) -> str:
    """Return what a model is and what it was fitted on, in a line."""
    told, settings = artefact.card, artefact.scores["scores_settings"]
    cells = ", ".join(f"{space} {dataset}" for space, dataset in dict.fromkeys(
        zip(artefact.widths["space"], artefact.widths["dataset"], strict=True)))  # fmt: skip
    return (
        f"{artefact.name} ({told.get('model')}), fitted on {told.get('rows')} rows of "
        f"{artefact.scores.get('scores')} ({cells}; {settings.get('inputs', 'images')}, batch "
        f"{settings.get('batch', 16)})"
    )


def _cell(artefact: Artefact, space: str, dataset: str) -> dict[str, Any]:
    """Return what was measured in a cell; a card has every cell that it has widths for."""
    cells: list[dict[str, Any]] = artefact.measured["cells"]
    return next(cell for cell in cells if (cell["space"], cell["dataset"]) == (space, dataset))


def _measured(artefact: Artefact, space: str, dataset: str) -> str:
    """Return what the model is worth on networks of a cell that it did not see, in a line."""
    cell, told = _cell(artefact, space, dataset), artefact.measured
    beside = ", ".join(f"{name} {tau:.2f}" for name, tau in sorted(cell["baselines"].items()))
    return (
        f"on unseen networks of {space} {dataset}: Kendall {cell['kendall']:.2f} "
        f"[{cell['kendall_low']:.2f}, {cell['kendall_high']:.2f}] ({beside}), RMSE {cell['rmse']:.2f} "
        f"({told['deposit']}, {told['splits']} splits, n = {cell['n']} each)"
    )


def _covered(artefact: Artefact, space: str, dataset: str, level: float) -> str:
    """Return the measured coverage of the intervals that promise a level, in a few words."""
    found = {each["level"]: each for each in _cell(artefact, space, dataset)["coverage"]}[level]
    return (
        f"{level:.0%} promised; held {found['coverage']:.1%} of unseen networks of {space} {dataset}, "
        f"n = {found['n']} in each split"
    )


def _was_fitted(artefact: Artefact, space: str, index: int, dataset: str) -> str:
    fitted = artefact.fitted[f"{space} {dataset}"]
    if index in fitted:
        return "yes: the model was told its accuracy"
    names = name_classes(pd.DataFrame({"space": space, "index": [index, *fitted]})).to_list()
    if names[0] in names[1:]:
        return f"yes, by another name: {space} {fitted[names.index(names[0], 1) - 1]} is the same network"
    return "no"


def _choose_batches(settings: dict[str, Any], dataset: str) -> tuple[list[Batch], list[str], str]:
    """Return the batches of the training scores, else noise; notes; and why coverage is not that of those."""
    size, count, seed = (settings.get(k, d) for k, d in (("batch", 16), ("batches", 2), ("seed", 0)))
    if settings.get("inputs", "images") == "gaussian":
        return gaussian_batches(dataset, size, count=count, seed=seed), [], ""
    try:
        found = image_batches(dataset, size, count=count, seed=seed)
        same = image_digests([dataset])[dataset] == settings.get("images", {}).get(dataset)
    except InputError:
        return gaussian_batches(dataset, size, count=count, seed=seed), [NOISE_NOTE], ON_NOISE
    return found, [], "" if same else ON_OTHERS


def _score(
    artefact: Artefact,
    network: nn.Module,
    space: str,
    dataset: str,
    batches: Sequence[Batch],
    seed: int,
    notes: list[str],
) -> dict[str, float]:
    names = [name for name in artefact.features if not name.startswith("dataset=")]
    ranked = "az_nas" in names
    wanted = [name for name in names if name != "az_nas"]
    # The definitions of today may be newer than those that the model was fitted on.
    computed = {name: artefact.proxy_of(name) for name in (*wanted, *(AZ_NAS_PARTS if ranked else ()))}
    notes += [f"{name}: as {old}, its older definition" for name, old in computed.items() if name != old]
    scores = score(network, batches, computed.values(), seed=seed)
    for name, proxy in computed.items():
        if scores.kinds.get(proxy) is Kind.FORWARD:
            why = scores.reasons[proxy]
            raise InputError(f"{artefact.name} needs {name}, but {why}; correct the network")
    notes += [f"{name}: {reason}" for name, reason in scores.reasons.items()]
    unseen = [name for name in DATASETS if f"dataset={name}" not in artefact.features]
    if dataset in unseen and len(unseen) > 1:
        notes.append(f"{artefact.name} cannot tell {' and '.join(unseen)} apart")
    values = {name: float(scores[proxy]) for name, proxy in computed.items()}
    found = {name: values[name] for name in wanted}
    if not any(map(math.isfinite, values.values())):
        reason = next(iter(scores.reasons.values()), "all are infinite")
        raise InputError(f"no proxy of {artefact.name} can be computed: {reason}")
    if ranked:
        found["az_nas"] = rank_in_population(values, artefact.population[f"{space} {dataset}"])
    found |= {name: float(name == f"dataset={dataset}") for name in artefact.features if "=" in name}
    return {name: found[name] for name in artefact.features}

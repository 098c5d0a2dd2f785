"""The accuracy of a network that nobody trained: score it as the training rows were scored, and predict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import nn

from zcp.data.batches import Batch, gaussian_batches, image_batches
from zcp.data.datasets import get_dataset
from zcp.ensemble.artefacts import Artefact, rank_in_population
from zcp.errors import InputError
from zcp.proxies.population import AZ_NAS_PARTS
from zcp.scoring import score
from zcp.spaces import build, get_space
from zcp.statistics.seeding import seed_for

LEVEL = 0.9
NOISE_NOTE = (
    "scored on Gaussian noise, because no images are at hand; the model was fitted on scores of images, so "
    "expect a different value (set ZCP_DATA to the data folder)"
)


@dataclass(frozen=True)
class Prediction:
    """A predicted accuracy.

    Attributes:
        accuracy: percent.
        low: lower bound of the interval, percent.
        high: upper bound.
        level: promised coverage of the interval.
        features: what the model saw, by name.
        notes: what to know about it, such as proxies that failed.
    """

    accuracy: float
    low: float
    high: float
    level: float
    features: dict[str, float]
    notes: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield the text that `zcp predict` prints."""
        yield f"accuracy        {self.accuracy:.2f} %"
        yield f"interval        {self.low:.2f} to {self.high:.2f} % ({self.level:.0%} coverage)"
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
    index, _ = get_space(space).resolve(arch)
    base = artefact.scores["scores_settings"].get("seed", 0)
    network, seed = build(space, index, dataset, base), seed_for(base, space, index, dataset)
    return predict_network(artefact, network, dataset, population=space, level=level, seed=seed)


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

    The promise of the interval holds for networks of `population` only: elsewhere it is an extrapolation.

    Args:
        artefact: a fitted estimator.
        network: maps (B, 3, H, W) images to logits, in the dataset's resolution and number of classes.
        dataset: the one that it would be trained on.
        population: space whose training rows AZ-NAS ranks the network in, and whose interval is used.
        level: coverage of the interval.
        seed: of weights and noise.
        batches: inputs to score on; the training scores' own by default.

    Raises:
        InputError: if the dataset, the population or the level is unknown, or the network cannot be scored.
    """
    get_dataset(dataset)
    width = artefact.width(population, dataset, level)
    notes: list[str] = []
    if batches is None:
        batches, notes = _choose_batches(artefact.scores["scores_settings"], dataset)
    features = _score(artefact, network, population, dataset, batches, seed, notes)
    accuracy = float(artefact.estimator.predict(pd.DataFrame([features]))[0])
    low, high = max(accuracy - width, 0.0), min(accuracy + width, 100.0)
    return Prediction(accuracy, low, high, level, features, tuple(notes))


def _choose_batches(settings: dict[str, Any], dataset: str) -> tuple[list[Batch], list[str]]:
    """Return the batches of the training scores, or noise and a note where their images are not at hand."""
    size, count, seed = (settings.get(k, d) for k, d in (("batch", 16), ("batches", 2), ("seed", 0)))
    if settings.get("inputs", "images") == "images":
        try:
            return image_batches(dataset, size, count=count, seed=seed), []
        except InputError:
            return gaussian_batches(dataset, size, count=count, seed=seed), [NOISE_NOTE]
    return gaussian_batches(dataset, size, count=count, seed=seed), []


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
    notes += [f"{name}: {reason}" for name, reason in scores.reasons.items()]
    values = {name: float(scores[proxy]) for name, proxy in computed.items()}
    found = {name: values[name] for name in wanted}
    if ranked:
        found["az_nas"] = rank_in_population(values, artefact.population[f"{space} {dataset}"])
    found |= {name: float(name == f"dataset={dataset}") for name in artefact.features if "=" in name}
    return {name: found[name] for name in artefact.features}

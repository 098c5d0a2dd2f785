"""What the card of a fitted model says; checked before anything of the model is used."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from zcp.collect.settings import Origin
from zcp.data.datasets import get_dataset
from zcp.ensemble.measured import JUDGED, Digest, Index, Measured, Strict, Text
from zcp.ensemble.region import Region
from zcp.errors import InputError
from zcp.paths import MODELS, is_file, refit
from zcp.proxies.population import AZ_NAS_PARTS
from zcp.spaces import get_space

#: Cards of format 1 had no seal, and those of format 2 did not say what the model is worth: none is read.
FORMAT = 3
LARGEST = 8 * 2**20  # bytes
#: Packages that a model may be made of: module -> its name in the versions of a card.
PACKAGES = {"sklearn": "scikit-learn"}


def _settings(told: dict[str, Any]) -> dict[str, Any]:
    Origin.from_json(told)
    return told


def _ascending(values: list[float]) -> list[float]:
    if not all(a <= b for a, b in pairwise(values)):
        raise ValueError("the values do not ascend")
    return values


def _cell(name: str) -> str:
    space, _, dataset = name.partition(" ")
    get_space(space)
    get_dataset(dataset)
    return name


Cell = Annotated[str, AfterValidator(_cell)]


class Width(Strict):
    """The half-width of the intervals of a cell at one level, percent."""

    space: str
    dataset: str
    level: float = Field(gt=0, lt=1)
    width: float = Field(gt=0, le=100)


class Scores(Strict):
    """What the training scores were computed with, and the size of AZ-NAS's population by cell."""

    scores: Text
    scores_sha256: Digest
    scores_settings: Annotated[dict[str, Any], AfterValidator(_settings)]
    az_nas_N: dict[Cell, Index] = Field(default_factory=dict)  # noqa: N815 - as it is called


class Fit(Strict):
    """The model that was fitted."""

    model: Text
    hyperparameters: dict[str, int | float | str | bool]
    rows: int = Field(gt=0)
    seed: int
    seconds: float = Field(ge=0)


class Card(Strict):
    """A whole card; see `zcp.ensemble.artefacts.Artefact` for what it means."""

    format: Literal[3]
    name: Text
    target: Text
    sha256: Digest
    features: list[Text] = Field(min_length=1)
    versions: dict[str, str]
    scores: Scores
    widths: list[Width] = Field(min_length=1)
    population: dict[Cell, dict[str, Annotated[list[float], Field(min_length=1), AfterValidator(_ascending)]]]
    card: Fit
    measured: Measured
    fitted: dict[Cell, list[Index]]
    regions: dict[Cell, Region]
    seal: Digest

    def width(self, space: str, dataset: str, level: float) -> float:
        """Return the half-width of the interval of a cell, percent.

        Raises:
            InputError: if the model was not calibrated for this cell or level.
        """
        return find_width(self.name, [dict(each) for each in self.widths], space, dataset, level)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        cells: dict[str, dict[float, float]] = {}
        for each in self.widths:
            cells.setdefault(_cell(f"{each.space} {each.dataset}"), {})[each.level] = each.width
        if len({frozenset(widths) for widths in cells.values()}) > 1 or len(self.widths) != sum(
            map(len, cells.values())
        ):
            raise ValueError("not one width for each cell and level")
        for widths in cells.values():
            _ascending([widths[level] for level in sorted(widths)])
        if self.features != sorted({*self.features}):
            raise ValueError("the features are not in order")
        if "az_nas" in self.features and any(
            set(self.population.get(cell, {})) != {*AZ_NAS_PARTS} for cell in cells
        ):
            raise ValueError(f"the population lacks {', '.join(AZ_NAS_PARTS)} of some cell")
        own = [name for name in self.features if "=" not in name]
        if any(list(region.knots) != own for region in self.regions.values()):
            raise ValueError("a region is of other features")
        if not set(self.regions) == set(self.fitted) == set(cells):
            raise ValueError("a region or the fitted networks are missing")
        _require_measured(self.measured, self.scores.scores_sha256, self.card.rows, cells)
        if self.name in JUDGED and (why := self.measured.why_withheld()):
            raise ValueError(f"it does not beat {why}")
        return self


def _require_measured(
    measured: Measured, digest: str, rows: int, cells: Mapping[str, Mapping[float, float]]
) -> None:
    """Raise unless what was measured is the pipeline on these scores, in these cells."""
    if (measured.scores_sha256, measured.rows) != (digest, rows):
        raise ValueError("it was measured on other rows than it was fitted on")
    found = {
        f"{cell.space} {cell.dataset}": {each.level for each in cell.coverage} for cell in measured.cells
    }
    if found != {cell: {*widths} for cell, widths in cells.items()} or len(found) != len(measured.cells):
        raise ValueError("a cell or a level has a width and was not measured, or the other way round")


def find_width(
    name: str, widths: Sequence[Mapping[Any, Any]], space: str, dataset: str, level: float
) -> float:
    """Return the half-width of the interval of a cell at a level, percent.

    Args:
        name: of the model.
        widths: space, dataset, level and width (percent) of each interval that it gives.
        space: of the cell.
        dataset: of the cell.
        level: coverage of the interval.

    Raises:
        InputError: if there is none.
    """
    known = {(f"{each['space']} {each['dataset']}", each["level"]): float(each["width"]) for each in widths}
    if (found := known.get((f"{space} {dataset}", level))) is not None:
        return found
    cells = ", ".join(sorted({cell for cell, _ in known}))
    levels = ", ".join(map(str, sorted({each for _, each in known})))
    if f"{space} {dataset}" not in {cell for cell, _ in known}:
        raise InputError(f"{name} was not fitted on {space} {dataset}; choose of its cells: {cells}")
    raise InputError(f"{name} has no interval at {level}; choose of its levels: {levels}")


def find_card(name: str, target: str = "test", folder: str | Path = MODELS) -> Card:
    """Read and check the card of a fitted model, which is quick; the model is not read.

    Raises:
        InputError: if there is no such model or only half of it, it is withheld, or its card is damaged or
            of another model.
    """
    path = Path(folder) / f"{name}-{target}.json"
    if is_file(note := path.with_suffix(".txt")):
        raise InputError(f"{name} does not ship for the target {target}: {note.read_text().strip()}")
    missing = [half for half in (path, path.with_suffix(".skops")) if not is_file(half)]
    if len(missing) == 1:
        raise InputError(f"{missing[0]} is missing, the other half of the model is there; {refit()}")
    if missing:
        others = {other.stem.removeprefix(f"{name}-") for other in path.parent.glob(f"{name}-*.skops")} - {
            target
        }
        if others:
            raise InputError(f"unknown target {target!r} of {name}; choose {', '.join(sorted(others))}")
        shipped = sorted({other.stem.rpartition("-")[0] for other in path.parent.glob("*.skops")})
        if shipped and name not in shipped:
            raise InputError(f"unknown model {name!r}; choose {', '.join(shipped)}")
        raise InputError(f"no fitted model {path}; {refit()}")
    card = read_card(path)
    if (card.name, card.target) != (name, target):
        raise InputError(f"{path} is the card of {card.name}-{card.target}; restore its name")
    return card


def seal(told: Mapping[str, Any]) -> str:
    """Return the digest of everything that a card says, however it is laid out."""
    rest = {key: value for key, value in told.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        InputError: if it is damaged, or as for `check_card`.
    """
    if not is_file(path):  # reading a pipe would wait for ever
        raise InputError(f"{path} is damaged: it is no file; restore it")
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is larger than any model card; restore it")
        told = json.loads(path.read_text(encoding="utf-8"))
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}); restore it") from error
    return check_card(told, path)


def check_card(told: object, path: Path) -> Card:
    """Return what a card says, as it was read from a file.

    Raises:
        InputError: if it is not whole, of another format, or changed since it was written.
    """
    if not isinstance(told, dict):
        raise InputError(f"{path} is not a whole model card; restore it")
    # True equals 1, and 2.0 equals 2.
    if type(told.get("format", FORMAT)) is not int or told.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path} has format {told['format']}, this zcp reads {FORMAT}; {refit()}")
    try:
        card = Card.model_validate(told)
    except (ValidationError, RecursionError) as error:
        raise InputError(f"{path} is not a whole model card ({_in_a_line(error)}); restore it") from None
    if card.seal != seal(told):
        raise InputError(f"{path} was changed after it was written; restore it, or fit the model again")
    return card


def _in_a_line(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    faults = error.errors(include_url=False, include_input=False)
    places = [".".join(map(str, fault["loc"])) for fault in faults[:3]]
    messages = [fault["msg"].removeprefix("Value error, ") for fault in faults[:3]]
    told = [": ".join(filter(None, pair)) for pair in zip(places, messages, strict=True)]
    return "; ".join([*told, *(["..."] if len(faults) > 3 else [])]).replace("\n", " ")


def require_versions(path: Path, card: Card, modules: set[str]) -> None:
    """Raise unless the packages that a model is made of are of the minor versions that it was fitted with.

    zcp's own version does not matter: features are computed in the versions of their definitions that the
    scores were recorded with.

    Raises:
        InputError: if one is not; the message names both versions.
    """
    for module in sorted(modules & set(PACKAGES)):
        made, here = card.versions.get(PACKAGES[module]), import_module(module).__version__
        if here.split(".")[:2] != str(made).split(".")[:2]:
            raise InputError(
                f"{path.stem} was fitted with {PACKAGES[module]} {made}, but {here} is installed; install "
                f"that version, or another model: {refit()}"
            )

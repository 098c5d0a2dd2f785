"""What the values of a collection depend on, and what must therefore be equal within one collection.

* `Settings` decide the values: collections and runs that differ in one of them are never mixed.
* `Origin` adds what is recorded but may vary: environments (versions of torch, numpy and python; commit;
  device), since scores agree between them within the tolerances of the golden values; and the timed steps
  that each proxy needs, where they were timed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import Any, Self

import pandas as pd
import torch

from zcp.data.batches import INPUTS, MOST_INPUTS
from zcp.data.generators import find_images
from zcp.errors import InputError
from zcp.proxies.registry import REGISTRY, default_proxies, get_proxy, list_proxies
from zcp.versions import commit, versions

DTYPES = {"float32": torch.float32, "float64": torch.float64}
#: Images a batch: a proxy needs two, and more than `MOST_INPUTS` do not fit into memory.
LEAST, MOST = 2, MOST_INPUTS // 2


def _are(kind: type, values: Any) -> bool:
    return all(type(value) is kind for value in values)


def _maps(kind: type, value: Any) -> bool:
    return isinstance(value, Mapping) and _are(str, value) and _are(kind, value.values())


#: Setting -> whether a value that was read is one.
_FORMS: dict[str, Callable[[Any], bool]] = {
    "proxies": lambda v: isinstance(v, list) and _are(str, v) and 0 < len(v) == len({*v}),
    "batch": lambda v: type(v) is int and LEAST <= v <= MOST,
    "batches": lambda v: type(v) is int and 1 <= v <= MOST_INPUTS,
    "seed": lambda v: type(v) is int,
    "inputs": lambda v: v in INPUTS,
    "images": partial(_maps, str),
    "init": lambda v: v in ("paper", "keep"),
    "dtype": lambda v: type(v) is str and v in DTYPES,
    "zcp": lambda v: type(v) is str,
    "versions": partial(_maps, int),
    "environments": lambda v: isinstance(v, list) and all(_maps(str, each) for each in v),
    "steps": lambda v: _maps(list, v) and all(_are(str, steps) for steps in v.values()),
}


@dataclass(frozen=True)
class Settings:
    """Everything that a score depends on beside the network and the dataset.

    Attributes:
        proxies: names, in the order of the registry.
        batch: images a batch.
        batches: number of batches.
        seed: of weights, noise, choice of images, and order.
        inputs: `images` or `gaussian`.
        images: SHA-256 of pixels and labels, by dataset; empty for Gaussian inputs.
        init: as for `zcp.score`.
        dtype: of weights and inputs.
        zcp: version of this package; told, but not compared: the definitions of the proxies have their own.
        versions: of the definitions of the proxies, by name, where it is not the first.
    """

    proxies: tuple[str, ...]
    batch: int = 64
    batches: int = 2
    seed: int = 0
    inputs: str = "images"
    images: Mapping[str, str] = field(default_factory=dict)
    init: str = "paper"
    dtype: str = "float32"
    zcp: str = field(default_factory=lambda: versions(())["zcp"])
    versions: Mapping[str, int] = field(default_factory=dict)

    def of(self, proxies: Sequence[str]) -> "Settings":
        """Return the settings with these proxies only."""
        kept = {name: version for name, version in self.versions.items() if name in proxies}
        return replace(self, proxies=tuple(proxies), versions=kept)

    def differences(self, other: "Settings") -> list[str]:
        """Return one line for each setting that differs; images are compared where both know the dataset."""
        pairs = [
            (f"images of {dataset}", self.images[dataset][:12], other.images[dataset][:12])
            for dataset in sorted(set(self.images) & set(other.images))
        ]
        mine, theirs = set(self.proxies), set(other.proxies)
        pairs += [("proxies (those in one only)", _listed(mine - theirs), _listed(theirs - mine))]
        pairs += [
            (f"version of {name}", str(self.versions.get(name, 1)), str(other.versions.get(name, 1)))
            for name in sorted(mine & theirs)
        ]
        simple = [f.name for f in fields(self) if f.name not in ("images", "proxies", "versions", "zcp")]
        pairs += [(name, getattr(self, name), getattr(other, name)) for name in simple]
        return [f"{name}: {ours} against {others}" for name, ours, others in pairs if ours != others]


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def choose_settings(
    datasets: Sequence[str],
    proxies: Sequence[str] | None = None,
    batch: int = 64,
    seed: int = 0,
    inputs: str = "images",
) -> Settings:
    """Return checked settings.

    Args:
        datasets: those whose images must be at hand.
        proxies: names; None for all that are registered.
        batch: images a batch.
        seed: any integer.
        inputs: `images` or `gaussian`.

    Raises:
        InputError: if a proxy or kind of inputs does not exist, images are missing, or the batch is small.
    """
    if not LEAST <= batch <= MOST:
        raise InputError(f"--batch must be {LEAST} or more, and {MOST} at most, not {batch}")
    if inputs not in INPUTS:
        raise InputError(f"unknown inputs {inputs!r}; choose one of {', '.join(INPUTS)}")
    wanted = {get_proxy(name).name for name in (default_proxies() if proxies is None else proxies)}
    if not wanted:
        raise InputError("no proxies were chosen; name one, or leave --proxies out for all")
    return Settings(
        proxies=tuple(name for name in list_proxies() if name in wanted),
        batch=batch,
        seed=seed,
        inputs=inputs,
        images={} if inputs == "gaussian" else image_digests(datasets),
        versions={name: version for name in sorted(wanted) if (version := get_proxy(name).version) != 1},
    )


def image_digests(datasets: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of pixels and labels of each dataset's images, whatever they were read from.

    Raises:
        InputError: if there are no images of a dataset, or they cannot be used.
    """
    return {dataset: _image_digest(dataset) for dataset in sorted(set(datasets))}


@lru_cache
def _image_digest(dataset: str) -> str:
    found = find_images(dataset)
    digest = hashlib.sha256(found.images.tobytes())
    digest.update(found.labels.tobytes())
    return digest.hexdigest()


def recorded_versions(scores: pd.DataFrame) -> dict[str, int]:
    """Return the versions of the definitions that a table of `load_scores` was computed with, by proxy."""
    settings = scores.attrs.get("settings", {})
    return {name: settings.get("versions", {}).get(name, 1) for name in settings.get("proxies", ())}


def outdated(scores: pd.DataFrame) -> dict[str, tuple[int, int | None]]:
    """Return the columns of a table of `load_scores` that hold another definition than the registry's.

    They are old values: to be shown, and not to be compared with scores that are computed now.

    Returns:
        proxy -> (the version that the table records, the current one; None where the proxy was withdrawn).
    """
    found = {}
    for name, version in recorded_versions(scores).items():
        current = REGISTRY[name].version if name in REGISTRY else None
        if current != version:
            found[name] = (version, current)
    return found


def environment(device: str) -> dict[str, str]:
    """Return the versions, the commit and the device that scores are computed with in this process."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    where = f"{device} ({name})" if name else device
    return {**versions(["torch", "numpy"]), "commit": commit(), "device": where}


@dataclass(frozen=True)
class Origin:
    """Where the rows of a part come from; written into it as JSON.

    Attributes:
        settings: equal for all rows.
        environments: versions, commits and devices that took part.
        steps: the timed steps that each proxy needs (columns `seconds_<step>`).
    """

    settings: Settings
    environments: Sequence[Mapping[str, str]] = ()
    steps: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def joined(self, other: "Origin", names: tuple[str, str]) -> Self:
        """Return the origin of rows of both.

        Args:
            other: another origin.
            names: what to call self and the other in the error.

        Raises:
            InputError: if a setting differs; all differences are named.
        """
        if differences := self.settings.differences(other.settings):
            raise InputError(
                f"{names[0]} and {names[1]} were computed with different settings, and are not mixed. "
                f"Differences ({names[0]} against {names[1]}): " + "; ".join(differences)
            )
        steps = {
            proxy: sorted({*self.steps.get(proxy, ()), *other.steps.get(proxy, ())})
            for proxy in sorted({*self.steps, *other.steps})
        }
        environments = {json.dumps(e, sort_keys=True): e for e in (*self.environments, *other.environments)}
        images = {**self.settings.images, **other.settings.images}
        return replace(
            self,
            settings=replace(self.settings, images=dict(sorted(images.items()))),
            environments=[environments[key] for key in sorted(environments)],
            steps=steps,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the settings, `environments` and `steps`, in one dict."""
        settings = {**asdict(self.settings), "proxies": list(self.settings.proxies)}
        return {**settings, "environments": list(self.environments), "steps": dict(self.steps)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the inverse of `to_json`.

        Raises:
            InputError: if a setting is missing or unknown, or a value is of another form.
        """
        if not isinstance(data, Mapping):
            raise InputError("its settings are no JSON object")
        # Files from before there were versions hold the first of each.
        told = {"versions": {}, "environments": [], "steps": {}} | dict(data)
        if odd := set(told) ^ set(_FORMS):
            raise InputError(
                "its settings are not those of this version of zcp (missing or unknown: "
                f"{', '.join(sorted(odd))})"
            )
        if odd := {name for name, is_one in _FORMS.items() if not is_one(told[name])}:
            raise InputError(f"its settings have no such {', '.join(sorted(odd))}")
        environments, steps = told.pop("environments"), told.pop("steps")
        return cls(Settings(**{**told, "proxies": tuple(told["proxies"])}), environments, steps)

"""Agreement with the reference implementations, on weights and inputs that numpy alone can make.

A golden file holds, for a few architectures, the values that the original authors' code gave. The recipe for
weights and inputs is the file's own `recipe`; this module is its implementation.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zcp.datasets import DATASETS
from zcp.errors import InputError
from zcp.registry import REGISTRY
from zcp.scoring import score
from zcp.spaces import get_space

SHAPE = (16, 3, 32, 32)

#: Relative tolerance of float32 against the float64 value; the wide ones are needed by deep chains of noise.
FLOAT32 = {
    "l2_norm": 1e-6, "naswot": 1e-6, "log_synflow": 1e-6, "synflow": 1e-4, "zen_fixed": 1e-5, "zen_fixed_scaled": 1e-5,
    "jacob_cov": 1e-4, "grad_norm": 3e-3, "snip": 3e-3, "fisher": 1e-2, "plain": 1e-2, "grasp": 5e-2, "zico": 3e-2,
}  # fmt: skip
#: Relative tolerance of float64, where it is not 1e-9.
FLOAT64 = {"zico": 1e-8}
#: Golden keys that are a proxy of another name, scored on fixed noise.
FIXED = {"zen_fixed": "zen", "zen_fixed_scaled": "zen"}


class Line(NamedTuple):
    """One comparison: `ok` is None where zcp has no such proxy."""

    arch: str
    key: str
    precision: str
    expected: float
    found: float
    tolerance: float
    ok: bool | None

    def __str__(self) -> str:
        verdict = {None: "no such proxy", True: "ok", False: "MISS"}[self.ok]
        return (
            f"{self.arch:<10}{self.key:<22}{self.precision:<9}expected {self.expected:<14.8g}"
            f"found {self.found:<14.8g}tolerance {self.tolerance:<9.2g}{verdict}"
        )


class RecipeDraw:
    """The recipe's noise: x and x2 where a proxy asks for its two Gaussian inputs."""

    def __init__(self, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.tensors = {"x": batches[0][0], "e": batches[1][0]}

    def __call__(self, name: str, shape: Sequence[int]) -> Tensor:
        return self.tensors[name].reshape(tuple(shape))


def recipe_batches() -> list[tuple[Tensor, Tensor]]:
    """Return the two batches of the recipe, 16 inputs of 3x32x32 each, float32."""
    labels = torch.arange(16)
    return [
        (torch.from_numpy(np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)), target)
        for seed, target in ((7, labels % 10), (8, (labels + 3) % 10))
    ]


@torch.no_grad()
def recipe_weights(network: nn.Module, *, scaled: bool = True) -> nn.Module:
    """Give `network` the recipe's weights, in place, and return it."""
    layer = 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            draw = np.random.default_rng([1234, layer]).standard_normal(tuple(weight.shape))
            scale = math.sqrt(2 / weight[0].numel()) if scaled else 1.0
            weight.copy_(torch.from_numpy((draw * scale).astype(np.float32)))
            if module.bias is not None:
                module.bias.zero_()
            layer += 1
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return network


def check(path: str | Path) -> Iterator[Line]:
    """Compare every value of a golden file with zcp's own, float32 and float64.

    Args:
        path: JSON file of the format described in its `recipe`.

    Yields:
        A line a value, where zcp has the proxy, and one a key where it does not.

    Raises:
        InputError: if the file cannot be read or lacks a part of the format.
    """
    values, archs = _read(Path(path))
    for arch, expected in values.items():
        network = get_space(archs[arch]["space"]).network(archs[arch]["spec"], DATASETS["cifar10"].classes)
        exact = {key: entry for key, entry in expected.items() if "float64" in entry}
        known = [key for key in exact if FIXED.get(key, key) in REGISTRY]
        for precision, dtype in (("float32", torch.float32), ("float64", torch.float64)):
            found = _recipe_scores(network.to(dtype), known)
            for key in known:
                yield _compare(arch, key, precision, float(exact[key]["float64"]), found[key])
        for key, entry in expected.items():
            if "mean" in entry and key in REGISTRY:
                yield _compare_random(arch, key, entry, network.float())
            elif key not in known:
                yield Line(arch, key, "-", math.nan, math.nan, math.nan, None)


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    try:
        content = json.loads(path.read_text())
        return content["values"], content["archs"]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"cannot read the golden file {path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is not a golden file: it has no {error}") from error


def _recipe_scores(network: nn.Module, keys: list[str]) -> dict[str, float]:
    batches = recipe_batches()
    draw = RecipeDraw(batches)

    def scored(names: list[str]) -> dict[str, float]:
        return score(network, batches, names, init="keep", draw=draw) if names else {}

    recipe_weights(network)
    found = dict(scored([key for key in keys if key not in FIXED]))
    if "zen_fixed_scaled" in keys:
        found["zen_fixed_scaled"] = scored(["zen"])["zen"]
    if "zen_fixed" in keys:
        recipe_weights(network, scaled=False)
        found["zen_fixed"] = scored(["zen"])["zen"]
    return found


def _compare(arch: str, key: str, precision: str, expected: float, found: float) -> Line:
    tolerance = FLOAT64.get(key, 1e-9) if precision == "float64" else FLOAT32.get(key, 1e-4)
    if math.isfinite(expected):
        ok = abs(found - expected) <= tolerance * abs(expected)
    else:
        ok = str(found) == str(expected)
    return Line(arch, key, precision, expected, found, tolerance, ok)


def _compare_random(arch: str, key: str, entry: dict[str, Any], network: nn.Module) -> Line:
    """Compare means over as many seeds as the file has; the tolerance is four standard errors of both."""
    seeds, mean, std = int(entry["seeds"]), float(entry["mean"]), float(entry.get("std", "nan"))
    batches = recipe_batches()
    found = [score(network, batches, [key], seed=seed)[key] for seed in range(seeds)]
    average = float(np.mean(found))
    if not math.isfinite(mean):
        return Line(arch, key, "mean", mean, average, 0.0, str(average) == str(mean))
    tolerance = 4 * std / math.sqrt(seeds) * math.sqrt(2)
    return Line(arch, key, "mean", mean, average, tolerance, abs(average - mean) < tolerance)

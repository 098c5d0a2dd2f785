"""Agreement with the reference implementations, on weights and inputs that numpy alone can make.

A golden file holds, for a few architectures, the values that the original authors' code gave. The recipe for
weights and inputs is the file's own `recipe`, which `zcp.golden.recipe` implements.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from zcp.data.datasets import DATASETS
from zcp.errors import InputError
from zcp.golden.recipe import RecipeDraw, recipe_batches, recipe_weights
from zcp.golden.rounding import eznas_interval, jittered
from zcp.paths import is_file, is_folder
from zcp.proxies.registry import REGISTRY
from zcp.scoring import score
from zcp.spaces import get_space

#: Relative tolerance of float32 against the float64 value; the wide ones are needed by deep chains of noise.
FLOAT32 = {
    "l2_norm": 1e-6, "naswot": 1e-6, "log_synflow": 1e-6, "synflow": 1e-4, "synflow_bn": 1e-9,
    "zen_fixed": 1e-5, "zen_fixed_scaled": 1e-5, "jacob_cov": 1e-4, "zico": 3e-2, "eznas": 5e-3,
    "grad_norm": 3e-3, "gradnorm_global_l2": 3e-3, "snip": 3e-3, "fisher": 1e-2, "plain": 1e-2, "grasp": 5e-2,
    "ntk_kappa": 1e-2, "ntk_theta_trace": 1e-2, "ntk_lambda_max": 1e-2, "ntk_lambda_min": 1e-2,
    "expressivity": 1e-6, "trainability_fixed_r": 5e-4, "trainability": 5e-4, "linear_regions": 0.0,
}  # fmt: skip
#: Relative tolerance of float64, where it is not 1e-9.
FLOAT64 = {"zico": 1e-8, "eznas": 1e-3}
#: Absolute tolerance of float32, for values near zero.
ABSOLUTE32 = {"progressivity": 1e-4}
#: Golden keys that are a proxy of another name.
PROXY = {
    "zen_fixed": "zen", "zen_fixed_scaled": "zen", "trainability_fixed_r": "trainability",
    "ntk_kappa": "ntk_cond", "ntk_theta_trace": "ntk_trace", "gradnorm_global_l2": "grad_norm_l2",
}  # fmt: skip
#: Numbers that a reference returns where there is no value; zcp gives NaN.
STANDS_FOR_NAN = {"ntk_kappa": 1e5}
#: Values that rounding may decide, in these precisions: whether it does is found out on the network, by
#: moving every layer's output by one unit in the last place (`zcp.golden.rounding`), so many times.
ROUNDED = {
    "synflow_bn": ("float32", "float64"),
    **dict.fromkeys(("plain", "ntk_kappa", "ntk_lambda_min"), ("float32",)),
}
JITTERS = 5
#: Of a mean that is compared; each is a whole scoring.
MOST_SEEDS = 1000


class Line(NamedTuple):
    """One comparison: `ok` is None where zcp has no such proxy, or rounding decides, as `note` says then."""

    arch: str
    key: str
    precision: str
    expected: float
    found: float
    tolerance: float
    ok: bool | None
    note: str = ""

    def __str__(self) -> str:
        word = {None: "" if self.note else "no such proxy", True: "ok", False: "MISS"}[self.ok]
        return (
            f"{self.arch:<10}{self.key:<22}{self.precision:<9}expected {self.expected:<14.8g}"
            f"found {self.found:<14.8g}tolerance {self.tolerance:<9.2g}"
            f"{word} {self.note}".rstrip()
        )


def check(path: str | Path, archs: Sequence[str] | None = None) -> Iterator[Line]:
    """Compare every value of a golden file with zcp's own, float32 and float64.

    Args:
        path: JSON file of the format described in its `recipe`.
        archs: the file's names of the architectures to compare; None for all.

    Yields:
        A line a value, where zcp has the proxy, and one a key where it does not.

    Raises:
        InputError: if the file cannot be read or lacks a part of the format or an architecture.
    """
    values, layouts = _read(Path(path))
    for arch in values if archs is None else archs:
        if arch not in values:
            raise InputError(f"{path} has no architecture {arch!r}; it has {', '.join(values)}")
        expected = values[arch]
        network = get_space(layouts[arch]["space"]).network(
            layouts[arch]["spec"], DATASETS["cifar10"].classes
        )
        exact = {key: entry for key, entry in expected.items() if "float64" in entry}
        known = [key for key in exact if PROXY.get(key, key) in REGISTRY]
        for precision, dtype in (("float32", torch.float32), ("float64", torch.float64)):
            found = _recipe_scores(network.to(dtype), dtype, known)
            for key in known:
                line = _compare(arch, key, precision, float(exact[key]["float64"]), found[key])
                if key == "eznas" and not line.ok:
                    line = _within_interval(line, network)
                elif line.ok is False and precision in ROUNDED.get(key, ()):
                    line = _unless_rounding_decides(line, network)
                yield line
        for key, entry in expected.items():
            if "mean" in entry and key in REGISTRY:
                yield _compare_random(arch, key, entry, network.float())
            elif key not in known:
                yield Line(arch, key, "-", math.nan, math.nan, math.nan, None)


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return (values, layouts) by architecture, checked as far as the comparison reads them."""
    if not is_file(path):  # reading a pipe would wait for ever
        what = "it is a folder" if is_folder(path) else "there is no such file"
        raise InputError(f"cannot read the golden file {path}: {what}")
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise InputError(f"the golden file {path} is no JSON: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read the golden file {path}: {error}") from error
    try:
        values, layouts = content["values"], content["archs"]
        if not values:
            raise InputError(f"{path} holds no golden values: nothing would be compared")
        for arch, entries in values.items():
            get_space(layouts[arch]["space"]).index(layouts[arch]["spec"])
            for key, entry in entries.items():
                for part in entry.keys() & {"float64", "mean", "std"}:
                    _check_number(f"{arch} {key} {part}", entry[part])
                if "mean" in entry:
                    _check_seeds(f"{arch} {key} seeds", entry["seeds"])
    except KeyError as error:
        raise InputError(f"{path} is not a golden file: it has no entry {error}") from error
    except (TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a golden file: {error}") from error
    return values, layouts


def _check_number(name: str, value: object) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if value not in ("nan", "inf", "-inf") and not abs(number) <= sys.float_info.max:
        raise InputError(f"golden value {name} must be a number, 'nan', 'inf' or '-inf', not {value!r:.60}")


def _check_seeds(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_SEEDS:
        raise InputError(
            f"golden value {name} must be a whole number from 1 to {MOST_SEEDS}, not {value!r:.60}"
        )


def _recipe_scores(network: nn.Module, dtype: torch.dtype, keys: list[str]) -> dict[str, float]:
    batches = recipe_batches(dtype)
    draw = RecipeDraw(batches)

    def scored(wanted: list[str]) -> dict[str, float]:
        found = score(network, batches, [PROXY.get(key, key) for key in wanted], init="keep", draw=draw)
        return {key: found[PROXY.get(key, key)] for key in wanted}

    recipe_weights(network)
    found = scored([key for key in keys if key != "zen_fixed"])
    if "zen_fixed" in keys:
        recipe_weights(network, scaled=False)
        found |= scored(["zen_fixed"])
    return found


def _compare(arch: str, key: str, precision: str, expected: float, found: float) -> Line:
    tolerance = FLOAT64.get(key, 1e-9) if precision == "float64" else FLOAT32.get(key, 1e-4)
    allowed = tolerance * abs(expected)
    if precision == "float32" and key in ABSOLUTE32:
        allowed = tolerance = ABSOLUTE32[key]
    if expected == STANDS_FOR_NAN.get(key):
        ok = math.isnan(found)
    elif math.isfinite(expected):
        ok = abs(found - expected) <= allowed
    else:
        ok = str(found) == str(expected)
    return Line(arch, key, precision, expected, found, tolerance, ok)


def _within_interval(line: Line, network: nn.Module) -> Line:
    """Compare a golden eznas with what singular maps, 0 or 0.5 each, can make of the exact one."""
    least, most = eznas_interval(recipe_weights(network), recipe_batches())
    low, high = least * (1 - line.tolerance), most * (1 + line.tolerance)
    if not low <= line.expected <= high:
        return line
    return line._replace(ok=None, note=f"decided by rounding: singular maps give {least:.6g} to {most:.6g}")


def _unless_rounding_decides(line: Line, network: nn.Module) -> Line:
    """Take a miss back where rounding alone moves our own value by more than the tolerance, and as far."""
    # synflow is computed in float64 whatever the network's precision is.
    own = recipe_weights(network.double() if line.key == "synflow_bn" else network)
    proxy, batches = PROXY.get(line.key, line.key), recipe_batches()
    values = [line.found] + [
        score(jittered(own, seed), batches, [proxy], init="keep", draw=RecipeDraw(batches))[proxy]
        for seed in range(JITTERS)
    ]
    moved = max(values) - min(values)
    if moved <= line.tolerance * abs(line.expected) or abs(line.expected - line.found) > 3 * moved:
        return line
    return line._replace(ok=None, note=f"decided by rounding, which moves it by {moved:.2g}")


def _compare_random(arch: str, key: str, entry: dict[str, Any], network: nn.Module) -> Line:
    """Compare means over as many seeds as the file has; the tolerance is four standard errors of both."""
    seeds, mean, std = int(entry["seeds"]), float(entry["mean"]), float(entry.get("std", "nan"))
    batches = recipe_batches()
    if key == "trainability":
        return _compare_trainability(arch, entry, network)
    found = [score(network, batches, [key], seed=seed)[key] for seed in range(seeds)]
    average = float(np.mean(found))
    if not math.isfinite(mean):
        return Line(arch, key, "mean", mean, average, 0.0, str(average) == str(mean))
    tolerance = 4 * std / math.sqrt(seeds) * math.sqrt(2)
    return Line(arch, key, "mean", mean, average, tolerance, abs(average - mean) < tolerance)


def _compare_trainability(arch: str, entry: dict[str, Any], network: nn.Module) -> Line:
    """Compare means over the very signs that the reference drew; nothing else in it is random."""
    recipe_weights(network)
    batches, key = recipe_batches(), "trainability"
    draw = RecipeDraw(batches)

    def value() -> float:
        return score(network, batches, [key], init="keep", draw=draw)[key]

    value()  # so that the draw knows the shapes of the signs
    found = []
    for seed in range(int(entry["seeds"])):
        draw.redraw_signs(seed)
        found.append(value())
    line = _compare(arch, key, "float32", float(entry["mean"]), float(np.mean(found)))
    return line._replace(precision="mean")

"""The arguments of a call, checked before anything runs, whether or not the chosen proxies read them."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch

from zcp.errors import InputError
from zcp.statistics.copies import get_engine


def check_arguments(
    *,
    init: Any = "paper",
    seed: Any = 0,
    draw: Any = None,
    formulas: Any = None,
    engine: Any = "fast",
    loss: Any = None,
    output: Any = None,
    blocks: Any = None,
    device: Any = None,
    strict: Any = False,
    progress: Any = False,
) -> None:
    """Check the arguments of `zcp.score` that can be told without the network and its batches.

    Raises:
        InputError: if one cannot be used.
    """
    if not isinstance(init, str) or init not in ("paper", "keep"):
        raise InputError(f"unknown init {init!r}; choose 'paper' or 'keep'")
    _require("seed", seed, isinstance(seed, Integral) and not isinstance(seed, bool), "a whole number")
    _require("draw", draw, draw is None or callable(draw), "a function of a name and a shape")
    for name, function in (("loss", loss), ("output", output)):
        known = (
            function is None or callable(function) or (name == "output" and isinstance(function, str | int))
        )
        what = "a key, an index, or a function" if name == "output" else "a function of logits and targets"
        _require(name, function, known, what)
    _require("formulas", formulas, formulas is None or _is_texts(formulas), "a mapping of names to texts")
    names = blocks is None or (
        isinstance(blocks, Sequence) and not isinstance(blocks, str) and _are_texts(blocks)
    )
    _require("blocks", blocks, names, "a list of names of modules")
    if blocks is not None and not blocks:
        raise InputError("blocks is empty; name at least one block, or leave it out")
    for name, flag in (("strict", strict), ("progress", progress)):
        _require(name, flag, isinstance(flag, bool), "True or False")
    get_engine(engine)
    _check_device(device)


def _require(name: str, value: object, holds: bool, what: str) -> None:
    if not holds:
        raise InputError(f"{name} must be {what}, not {value!r:.200}")


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_texts(formulas: object) -> bool:
    return isinstance(formulas, Mapping) and _are_texts([*formulas.keys(), *formulas.values()])


def _check_device(device: Any) -> None:
    if device is None:
        return
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except Exception as error:  # of many kinds, by what is missing
        told = str(error).partition("\n")[0]
        raise InputError(
            f"device {device!r} cannot be used here ({told}); choose another, or None"
        ) from error
    if place.type == "meta":
        raise InputError("nothing can be computed on the meta device; choose another, or None")

"""Inputs moved by one unit in the last place, to see what rounding decides.

A value that hangs on the last bit of its inputs hangs on the order of a sum as well, and so on the processor.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from unittest import mock

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import Tensor, nn

from zcp.data.batches import Batch
from zcp.statistics.seeding import generator, seed_for

T = TypeVar("T", pd.DataFrame, pd.Series)


def move_values(values: NDArray[np.float64], *seed: object) -> NDArray[np.float64]:
    """Return the values, each one unit in the last place up or down at random; equal ones move alike.

    Integers, which count something, and what is not finite stay.
    """
    distinct, where = np.unique(values, return_inverse=True)
    source = np.random.default_rng(seed_for("ulp", *seed))
    towards = source.choice([-np.inf, np.inf], len(distinct))
    with np.errstate(invalid="ignore"):
        moves = np.isfinite(distinct) & (distinct != np.trunc(distinct))
    moved: NDArray[np.float64] = np.where(moves, np.nextafter(distinct, towards), distinct)[where]
    return moved.reshape(values.shape)


def move_table(table: T, *seed: object) -> T:
    """Return a table, or a column, with every float moved, see `move_values`."""
    if isinstance(table, pd.Series):
        moved = table.copy()
        moved[:] = move_values(table.to_numpy(float), *seed)
        return moved
    floats = [str(column) for column in table if pd.api.types.is_float_dtype(table[column])]
    new = {column: move_values(table[column].to_numpy(float), column, *seed) for column in floats}
    found = table.assign(**new)
    found.attrs = table.attrs
    return found


def move_tensor(values: Tensor, *seed: object) -> Tensor:
    """Return a tensor of floats, each moved up or down in its own precision; zeros stay."""
    up = torch.rand(values.shape, generator=generator("ulp", *seed)) < 0.5
    towards = torch.where(up.to(values.device), torch.inf, -torch.inf).to(values.dtype)
    return torch.where(values == 0, values, torch.nextafter(values, towards))


@torch.no_grad()
def move_network(network: nn.Module, *seed: object) -> nn.Module:
    """Move every weight of more than one dimension, in place, and return the network."""
    for name, weight in network.named_parameters():
        if weight.ndim > 1:
            weight.copy_(move_tensor(weight, name, *seed))
    return network


def move_batch(batch: tuple[Tensor, Tensor], *seed: object) -> Batch:
    """Return a batch with moved inputs."""
    return Batch(move_tensor(batch[0], *seed), batch[1])


@contextmanager
def moved_inputs(seed: int) -> Iterator[None]:
    """While this lasts, whatever the study reads or draws arrives moved: scores, weights, inputs, noise.

    Accuracies stay: they are printed decimals, and no processor computes them.

    Stand-ins take the place of the functions that read and draw, in every module of this package; what was
    read before stays as it is.
    """
    from zcp.collect import load_scores
    from zcp.data import batches as inputs
    from zcp.ensemble.regressors import build_regressor
    from zcp.golden import recipe
    from zcp.statistics import network as statistics
    from zcp.statistics.initialisation import initialise
    from zcp.study.deeper_look import decay, perturbation, published

    def table(read: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: move_table(read(*args, **options), seed)

    def weights(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        return lambda *args, **options: move_network(make(*args, **options), seed)

    def batches(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: [
            move_batch(batch, seed, number) for number, batch in enumerate(make(*args, **options))
        ]

    def draw(*key: int) -> Callable[..., Tensor]:
        return lambda name, shape: move_tensor(draws(*key)(name, shape), name, seed)

    def regressor(name: str, *args: Any, **options: Any) -> Pipeline:
        # A last bit of a column of 1e30 is lost in a singular value; the order of the columns, which means
        # nothing to least squares either, is not.
        made = build_regressor(name, *args, **options)
        if name in ("Linear", "Bayesian Ridge"):
            made.steps.insert(len(made.steps) - 1, ("order", FunctionTransformer(shuffle)))
        return made

    def shuffle(values: NDArray[np.float64]) -> NDArray[np.float64]:
        order = np.random.default_rng(seed_for("ulp", "columns", seed)).permutation(values.shape[1])
        return values[:, order]

    draws = statistics.SeededDraw
    samples = (inputs.image_batches, inputs.gaussian_batches, recipe.recipe_batches, perturbation.noise)
    replaced: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
        *((read, table(read)) for read in (load_scores, published.published_scores, decay.read_rows)),
        *((make, weights(make)) for make in (initialise, recipe.recipe_weights)),
        *((make, batches(make)) for make in samples),
        (statistics.SeededDraw, draw),
        (build_regressor, regressor),
    ]
    with ExitStack() as stack:
        for original, stand_in in replaced:
            for module in [m for name, m in sys.modules.items() if name.split(".")[0] == "zcp"]:
                for name in [name for name, value in vars(module).items() if value is original]:
                    stack.enter_context(mock.patch.object(module, name, stand_in))
        yield

"""Narrow networks of the topology space, really trained, and scored by every proxy after each epoch.

One file a training in a folder, written whole or not at all: a run that was killed goes on where it stopped.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from joblib import Parallel, delayed
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from zcp.collect.order import sampling_order
from zcp.paths import RUNS
from zcp.scoring import score
from zcp.spaces import get_space
from zcp.spaces.cells import Cell, CellNetwork, chain
from zcp.spaces.tss import parse_cell
from zcp.statistics.initialisation import initialise
from zcp.statistics.seeding import generator
from zcp.study.deeper_look.published import POST
from zcp.study.deeper_look.small_tasks import SmallTask, load_task

#: The eight of the post, the two more that its figure shows, and others that cost as little.
PROXIES = (*POST, "plain", "synflow_bn", "naswot", "zico", "l2_norm")
CLASSES = 10


@dataclass(frozen=True)
class Recipe:
    """How every network is built and trained; the optimiser and schedule are NATS-Bench's.

    Attributes:
        epochs: passes over the training images.
        width: channels of the first stage; the next two have twice and four times as many.
        cells: cells a stage.
        batch: images a step.
        rate: first learning rate of SGD with Nesterov momentum 0.9, cosine decay to 0.
        decay: weight decay.
        scored: images in each of the two batches that are scored.
    """

    epochs: int = 5
    width: int = 8
    cells: int = 1
    batch: int = 32
    rate: float = 0.1
    decay: float = 5e-4
    scored: int = 64


def architectures(count: int) -> list[int]:
    """Return the first `count` indices of the topology space in the seeded order of the collections."""
    return [int(index) for index in sampling_order("tss", 0)[:count]]


def build_narrow(index: int, recipe: Recipe, seed: int) -> CellNetwork:
    """Return the topology space's network `index` in the recipe's width and depth, freshly initialised."""
    operations = parse_cell(get_space("tss").arch(index))
    widths = [recipe.width << stage for stage in range(3)]
    network = chain(widths, lambda width: Cell(operations, width, width), recipe.cells, CLASSES)
    initialise(network, "default", seed, "decay", index)
    return network


def train(
    index: int, task: SmallTask, recipe: Recipe, seed: int, epochs: int | None = None
) -> Iterator[dict[str, Any]]:
    """Train one network, and yield a row before the first and after each epoch.

    Args:
        index: of the topology space.
        task: what to learn.
        recipe: how; the schedule is always that of all its epochs.
        seed: of weights and of the order of the images.
        epochs: stop after this many; all where None.

    Yields:
        index, seed, epoch (0: untrained), loss (mean of the epoch's training steps; NaN at 0), accuracy (on
        the test images, percent), and one column a proxy (the weights as they are; NaN where it failed).
    """
    network, scored = build_narrow(index, recipe, seed), task.batches(recipe.scored)
    optimiser = torch.optim.SGD(
        network.parameters(), recipe.rate, momentum=0.9, nesterov=True, weight_decay=recipe.decay
    )
    steps = -(-len(task.train.labels) // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs * steps)
    loss = float("nan")
    for epoch in range((recipe.epochs if epochs is None else epochs) + 1):
        if epoch:
            loss = _train_epoch(
                network, task, recipe.batch, optimiser, schedule, generator(seed, index, epoch)
            )
        scores = score(network, scored, PROXIES, init="keep", seed=seed)
        row = {"index": index, "seed": seed, "epoch": epoch, "loss": loss}
        yield row | {"accuracy": measure(network, task)} | scores


def _train_epoch(
    network: nn.Module,
    task: SmallTask,
    batch: int,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    source: torch.Generator,
) -> float:
    """Take one step a batch, in an order drawn from `source`; return the mean training loss."""
    network.train()
    losses = []
    for rows in torch.split(torch.randperm(len(task.train.labels), generator=source), batch):
        optimiser.zero_grad()
        loss = cross_entropy(network(task.train.inputs[rows]), task.train.labels[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.no_grad()
def measure(network: nn.Module, task: SmallTask) -> float:
    """Return the accuracy on the test images in percent, with the running statistics of BN."""
    network.eval()
    right = network(task.test.inputs).argmax(1) == task.test.labels
    network.train()
    return 100 * float(right.float().mean())


def run(
    name: str, count: int, seeds: Sequence[int], recipe: Recipe, jobs: int = 1, folder: Path = RUNS
) -> pd.DataFrame:
    """Train `count` architectures under each seed, going on where an earlier call stopped.

    Returns:
        The rows of `train`, in the order seed, architecture, epoch.
    """
    where = folder / f"decay-{name}"
    where.mkdir(parents=True, exist_ok=True)
    plan = [(index, seed) for seed in seeds for index in architectures(count)]
    task = load_task(name)
    calls = (delayed(_kept)(where, index, task, recipe, seed) for index, seed in plan)
    kept = Parallel(n_jobs=jobs, return_as="generator")(calls)
    return pd.DataFrame([row for rows in tqdm(kept, name, len(plan)) for row in rows])


def _kept(where: Path, index: int, task: SmallTask, recipe: Recipe, seed: int) -> list[dict[str, Any]]:
    """Return the rows of one training from its file, or train and write it."""
    torch.set_num_threads(1)
    path, settings = where / f"{index}-{seed}.json", asdict(recipe)
    if path.is_file() and (found := json.loads(path.read_text()))["recipe"] == settings:
        return list(found["rows"])
    rows = list(train(index, task, recipe, seed))
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps({"recipe": settings, "rows": rows}))
    unfinished.replace(path)
    return rows

"""A network of one's own: where its code is, and whether it fits the dataset that it is asked for."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from zcp.data.batches import Batch
from zcp.data.datasets import DATASETS
from zcp.errors import InputError, Undefined
from zcp.scoring import score
from zcp.statistics.network import Statistics


def load_network(spec: str) -> nn.Module:
    """Return the network that `module:name` names, of the working folder or an installed package.

    `name` is a network, or what gives one when it is called without arguments. The module is run.

    Raises:
        InputError: if there is no such module or name, it fails, or gives something else.
    """
    module, _, name = spec.partition(":")
    if not module or not name.isidentifier():
        raise InputError(f"a network is named as module:function, such as my_module:build, not {spec!r}")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
        network = found if isinstance(found, nn.Module) else found()
    except (Exception, SystemExit) as error:  # it is code of the user
        raise InputError(f"{spec} gives no network: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{spec} gives a {type(network).__name__}; it must give a torch.nn.Module")
    return network


def classes(s: Statistics) -> int:
    """Number of logits."""
    if s.data.logits.ndim != 2:
        raise Undefined(f"logits are (B, classes), the network gives {tuple(s.data.logits.shape)}")
    return s.data.logits.shape[1]


def require_fit(network: nn.Module, dataset: str, batches: Sequence[Batch]) -> None:
    """Check that a network can classify the images of a dataset.

    Args:
        network: of the caller; copies of it run.
        dataset: its name.
        batches: of its images, or of noise of their shape (B, 3, H, W).

    Raises:
        InputError: if it fails on the first batch, or gives fewer logits than there are classes.
    """
    found, needed = score(network, batches, classes, init="keep"), DATASETS[dataset].classes
    if reason := found.reasons.get("classes"):
        shape = "x".join(map(str, batches[0][0].shape[1:]))
        raise InputError(f"the network cannot be used on the {shape} inputs of {dataset}: {reason}")
    if found["classes"] < needed:
        raise InputError(
            f"the network has {found['classes']:.0f} classes, and {dataset} has {needed}: widen the head"
        )

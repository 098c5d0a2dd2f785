"""A network of one's own: by what name it is loaded, and whether it fits the dataset that is asked for."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

import torch
from torch import nn

from zcp.data.batches import Batch
from zcp.data.datasets import DATASETS
from zcp.errors import InputError, Kind, Undefined
from zcp.scoring import score
from zcp.statistics.adapted import NoLogits
from zcp.statistics.network import Statistics

#: What two forwards on the same inputs may differ by, in shares of the largest logit: GPUs sum in any order.
SAME = 1e-4


def load_network(spec: str) -> nn.Module:
    """Return the network that `module:name` names, of the working folder or an installed package.

    `name` is a network, or what gives one when it is called without arguments. The module is run.

    Raises:
        InputError: if there is no such module or name, it fails, or gives something else.
    """
    module, _, name = spec.partition(":")
    if (file := PurePath(module)).suffix == ".py":
        raise InputError(
            f"{spec} names a file; write {file.stem}:{name or 'build'}, in the folder of {file.name}"
        )
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


def are_finite(s: Statistics) -> bool:
    """Whether all logits of the first batch are finite."""
    return bool(s.data.logits.isfinite().all())


def depend_on_inputs(s: Statistics) -> bool:
    """Whether logits differ between the inputs of the first batch, or have a gradient with respect to them.

    One does not follow from the other: deep networks saturate, and functions with steps have no gradient.
    """
    logits = s.data.logits
    if bool((logits != logits[:1]).any()):
        return True
    if not logits.requires_grad:
        return False
    weights = s.noise("logits", logits.shape)
    (slope,) = torch.autograd.grad(logits, s.data.inputs, weights, retain_graph=True, allow_unused=True)
    return slope is not None and bool(slope.any())


def are_repeated(s: Statistics) -> bool:
    """Whether two forwards on the same inputs give the same logits, in evaluation mode."""
    s.network.eval()
    try:
        with torch.no_grad():
            first, second = (s.network(s.batches[0][0]) for _ in range(2))
    finally:
        s.network.train()
    within = SAME * float(first.nan_to_num().abs().max())
    return torch.allclose(first, second, rtol=0, atol=within, equal_nan=True)


def examine(network: nn.Module, dataset: str, batches: Sequence[Batch], seed: int = 0) -> dict[str, str]:
    """Check that a network can classify the images of a dataset, as it is and with weights drawn anew.

    Args:
        network: of the caller; copies of it run.
        dataset: its name.
        batches: of its images, or of noise of their shape (B, 3, H, W).
        seed: of the weights.

    Returns:
        Why the promise of an interval does not hold for it, each with what to do about it.

    Raises:
        InputError: if it fails on the first batch, gives fewer logits than there are classes, or logits
            that are not finite or the same whatever the inputs are.
    """
    shape = "x".join(map(str, batches[0][0].shape[1:]))
    unfit = f"the network cannot be used on the {shape} inputs of {dataset}"
    try:
        kept = score(network, batches, classes, init="keep")
        drawn = score(network, batches, [are_finite, depend_on_inputs, are_repeated], seed=seed)
    except NoLogits as error:
        raise InputError(f"{unfit}: {error.args[0]}; let its forward return the logits alone") from error
    for name, kind in (kept.kinds | drawn.kinds).items():
        if kind is Kind.WEIGHTS:
            raise InputError(f"{unfit}: its parameters or buffers hold NaN or infinite values; correct them")
        if kind is not Kind.VALUE:
            raise InputError(f"{unfit}: {(kept.reasons | drawn.reasons)[name]}")
    given, needed = int(kept["classes"]), DATASETS[dataset].classes
    if given < needed:
        raise InputError(f"the network has {given} classes, and {dataset} has {needed}: widen the head")
    # A value that underflow hides is NaN, and then neither.
    if drawn["are_finite"] != 1:
        raise InputError(f"{unfit}: its logits are NaN or infinite; correct its forward")
    if drawn["depend_on_inputs"] == 0:
        raise InputError(f"{unfit}: its logits do not depend on them; correct its forward")
    doubts = {}
    if drawn["are_repeated"] != 1:
        doubts["its forward is random"] = (
            "two forwards on the same inputs in evaluation mode differ, so the features are one draw of "
            "many; draw random numbers in training mode only"
        )
    if given > needed:
        doubts[f"it has more logits than {dataset} has classes"] = (
            f"the network has {given} logits, and {dataset} has {needed} classes; narrow the head to {needed}"
        )
    return doubts

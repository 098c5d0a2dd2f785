"""The state of PyTorch around a network while it is scored: its modes, generators and precision."""

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from zcp.statistics.checkpoints import without_checkpoints


@contextmanager
def own_surroundings(network: nn.Module, device: str | torch.device | None = None) -> Iterator[None]:
    """Differentiate in full precision whatever the caller's modes are, and put the global generators back.

    Args:
        network: the caller's.
        device: where its copies run, if not where it is.
    """
    places = {p.device for p in network.parameters()} | ({torch.device(device)} if device else set())
    kinds = {place.type for place in places} or {"cpu"}
    devices = sorted({place.index or 0 for place in places if place.type == "cuda"})
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in kinds:
            stack.enter_context(torch.autocast(kind, enabled=False))
        # Dropout and the like draw from the global generators.
        stack.enter_context(kept_generators(devices))
        stack.enter_context(_full_precision())
        stack.enter_context(without_checkpoints())
        yield


@contextmanager
def kept_generators(devices: Iterable[int], own: Iterable[torch.Generator] = ()) -> Iterator[None]:
    """Put the global generators of PyTorch, NumPy and Python back after the block.

    Args:
        devices: GPUs whose generators are among them.
        own: further generators.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=list(devices)))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - networks draw from it
        for generator in own:
            stack.callback(generator.set_state, generator.get_state())
        yield


def seed_generators(network: nn.Module, seed: int) -> None:
    """Seed the global generators of the CPU and of the GPUs that a network is on."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - networks draw from it
    for index in {p.device.index for p in network.parameters() if p.device.type == "cuda"}:
        torch.cuda.default_generators[index].manual_seed(seed)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Let GPUs multiply in single precision, and not in TF32 with its ten bits, which cuDNN's default is."""
    cudnn: Any = torch.backends.cudnn
    backends: tuple[Any, ...] = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision

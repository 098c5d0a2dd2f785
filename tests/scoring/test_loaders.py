"""Batches from loaders: the generators that they draw from are left as found."""

import random

import numpy as np
import pytest
import torch
from any_networks import CLASSES, batches, norms, seeded
from torch.utils.data import DataLoader, Dataset

from zcp import score, score_many

SAMPLES = [(x, y) for part in batches(count=6) for x, y in zip(*part, strict=True)]


class Augmented(Dataset):
    """Draws from all three global generators."""

    def __len__(self) -> int:
        return len(SAMPLES)

    def __getitem__(self, number):
        x, y = SAMPLES[number]
        return x + torch.rand(()) + float(np.random.rand()) + random.random(), y  # noqa: NPY002


def states():
    numpy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), repr(numpy)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("data", [SAMPLES, Augmented()], ids=["samples", "augmented"])
def test_the_global_generators_stay(data, workers):
    loader = DataLoader(data, batch_size=5, shuffle=True, num_workers=workers)
    net, before = seeded(lambda: norms("batch")), states()
    found = score(net, loader, ["snip", "zico"])
    assert states() == before
    score_many({"one": net}, loader, proxies=["params"])
    assert states() == before
    if not workers:
        # What is put back gives the same batches again.
        assert score(net, loader, ["snip", "zico"]) == found


@pytest.mark.parametrize("where", ["loader", "sampler"])
def test_a_generator_of_the_loader_stays(where):
    own = torch.Generator().manual_seed(7)
    shuffled = {"shuffle": True, "generator": own}
    if where == "sampler":
        shuffled = {"sampler": torch.utils.data.RandomSampler(SAMPLES, generator=own)}
    before = own.get_state()
    score(seeded(lambda: norms("batch")), DataLoader(SAMPLES, batch_size=5, **shuffled), ["snip"])
    assert torch.equal(own.get_state(), before)


def test_a_generator_function_that_draws_leaves_the_state():
    before = states()
    drawing = ((torch.randn(5, 3, 8, 8), torch.randint(CLASSES, (5,))) for _ in range(3))
    score(seeded(lambda: norms("batch")), drawing, ["snip"])
    assert states() == before

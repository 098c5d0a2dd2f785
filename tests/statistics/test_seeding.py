import subprocess
import sys

import torch

from zcp.statistics.seeding import generator, seed_for


def test_every_part_of_the_key_counts():
    keys = [
        (0, "tss", 1),
        (0, "tss", 2),
        (0, "sss", 1),
        (1, "tss", 1),
        (0, "tss"),
        (0, "tss1"),
        (0, "t", "ss", 1),
        (),
    ]
    seeds = [seed_for(*key) for key in keys]
    assert len({*seeds}) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_same_in_every_process():
    """Python's own hash of strings differs from process to process; the seed must not."""
    code = "from zcp.statistics.seeding import seed_for; print(seed_for(0, 'tss', 9930, 'cifar10'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == seed_for(0, "tss", 9930, "cifar10") == 1025406217134415587


def test_generator_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    first = torch.randn(3, generator=generator("a", 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, torch.randn(3, generator=generator("a", 1)))
    assert not torch.equal(first, torch.randn(3, generator=generator("a", 2)))

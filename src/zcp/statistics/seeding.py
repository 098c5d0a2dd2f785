"""Random numbers that depend on what they are for, never on what ran before.

Every draw comes from a CPU generator seeded by a key such as `(seed, space, index, dataset)`, so that a score
made on a GPU, by another worker or in another order can be made again on a CPU.
"""

import hashlib

import torch


def seed_for(*key: object) -> int:
    """Return a seed (0 to 2**63 - 1) that depends on every part of `key`, the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def generator(*key: object) -> torch.Generator:
    """Return a fresh CPU generator seeded by `key`."""
    return torch.Generator().manual_seed(seed_for(*key))

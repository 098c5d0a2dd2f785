"""Which images a collection saw, whatever format they were read from."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from zcp.data.generators import find_images


def image_digests(datasets: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of pixels and labels of each dataset's images, by dataset.

    Raises:
        InputError: if there are no images of a dataset, or they cannot be used.
    """
    return {dataset: _digest(dataset) for dataset in sorted(set(datasets))}


@lru_cache
def _digest(dataset: str) -> str:
    found = find_images(dataset)
    digest = hashlib.sha256(found.images.tobytes())
    digest.update(found.labels.tobytes())
    return digest.hexdigest()

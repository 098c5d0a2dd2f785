"""zcp: zero-cost proxies for neural architecture search, measured honestly.

Build a network of a benchmark with `build`, score any network with `score`.
"""

from zcp.data.batches import Batch, gaussian_batches, image_batches
from zcp.errors import InputError, Undefined
from zcp.proxies.registry import REGISTRY, Proxy, get_proxy, list_proxies, proxy
from zcp.scoring import Scores, score
from zcp.spaces import build, get_space

__version__ = "0.2.0"

__all__ = [
    "REGISTRY",
    "Batch",
    "InputError",
    "Proxy",
    "Scores",
    "Undefined",
    "build",
    "gaussian_batches",
    "get_proxy",
    "get_space",
    "image_batches",
    "list_proxies",
    "proxy",
    "score",
]

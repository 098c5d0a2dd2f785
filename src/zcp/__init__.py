"""zcp: zero-cost proxies for neural architecture search, measured honestly.

Build a network of a benchmark with `build`, score any network with `score`.
"""

from zcp.errors import InputError, Undefined
from zcp.registry import REGISTRY, Proxy, get_proxy, list_proxies, proxy
from zcp.scoring import Scores, score
from zcp.spaces import build, get_space

__version__ = "0.1.0"

__all__ = [
    "REGISTRY",
    "InputError",
    "Proxy",
    "Scores",
    "Undefined",
    "build",
    "get_proxy",
    "get_space",
    "list_proxies",
    "proxy",
    "score",
]

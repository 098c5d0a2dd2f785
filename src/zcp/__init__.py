"""zcp: zero-cost proxies for neural architecture search, measured honestly.

Build a network of a benchmark with `build`, score any network with `score`, see with `accuracies` what was
measured. `proxy`, `register_space` and `register_accuracies` add your own. Everything else is in its room:
`zcp.collect` for many networks, `zcp.ensemble` for predictions, `zcp.study` for the book.
"""

from typing import TYPE_CHECKING

from zcp.data.batches import Batch, gaussian_batches, image_batches
from zcp.errors import InputError, Undefined
from zcp.proxies.registry import Proxy, get_proxy, list_proxies, proxy
from zcp.scoring import Scores, score
from zcp.spaces import Space, build, get_space, register_space
from zcp.versions import VERSION

if TYPE_CHECKING:
    from zcp.benchmarks.measured import accuracies, register_accuracies

__version__ = VERSION

__all__ = [
    "Batch",
    "InputError",
    "Proxy",
    "Scores",
    "Space",
    "Undefined",
    "accuracies",
    "build",
    "gaussian_batches",
    "get_proxy",
    "get_space",
    "image_batches",
    "list_proxies",
    "proxy",
    "register_accuracies",
    "register_space",
    "score",
]


def __getattr__(name: str) -> object:
    """Import what needs pandas when it is first asked for."""
    if name in ("accuracies", "register_accuracies"):
        from zcp.benchmarks import measured

        return getattr(measured, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

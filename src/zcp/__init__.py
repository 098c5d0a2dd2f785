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
from zcp.statistics.flops import Flops, flops
from zcp.versions import VERSION

if TYPE_CHECKING:
    from zcp.benchmarks.measured import accuracies, register_accuracies
    from zcp.many import score_many

__version__ = VERSION

__all__ = [
    "Batch",
    "Flops",
    "InputError",
    "Proxy",
    "Scores",
    "Space",
    "Undefined",
    "accuracies",
    "build",
    "flops",
    "gaussian_batches",
    "get_proxy",
    "get_space",
    "image_batches",
    "list_proxies",
    "proxy",
    "register_accuracies",
    "register_space",
    "score",
    "score_many",
]


def __getattr__(name: str) -> object:
    """Import what needs pandas when it is first asked for."""
    if name in ("accuracies", "register_accuracies"):
        from zcp.benchmarks import measured

        return getattr(measured, name)
    if name == "score_many":
        from zcp.many import score_many

        return score_many
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

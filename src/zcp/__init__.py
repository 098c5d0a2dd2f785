"""zcp: zero-cost proxies for neural architecture search, measured honestly.

Build a network of a benchmark with `build`, score any network with `score`, see with `accuracies` what was
measured. `proxy`, `register_space` and `register_accuracies` add your own. Everything else is in its room:
`zcp.collect` for many networks, `zcp.ensemble` for predictions, `zcp.study` for the book.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zcp.benchmarks.measured import accuracies, register_accuracies
    from zcp.data.batches import Batch, gaussian_batches, image_batches
    from zcp.errors import InputError, Undefined
    from zcp.many import score_many
    from zcp.proxies.registry import Proxy, get_proxy, list_proxies, proxy
    from zcp.scoring import Scores, score
    from zcp.spaces import Space, build, get_space, register_space
    from zcp.statistics.flops import Flops, flops

    __version__: str

#: Where the public names come from.
MODULES = {
    "zcp.benchmarks.measured": ("accuracies", "register_accuracies"),
    "zcp.data.batches": ("Batch", "gaussian_batches", "image_batches"),
    "zcp.errors": ("InputError", "Undefined"),
    "zcp.many": ("score_many",),
    "zcp.proxies.registry": ("Proxy", "get_proxy", "list_proxies", "proxy"),
    "zcp.scoring": ("Scores", "score"),
    "zcp.spaces": ("Space", "build", "get_space", "register_space"),
    "zcp.statistics.flops": ("Flops", "flops"),
}

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
    """Import a name or a module when it is first asked for; the command must hear Ctrl-C before that."""
    if name == "__version__":
        return import_module("zcp.versions").VERSION
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    try:
        return import_module(f"zcp.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"zcp.{name}":
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

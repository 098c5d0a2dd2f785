"""The proxies that exist: a dict, filled by a decorator."""

import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import entry_points

from torch import Tensor

from zcp.errors import InputError
from zcp.formulas import Expression
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later

Function = Callable[[Statistics], Tensor | float | Later[Tensor] | Later[float] | Later[int]]


@dataclass(frozen=True)
class Proxy:
    """A zero-cost proxy and the facts that one needs to use it.

    Attributes:
        name: identifier, lower_snake, as in the literature.
        function: maps `Statistics` to the score.
        init: the weight initialisation of its definition, a key of
            `zcp.statistics.initialisation.INITIALISATIONS`, or `none` where weights do not matter.
        source: citation key in the book's bibliography.
        data: whether the values of the inputs matter (their shape does not count).
        labels: whether labels matter.
        larger_is_better: the direction in which networks are expected to improve.
        second_order: whether it differentiates the loss gradient once more.
        optional: why it is scored only where it is asked for by name, such as that it takes gradient steps
            and so is not free of training; empty for the others.
        expression: the formula, where the proxy is one.
        version: of the definition; values of different versions are never mixed.
        older: the (proxy, version) whose old definition this is; None for most.
        batches: how many batches it reads.
        unit: of the score; `1` for a number without one.
    """

    name: str
    function: Function
    init: str
    source: str
    data: bool
    labels: bool
    larger_is_better: bool = True
    second_order: bool = False
    optional: str = ""
    expression: Expression | None = None
    version: int = 1
    older: tuple[str, int] | None = None
    batches: int = 1
    unit: str = "1"

    @property
    def summary(self) -> str:
        """First sentence of the definition."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


REGISTRY: dict[str, Proxy] = {}
#: File of proxies that could not be imported -> why.
BROKEN: dict[str, str] = {}


#: Group of entry points under which packages announce modules that register proxies.
GROUP = "zcp.proxies"


def proxy(
    bare: object = None,
    /,
    *,
    init: str = "default",
    source: str = "",
    data: bool = True,
    labels: bool = True,
    larger_is_better: bool = True,
    second_order: bool = False,
    optional: str = "",
    version: int = 1,
    older: tuple[str, int] | None = None,
    batches: int = 1,
    unit: str = "1",
) -> Callable[[Function], Function]:
    """Register the decorated function under its own name; the arguments are those of `Proxy`."""
    if bare is not None:
        raise InputError("write @zcp.proxy() with its parentheses: it takes facts of the proxy, all optional")

    def register(function: Function) -> Function:
        name = function.__name__
        if name in REGISTRY:
            raise ValueError(f"a proxy called {name!r} is registered already")
        REGISTRY[name] = Proxy(
            name,
            function,
            init,
            source,
            data,
            labels,
            larger_is_better,
            second_order,
            optional,
            version=version,
            older=older,
            batches=batches,
            unit=unit,
        )
        return function

    return register


@cache
def load_announced() -> None:
    """Import, once, what installed packages announce under the entry point group `zcp.proxies`.

    One that cannot be imported costs a warning.
    """
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            warnings.warn(
                f"the proxies of {entry.value} cannot be loaded ({type(error).__name__}: {error})",
                RuntimeWarning,
                stacklevel=2,
            )


def as_proxy(proxy: Proxy | Function) -> Proxy:
    """Return a function of your own as a proxy of its name, without registering it.

    It counts as reading data and labels, with PyTorch's default initialisation; a decorated one is what it
    was declared to be.

    Raises:
        InputError: if it is no function, or a registered proxy has its name.
    """
    if isinstance(proxy, Proxy):
        return proxy
    if not callable(proxy):
        raise InputError(f"a proxy is a name or a function of Statistics, not {proxy!r}")
    name = getattr(proxy, "__name__", type(proxy).__name__)
    known = REGISTRY.get(name)
    if known is not None and known.function is not proxy:
        raise InputError(f"there is a proxy called {name!r} already; give your function another name")
    return known or Proxy(name, proxy, "default", "", data=True, labels=True, batches=2)


def list_proxies(pattern: str = "*") -> list[str]:
    """Return the names of the proxies that match a shell pattern such as `grad*`, in order of definition."""
    load_announced()
    return [name for name in REGISTRY if fnmatchcase(name, pattern)]


def default_proxies() -> list[str]:
    """Return the names of the proxies that are scored where none is named: all but the optional ones."""
    load_announced()
    return [name for name, known in REGISTRY.items() if not known.optional]


def get_proxy(name: str) -> Proxy:
    """Return the proxy called `name`.

    Raises:
        InputError: if there is none; the message lists the near ones, and files that could not be imported.
    """
    if name not in REGISTRY:
        load_announced()
    if name in REGISTRY:
        return REGISTRY[name]
    near = difflib.get_close_matches(name, REGISTRY)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose of {', '.join(REGISTRY)}"
    missing = "".join(f"; what {file} defines is missing: {why}" for file, why in BROKEN.items())
    raise InputError(f"unknown proxy {name!r}; {hint}{missing}")


def proxy_of_version(name: str, version: int) -> Proxy:
    """Return the proxy that computes a version of the definition of `name`: itself, or one of another name.

    Raises:
        InputError: if there is no proxy `name`, or none computes this version any more.
    """
    current = get_proxy(name)
    if current.version == version:
        return current
    for known in REGISTRY.values():
        if known.older == (name, version):
            return known
    raise InputError(
        f"the proxy {name} is of version {current.version} here, and none computes its version {version}"
    )

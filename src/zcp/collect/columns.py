"""What the columns of a score table say, written as the metadata of each column of a part."""

from collections.abc import Mapping

from zcp.errors import InputError
from zcp.proxies.registry import proxy_of_version
from zcp.statistics.initialisation import INITIALISATIONS

#: Of the columns that are no proxy and no time.
DEFINITIONS = {
    "space": "search space",
    "index": "position of the architecture in the official order of its space, from 0",
    "arch": "architecture, as its benchmark writes it",
    "dataset": "whose number of classes and size of images the network is built for",
    "reason": "JSON object: proxy -> why its value is NaN or infinite",
}
SECONDS = "seconds_"


def describe(column: str, versions: Mapping[str, int]) -> dict[str, str]:
    """Return what a column says: `definition`, and `unit`, `better`, `version`, `initialisation` where known.

    Args:
        column: its name.
        versions: of the definitions of the proxies, where they are not 1.

    Returns:
        `better` is `larger` or `smaller`, the direction in which networks are expected to improve; `unit` is
        `1` for a number without a unit. Of a proxy that there is no more, its version alone.
    """
    if column in DEFINITIONS:
        return {"definition": DEFINITIONS[column]}
    if column.startswith(SECONDS):
        return {"definition": _time(column.removeprefix(SECONDS)), "unit": "s"}
    version = versions.get(column, 1)
    try:
        proxy = proxy_of_version(column, version)
    except InputError:
        return {"version": str(version)}
    return {
        "definition": proxy.summary,
        "unit": proxy.unit,
        "better": "larger" if proxy.larger_is_better else "smaller",
        "version": str(version),
        "initialisation": proxy.init,
    }


def _time(name: str) -> str:
    if name == "none":
        return "wall-clock time of the proxies that need no weights"
    if name in (*INITIALISATIONS, "keep"):
        return (
            f"wall-clock time of all proxies of the initialisation {name!r} together: drawing the weights, "
            "the passes that they share, their own arithmetic"
        )
    return f"wall-clock time of the step {name!r}, which the proxies share that need it"

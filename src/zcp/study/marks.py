"""Numbers in pages of prose that code writes: what stands between `<!-- from NAME -->` and `<!-- end -->`.

`python -m zcp.study.marks` writes them anew, as after a new deposit; a test tells where they are out of date.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from zcp.errors import choose
from zcp.golden import PROXY
from zcp.paths import BOOK, GOLDEN, MODELS, NOTEBOOKS, PROJECT
from zcp.proxies.registry import list_proxies
from zcp.study.greenfactory import release, shipped

MARK = re.compile(r"(<!-- from (\w+) -->).*?(<!-- end -->)", re.DOTALL)
PAGES = (PROJECT / "README.md", *sorted(BOOK.glob("*.md")))


def count_golden(path: Path = GOLDEN / "golden.json") -> str:
    """Return how many of the registered proxies have a value that their authors' code gave."""
    values = json.loads(path.read_text(encoding="utf-8"))["values"]
    given = {PROXY.get(key, key) for entries in values.values() for key in entries}
    proxies = list_proxies()
    return f"{len(given.intersection(proxies))} of {len(proxies)}"


def count_sections() -> str:
    """Return how many sections the study has."""
    return str(len(list(NOTEBOOKS.glob("*.ipynb"))))


def tell_shipped(folder: Path = MODELS) -> str:
    """Return what each model is worth that ships, and why another does not, a line each."""
    lines = [
        f"* Target `{target}`: {shipped.tell(name, shipped.find(name, target, folder))}"
        for target in release.SHIPPED
        for name in shipped.NAMES
    ]
    return "\n" + "\n".join(lines) + "\n"


#: What may be asked for.
PARTS: dict[str, Callable[[], str]] = {
    "golden": count_golden,
    "sections": count_sections,
    "shipped": tell_shipped,
}


def fill(text: str) -> str:
    """Return the text with every marked part written anew.

    Raises:
        InputError: if a mark names no part, or what it is written from is missing.
    """
    return MARK.sub(lambda mark: f"{mark[1]}{choose(PARTS, mark[2], 'part')()}{mark[3]}", text)


def main() -> None:
    """Write the marked parts of all pages, and print which pages changed."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (new := fill(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(page)


if __name__ == "__main__":
    main()

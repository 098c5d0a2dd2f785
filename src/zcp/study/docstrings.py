"""A Sphinx extension: docstrings may hold `$formula$` and bars such as |x|, as the pages of prose do."""

import re
from typing import Any

FORMULA = re.compile(r"(?<![\\$])\$(?!\s)([^$]+?)(?<!\s)\$")
VERBATIM = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx, which calls this."""
    app.connect("autodoc-process-docstring", _convert)
    return {"parallel_read_safe": True}


def _convert(app: Any, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    lines[:] = convert("\n".join(lines)).split("\n")


def convert(text: str) -> str:
    """Return `text` as reStructuredText: formulas in the `math` role, bars outside code escaped."""
    text = FORMULA.sub(lambda match: f":math:`{' '.join(match[1].split())}`", text)
    parts = VERBATIM.split(text)
    parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
    return "".join(parts)

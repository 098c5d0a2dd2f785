"""The formulas that this package brings along, as they were printed."""

import re
from importlib.resources import files

#: A line such as `GreenMachine-H (GreenMachine-3):` begins a formula.
_HEAD = re.compile(r"^(\S+)(?: \(.*\))?:$", re.MULTILINE)


def read_formulas(name: str) -> dict[str, str]:
    """Return the formulas of the file `name`.txt beside this module, by label, in order.

    Args:
        name: `greenmachine` (Figure 5 of GreenFactory's supplement) or `eznas` (the programs that EZNAS's
            repository holds).
    """
    text = files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    _, *parts = _HEAD.split(re.sub(r"(?m)^#.*\n", "", text))
    return {label: body.strip() for label, body in zip(parts[::2], parts[1::2], strict=True)}

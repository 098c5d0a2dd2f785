"""The parameters of a section: declared in the notebook's `parameters` cell, checked before anything runs.

A line declares one: `scheme: str = "random"  # split of the rows; paper only; one of: random, grouped`. After
the help, a comment may say

* `one of: a, b`: the choices; of each item, where the parameter is a list;
* `at least 0` or `above 0`: the least number;
* `paper only` or `quick only`: the profile that reads it; given in the other one, it stops the run.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zcp.errors import InputError

PROFILES = ("quick", "paper")


@dataclass(frozen=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: of the variable.
        kind: its annotation: int, float, str, bool, or a list of one of them.
        default: its value in the notebook.
        help: what it means.
        choices: the values that it may have; empty where all.
        least: the least number, and whether that one is allowed; None where any.
        profile: the only profile that reads it; None where all do.
    """

    name: str
    kind: str
    default: object
    help: str
    choices: tuple[str, ...] = ()
    least: tuple[float, bool] | None = None
    profile: str | None = None


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """Return the declared parameters of a notebook by name.

    Raises:
        InputError: if the notebook has no kernelspec, or its parameters cell is not one declaration a line.
    """
    import nbformat

    contents = nbformat.read(notebook, as_version=4)
    if "name" not in contents.metadata.get("kernelspec", {}):
        raise InputError(
            f"{notebook} names no kernel (kernelspec); save it in Jupyter with a Python 3 kernel"
        )
    cells = [c.source for c in contents.cells if "parameters" in c.metadata.get("tags", [])]
    lines = [line for line in "\n".join(cells[:1]).splitlines() if line.strip()]
    try:
        return {found.name: found for found in map(declared, lines)}
    except (SyntaxError, ValueError) as error:
        raise InputError(f"the parameters cell of {notebook.name} cannot be read: {error}") from None


def declared(line: str) -> Parameter:
    """Return the parameter that one line declares.

    Raises:
        SyntaxError, ValueError: if it is no declaration.
    """
    (statement,) = ast.parse(line).body
    if not isinstance(statement, ast.AnnAssign) or statement.value is None:
        raise ValueError(f"{line!r} is not `name: type = value  # help`")
    comment = line.partition("  # ")[2]
    limits: dict[str, Any] = {}
    words = []
    for part in comment.split("; "):
        if found := re.fullmatch(r"one of: (.+)", part):
            limits["choices"] = tuple(found[1].split(", "))
        elif found := re.fullmatch(r"(at least|above) (\S+)", part):
            limits["least"] = (float(found[2]), found[1] == "at least")
        elif found := re.fullmatch(r"(quick|paper) only", part):
            limits["profile"] = found[1]
        else:
            words.append(part)
    kind, default = ast.unparse(statement.annotation), ast.literal_eval(statement.value)
    return Parameter(ast.unparse(statement.target), kind, default, "; ".join(words), **limits)


def check_parameters(notebook: Path, given: Mapping[str, object]) -> dict[str, object]:
    """Return `given` with every value in the type that the notebook declares for it.

    Args:
        notebook: the notebook's file.
        given: name -> value, or the value's text as on a command line; a list's text is comma-separated.

    Raises:
        InputError: if a name is unknown to the notebook, a value is not of the declared type or not among the
            declared values, or the profile does not read the parameter.
    """
    known = read_parameters(notebook)
    checked: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            names = ", ".join(f"{p.name} ({p.kind})" for p in known.values()) or "none"
            raise InputError(f"{notebook.name} has no parameter {name!r}; its parameters: {names}")
        checked[name] = _allowed(known[name], value, notebook.name)
    if "profile" in known:
        profile = checked.get("profile", known["profile"].default)
        for name in checked:
            _require_read(known[name], profile, notebook.name)
    return checked


def check_values(notebook: Path, values: Mapping[str, object]) -> None:
    """Check the values that a notebook's parameters have once it runs.

    What was given is what papermill injected, in a cell of its own; in Jupyter, what differs from its
    default.

    Args:
        notebook: the notebook's file.
        values: its variables; IPython keeps the cells that ran among them, as `In`.

    Raises:
        InputError: as `check_parameters`.
    """
    known = read_parameters(notebook)
    given = {n: values[n] for n, p in known.items() if n in values and values[n] != p.default}
    check_parameters(notebook, given | {n: values[n] for n in _injected(values) if n in values})


def _injected(values: Mapping[str, object]) -> list[str]:
    """Return the names that papermill gave a value, known to the notebook or not."""
    history = values.get("In")
    cells = [str(cell) for cell in history] if isinstance(history, list) else []
    trees = [ast.parse(cell) for cell in cells if cell.startswith("# Parameters\n")]
    return [ast.unparse(s.targets[0]) for tree in trees for s in tree.body if isinstance(s, ast.Assign)]


def _allowed(parameter: Parameter, value: object, where: str) -> object:
    try:
        converted = _convert(value, parameter.kind)
    except (LookupError, ValueError):
        message = f"parameter {parameter.name!r} of {where} is declared as {parameter.kind}; {value!r} is not"
        raise InputError(message) from None
    for item in converted if isinstance(converted, list) else [converted]:
        if parameter.choices and str(item) not in parameter.choices:
            choices = ", ".join(parameter.choices)
            raise InputError(f"parameter {parameter.name!r} of {where} is one of {choices}; not {item!r}")
        if parameter.least is not None:
            least, included = parameter.least
            if not (item > least or (included and item == least)):
                words = f"{'at least' if included else 'above'} {least:g}"
                raise InputError(f"parameter {parameter.name!r} of {where} is {words}; not {item!r}")
    return converted


def _require_read(parameter: Parameter, profile: object, where: str) -> None:
    if parameter.profile not in (None, profile):
        raise InputError(
            f"parameter {parameter.name!r} of {where} is read by the profile {parameter.profile} only, and "
            f"this run's is {profile}; add -p profile {parameter.profile}, or leave {parameter.name} out"
        )


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


_PARSERS: dict[str, Callable[[str], object]] = {"int": int, "float": float, "str": str, "bool": _bool}


def _convert(value: object, annotation: str) -> Any:
    """Return `value` as the annotated type; raise LookupError or ValueError where it is not of that type."""
    if annotation.startswith("list["):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError
        return [_convert(item, annotation[5:-1]) for item in items if item != ""]
    parse = _PARSERS[annotation]
    if isinstance(value, str):
        return parse(value)
    if type(value).__name__ == annotation:
        return value
    if annotation == "float" and type(value) is int:
        return float(value)
    raise ValueError

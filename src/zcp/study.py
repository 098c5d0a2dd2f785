"""The study: its sections in order, and the runner that executes them as notebooks.

* The order is written once, as the entries of `book/_toc.yml` that lie in `notebooks/`.
* A section is a notebook without outputs; its executed copy becomes the page of the same name in the book.
* Parameters are checked against the notebook's own `parameters` cell before a kernel starts, because
  papermill accepts an unknown name and checks no type.
* The last cell of each notebook is `from zcp.study import provenance; provenance()`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from zcp.errors import InputError
from zcp.paths import PROJECT
from zcp.provenance import provenance

__all__ = [
    "StudyError",
    "check_parameters",
    "find_section",
    "provenance",
    "run_section",
    "run_study",
    "sections",
]

BOOK = PROJECT / "book"
NOTEBOOKS = PROJECT / "notebooks"
PROFILES = ("quick", "paper")


class StudyError(RuntimeError):
    """A section or the book failed; the message shows the cell and its error, or where to look."""


def sections(toc: Path = BOOK / "_toc.yml") -> list[str]:
    """Return the names of the sections (`01_data_collection`, ...) in the order of the book."""
    import yaml

    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    return [Path(file).name for file in _files(contents) if file.startswith("notebooks/")]


def _files(entry: object) -> Iterator[str]:
    if isinstance(entry, list):
        for item in entry:
            yield from _files(item)
    elif isinstance(entry, dict):
        if "file" in entry:
            yield entry["file"]
        for key in ("parts", "chapters", "sections"):
            yield from _files(entry.get(key))


def find_section(name: str) -> str:
    """Return the full name of a section given by its number (`2`, `02`) or name.

    Raises:
        InputError: if the study has no such section.
    """
    for section in sections():
        if name == section or name.zfill(2) == section.split("_")[0]:
            return section
    raise InputError(f"the study has no section {name!r}; it has {', '.join(sections())}")


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


_PARSERS: dict[str, Callable[[str], object]] = {"int": int, "float": float, "str": str, "bool": _bool}


def _convert(value: object, annotation: str) -> object:
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


def check_parameters(notebook: Path, given: Mapping[str, object]) -> dict[str, object]:
    """Return `given` with every value in the type that the notebook's `parameters` cell declares for it.

    Args:
        notebook: the notebook's file.
        given: name -> value, or the value's text as on a command line; a list's text is comma-separated.

    Raises:
        InputError: if a name is unknown to the notebook, or a value is not of the declared type.
    """
    import papermill

    declared = {p["name"]: p["inferred_type_name"] for p in papermill.inspect_notebook(notebook).values()}
    checked: dict[str, object] = {}
    for name, value in given.items():
        if name not in declared:
            known = ", ".join(f"{name} ({kind})" for name, kind in declared.items()) or "none"
            raise InputError(f"{notebook.name} has no parameter {name!r}; its parameters: {known}")
        try:
            checked[name] = _convert(value, declared[name])
        except (LookupError, ValueError):
            message = (
                f"parameter {name!r} of {notebook.name} is declared as {declared[name]}; {value!r} is not"
            )
            raise InputError(message) from None
    return checked


def run_section(
    name: str, parameters: Mapping[str, object] | None = None, output: Path | None = None
) -> Path:
    """Execute one section with papermill and return the executed copy.

    Args:
        name: number or name of the section.
        parameters: values that replace the notebook's defaults.
        output: where the executed copy goes; its page in the book where None.

    Raises:
        InputError: if the section or a parameter is unknown, or a value has the wrong type; no kernel starts.
        StudyError: if a cell raises; the copy then ends at that cell, other sections' copies stay.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    notebook = NOTEBOOKS / f"{find_section(name)}.ipynb"
    checked = check_parameters(notebook, parameters or {})
    target = output or BOOK / "notebooks" / notebook.name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            notebook,
            target,
            checked,
            kernel_name="python3",
            cwd=PROJECT,
            progress_bar={"desc": notebook.stem},
        )
    except PapermillExecutionError as error:
        raise StudyError(f"{error}\n{notebook.stem} failed; it is kept up to that cell in {target}") from None
    _fold_injected_parameters(target)
    return target


def _fold_injected_parameters(notebook: Path) -> None:
    """Fold the cell that papermill adds, as the notebook's own code is folded."""
    import nbformat

    contents = nbformat.read(notebook, as_version=4)
    for cell in contents.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-input")
    nbformat.write(contents, notebook)


def run_study(profile: str = "quick") -> None:
    """Execute all sections in order, with progress; stop at the first that fails.

    Args:
        profile: `quick` checks a slice of each section against the deposited results; `paper` recomputes all.
    """
    import papermill

    if profile not in PROFILES:
        raise InputError(f"unknown profile {profile!r}; choose one of {', '.join(PROFILES)}")
    names = sections()
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name} (profile {profile})", flush=True)
        started = time.monotonic()
        tiered = "profile" in papermill.inspect_notebook(NOTEBOOKS / f"{name}.ipynb")
        run_section(name, {"profile": profile} if tiered else {})
        print(f"[{number}/{len(names)}] {name} done in {time.monotonic() - started:.0f} s", flush=True)

"""The book: renders the prose and the executed sections into `book/_build/html`."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from zcp.errors import InputError
from zcp.generated import write_parts
from zcp.paths import PROJECT
from zcp.study import BOOK, StudyError, sections

CONFIG = PROJECT / "_config.yml"


def build(book: Path = BOOK, config: Path = CONFIG) -> Path:
    """Build the book from nothing, warnings as errors, and return its first page.

    Old pages and doctrees are deleted first, so that a page that fails stays failed.

    Args:
        book: folder with `_toc.yml`, the prose and, in `notebooks/`, the executed sections.
        config: the configuration of Jupyter Book.

    Raises:
        InputError: if a section was not executed, or its execution failed.
        StudyError: if the build gives an error or a warning.
    """
    runs = {name: read_run(book / "notebooks" / f"{name}.ipynb") for name in sections(book / "_toc.yml")}
    shutil.rmtree(book / "_build", ignore_errors=True)
    write_parts(book / "generated", runs)
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [
        program,
        "build",
        str(book),
        "--path-output",
        str(book),
        "--config",
        str(config),
        "-W",
        "-n",
        "--keep-going",
    ]
    page = book / "_build" / "html" / "index.html"
    if subprocess.run(command, check=False).returncode or not page.exists():
        raise StudyError(f"the book in {book} was not built without warnings; see the messages above")
    return page


def read_run(copy: Path) -> dict[str, Any]:
    """Return what papermill noted in an executed copy: `parameters`, `start_time`, `duration` in seconds, ...

    Raises:
        InputError: if the section was not executed, or its execution failed.
    """
    import nbformat

    if not copy.exists():
        raise InputError(f"section {copy.stem} was not executed; run `zcp run {copy.stem}` or `zcp study`")
    run: dict[str, Any] = nbformat.reads(copy.read_text(encoding="utf-8"), as_version=4).metadata["papermill"]
    if run["exception"] or not run["end_time"]:
        raise InputError(f"section {copy.stem} did not run to its end; run `zcp run {copy.stem}` again")
    return run

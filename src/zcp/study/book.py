"""The book: renders the prose and the executed sections into `book/_build/html`."""

import shutil
import subprocess
import sys
from pathlib import Path

from zcp.paths import BOOK, PROJECT
from zcp.study.generated import write_parts
from zcp.study.outcomes import Outcome, read_outcome
from zcp.study.runner import StudyError, sections

CONFIG = PROJECT / "_config.yml"


def build(book: Path = BOOK, config: Path = CONFIG) -> tuple[Path, list[Outcome]]:
    """Build the book from nothing; return its first page and what became of each section.

    Old pages and doctrees are deleted first, so that a page that fails stays failed. Warnings are errors,
    except where a section crashed: other pages may refer to what its page lacks.

    Args:
        book: folder with `_toc.yml`, the prose and, in `notebooks/`, the executed sections.
        config: the configuration of Jupyter Book.

    Raises:
        InputError: if a section was not executed, or its execution was broken off.
        StudyError: if the build gives an error, or a warning that no crash explains.
    """
    outcomes = [read_outcome(book / "notebooks" / f"{name}.ipynb") for name in sections(book / "_toc.yml")]
    shutil.rmtree(book / "_build", ignore_errors=True)
    write_parts(book / "generated", outcomes)
    strict = [] if any(outcome.crash for outcome in outcomes) else ["-W", "-n", "--keep-going"]
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [
        program,
        "build",
        str(book),
        "--path-output",
        str(book),
        "--config",
        str(config),
        *strict,
    ]
    page = book / "_build" / "html" / "index.html"
    if subprocess.run(command, check=False).returncode or not page.exists():
        raise StudyError(f"the book in {book} was not built without warnings; see the messages above")
    return page, outcomes

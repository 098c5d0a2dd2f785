"""The study: its sections in order, and the runner that executes them as notebooks.

* The order is written once, as the entries of `book/_toc.yml` that lie in `notebooks/`.
* A section is a notebook without outputs; its executed copy becomes the page of the same name in the book.
* Parameters are checked against the notebook's own `parameters` cell before a kernel starts
  (`zcp.study.parameters`), because papermill accepts an unknown name and checks no type.
* No section costs the reader another one: a disagreement and a crash are told, and the study goes on.
* The last cell of each notebook is `from zcp.study.runner import provenance; provenance()`.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zcp.errors import InputError, StudyError
from zcp.paths import BOOK, NOTEBOOKS, PROJECT, data_folder
from zcp.study.crashes import keep_page
from zcp.study.outcomes import Outcome, read_outcome, summarise
from zcp.study.parameters import PROFILES, Parameter, check_parameters, read_parameters
from zcp.study.provenance import provenance

__all__ = [
    "StudyError",
    "find_section",
    "provenance",
    "require_agreement",
    "run_section",
    "run_study",
    "sections",
]


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
        InputError: if the study has no such section, or the table of contents lacks it.
    """
    names = sections()
    for section in [*names, *sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]:
        if name == section or name.zfill(2) == section.split("_")[0]:
            if section not in names:
                raise InputError(_not_listed(section))
            return section
    raise InputError(f"the study has no section {name!r}; it has {', '.join(names)}")


def run_section(
    name: str, parameters: Mapping[str, object] | None = None, output: Path | None = None
) -> Path:
    """Execute one section with papermill and return the executed copy.

    A disagreement is shown on the page (`zcp.study.pages.check`); one that crashes keeps a page that tells.
    What became of the section is read with `zcp.study.outcomes.read_outcome`.

    Args:
        name: number or name of the section.
        parameters: values that replace the notebook's defaults.
        output: where the executed copy goes; its page in the book where None.

    Raises:
        InputError: if the section or a parameter is unknown, or a value is not allowed; no kernel starts.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    notebook = NOTEBOOKS / f"{find_section(name)}.ipynb"
    checked = check_parameters(notebook, parameters or {})
    target = output or BOOK / "notebooks" / notebook.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        _execute(notebook, target, checked)
    except PapermillExecutionError as error:
        keep_page(target, notebook, f"{error.ename}: {error.evalue}")
    except DeadKernelError as error:
        keep_page(target, notebook, f"its process ended ({error}), perhaps for want of memory")
    _fold_injected_parameters(target)
    return target


def _execute(notebook: Path, target: Path, parameters: dict[str, object]) -> None:
    """Run a notebook in a process whose libraries take one thread, and which no other machine can reach.

    On busy cores two threads that wait for one another take ten times as long as one. The kernel is spoken to
    through files, as the default, an unencrypted socket, is open to all users and warns of it.
    """
    import papermill
    from jupyter_client.manager import AsyncKernelManager
    from traitlets.config import Config

    from zcp.collect.workers import one_thread

    class Manager(AsyncKernelManager):
        async def _async_interrupt_kernel(self) -> None:
            """Leave out the interrupt that goes before every shutdown.

            It may reach a kernel that is just closing its last message, which then reports an error.
            """

    with tempfile.TemporaryDirectory(prefix="zcp-") as folder, one_thread():
        connection = {"transport": "ipc", "ip": f"{folder}/kernel"}
        papermill.execute_notebook(
            notebook,
            target,
            parameters,
            kernel_name="python3",
            cwd=PROJECT,
            progress_bar={"desc": notebook.stem},
            config=Config(NotebookClient={"kernel_manager_class": Manager}, KernelManager=connection),
        )


def _fold_injected_parameters(notebook: Path) -> None:
    """Fold the cell that papermill adds, as the notebook's own code is folded."""
    import nbformat

    contents = nbformat.read(notebook, as_version=4)
    for cell in contents.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-input")
    nbformat.write(contents, notebook)


def run_study(profile: str = "quick") -> list[Outcome]:
    """Execute all sections in order, with progress, and return what became of each.

    Neither a disagreement nor a crash stops the study: both are told at once, on the pages, and at the end.

    Args:
        profile: `quick` checks a slice of each section against the deposited results; `paper` recomputes all.

    Raises:
        InputError: if the profile is unknown, `ZCP_DATA` names no folder, or a section cannot be run.
    """
    if profile not in PROFILES:
        raise InputError(f"unknown profile {profile!r}; choose one of {', '.join(PROFILES)}")
    data_folder()
    names = _require_sections()
    given = {n: {"profile": profile} if "profile" in declared else {} for n, declared in names.items()}
    outcomes = []
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name} (profile {profile})", flush=True)
        started = time.monotonic()
        outcomes.append(read_outcome(run_section(name, given[name])))
        for fault in outcomes[-1].faults:
            print(f"[{number}/{len(names)}] {name}: {fault}", flush=True)
        print(f"[{number}/{len(names)}] {name} done in {time.monotonic() - started:.0f} s", flush=True)
    return outcomes


def _require_sections() -> dict[str, dict[str, Parameter]]:
    """Return the parameters of every section, in order.

    Raises:
        InputError: if a notebook is not in the table of contents, or cannot be run.
    """
    names = sections()
    for notebook in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        if notebook.stem not in names:
            raise InputError(_not_listed(notebook.stem))
    return {name: read_parameters(NOTEBOOKS / f"{name}.ipynb") for name in names}


def _not_listed(section: str) -> str:
    return f"notebooks/{section}.ipynb is not in book/_toc.yml; add the line `- file: notebooks/{section}`"


def require_agreement(outcomes: Iterable[Outcome]) -> None:
    """End with what disagrees or crashed, where anything did.

    Raises:
        StudyError: if a section disagrees with the deposit or crashed; the message has a line for each.
    """
    if summary := summarise(outcomes):
        raise StudyError(f"not everything came out again; the pages show the values\n{summary}")

"""The page of a section that crashed: title, question, what was computed until then, and the error.

Prose that refers to values that were never computed is left out, so that the book can be built.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from zcp.study.outcomes import glued_name, in_prose

_GLUED = re.compile(r"\{glue:\w+\}[`\s]+([\w-]+)")


def keep_page(copy: Path, notebook: Path, error: str) -> None:
    """Turn the executed copy of a section that crashed into a page.

    Args:
        copy: what papermill has written; where there is nothing, the notebook takes its place.
        notebook: the section.
        error: what happened, in one line.
    """
    import nbformat

    page = nbformat.read(copy if copy.exists() else notebook, as_version=4)
    cells = [c for c in page.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    names = {glued_name(o) for c in cells if c.cell_type == "code" for o in c.outputs}
    title, *others = cells
    title.source = "\n\n".join(p for p in title.source.split("\n\n") if _computed(p, names))
    for cell in others:
        if any(o.output_type == "error" for o in cell.get("outputs", [])):
            cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-output"]
    kept = [c for c in others if c.cell_type == "code" or _computed(c.source, names)]
    page.cells = [title, nbformat.v4.new_markdown_cell(_box(error)), *kept]
    _note_end(page.metadata)
    nbformat.write(page, copy)


def _computed(text: str, names: set[str]) -> bool:
    return names.issuperset(_GLUED.findall(text))


def _box(error: str) -> str:
    return (
        ":::{admonition} This section was stopped by an error\n:class: danger\n\n"
        f"{in_prose(error)}\n\nWhat needs a value that was not computed is left out. The cell that raised "
        "the error shows its traceback, folded.\n:::"
    )


def _note_end(metadata: Any) -> None:
    """Say that the run crashed also where papermill's own process could not."""
    now = datetime.now().astimezone().isoformat()
    run = metadata.setdefault("papermill", {})
    for key, value in {"parameters": {}, "start_time": now, "end_time": now, "duration": 0.0}.items():
        run[key] = run.get(key) or value
    run["exception"] = True

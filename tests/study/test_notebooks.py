import ast
import re
from collections import Counter

import nbformat
import pytest

from zcp.paths import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
CHECKS = ("check", "require_same_scores", "rescore", "retrain", "agree")
cases = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_five_sections_at_least():
    assert [path.name[:3] for path in NOTEBOOKS][:5] == ["01_", "02_", "03_", "04_", "05_"]


@cases
def test_is_valid_and_holds_no_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None


@cases
def test_opens_with_question_and_answer(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert "**Question.**" in first.source and "**Answer.**" in first.source


@cases
def test_second_cell_declares_typed_parameters(path):
    second = read(path).cells[1]
    assert "parameters" in second.metadata.tags
    names = []
    for line in second.source.splitlines():
        (statement,) = ast.parse(line).body
        assert isinstance(statement, ast.AnnAssign) and statement.value is not None, line
        assert type(ast.literal_eval(statement.value)).__name__ == ast.unparse(statement.annotation), line
        assert len(line.split("  # ")) == 2, f"no trailing comment: {line}"
        names.append(statement.target.id)
    assert len(set(names)) == len(names)
    if "profile" in names:
        assert names[0] == "profile"


def test_no_label_stands_twice():
    # The book is built with warnings as errors, after everything has run; this says it at once.
    sources = [source for path in NOTEBOOKS for source in (cell.source for cell in read(path).cells)]
    labels = Counter(re.findall(r"^:name: (\S+)$|^\((\S+)\)=$", "\n".join(sources), re.M))
    assert not [label for label, count in labels.items() if count > 1]


@cases
def test_first_code_checks_the_parameters(path):
    first = next(cell for cell in read(path).cells[2:] if cell.cell_type == "code")
    assert f'pages.check_parameters("{path.stem}", globals())' in first.source


@cases
def test_every_check_is_one_that_the_page_survives(path):
    for source in code_of(read(path)):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called == "pages.check" or called.split(".")[-1] not in CHECKS, ast.unparse(node)


@cases
def test_work_is_in_the_library(path):
    for source in code_of(read(path)):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, ast.ClassDef)
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 5, node.name


@cases
def test_every_code_cell_is_folded_and_short(path):
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert "hide-input" in cell.metadata.tags
            assert len(cell.source.splitlines()) <= 16, cell.source


@cases
def test_last_cell_is_the_provenance(path):
    assert read(path).cells[-1].source.rstrip().endswith("provenance()")

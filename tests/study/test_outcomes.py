import json

import nbformat
import pandas as pd
import pytest

from zcp.errors import InputError
from zcp.study import pages
from zcp.study.agreement import UNMEASURED
from zcp.study.outcomes import Outcome, glued_name, in_prose, list_faults, read_outcome
from zcp.study.results import DisagreementError, compare_all

TABLE = pd.DataFrame({"proxy": list("abc"), "live": [1.0, 2.0, 3.0], "deposited": [1.0, 2.5, 3.0]})
TABLE = TABLE.assign(difference=TABLE["live"] - TABLE["deposited"], agrees=[True, False, True])


@pytest.fixture
def shown(monkeypatch):
    """What a page displays: (object, metadata), in order."""
    found = []
    monkeypatch.setattr(pages, "display", lambda what, raw=0, metadata=None: found.append((what, metadata)))
    return found


@pytest.fixture
def glued(monkeypatch):
    found = {}
    monkeypatch.setattr(pages, "show_text", found.__setitem__)
    return found


def agrees(table):
    return table


def disagrees(table):
    raise DisagreementError("b is 2 live but 2.5 in the deposit (<tolerance> 0)", table)


def test_check_that_agrees_leaves_a_record_and_no_box(shown, glued):
    assert pages.check(agrees, TABLE) is TABLE
    ((record, metadata),) = shown
    assert json.loads(record[pages.TEXT]) == {"check": f"{__name__}.agrees", "values": 3, "message": ""}
    assert glued_name({"metadata": metadata}).startswith(pages.RECORD)
    pages.show_agreement("slice", TABLE.assign(agrees=True, quantity="tau"))
    assert glued["slice"] == "3 values agree; the largest difference is 5.0e-01 in `tau`."


def test_check_that_disagrees_shows_a_box_and_the_page_goes_on(shown, glued):
    found = pages.check(disagrees, TABLE)
    assert found == [TABLE]
    (box, _), (record, _) = shown
    text = box._repr_html_()
    assert 'class="admonition danger"' in text and "&lt;tolerance&gt;" in text
    assert "<td>b</td>" in text and "<td>a</td>" not in text and "2.5" in text
    assert "2.5 in the deposit" in json.loads(record[pages.TEXT])["message"]
    pages.show_agreement("slice", found)
    assert glued["slice"] == "**1 of 3 values do not agree**, see the box above."


def test_a_page_says_of_which_values_no_spread_was_measured(glued):
    pages.show_agreement("slice", TABLE.assign(agrees=True, basis=["exact", UNMEASURED, UNMEASURED]))
    assert glued["slice"] == (
        "3 values agree. No spread was measured of 2, which agree to the last decimal of the deposit."
    )


def test_a_page_that_compared_nothing_does_not_say_that_it_agrees(glued):
    pages.show_agreement("slice", TABLE.drop(columns="agrees"))
    assert glued["slice"] == "Nothing is compared."


def test_disagreement_without_a_table_is_told_as_well(shown, glued):
    pages.show_agreement("slice", pages.check(disagrees, None), TABLE[:1])
    assert glued["slice"].startswith("**Some values do not agree**") and "b is 2" in shown[0][0]._repr_html_()


def test_every_table_that_disagrees_is_shown_and_recorded(shown, glued):
    found = pages.check(compare_all, lambda: disagrees(TABLE), lambda: TABLE, lambda: disagrees(TABLE[1:]))
    (first, _), (_, _), (second, _), (record, _) = shown
    assert all("<td>b</td>" in box._repr_html_() for box in (first, second))
    assert json.loads(record[pages.TEXT])["values"] == 2
    pages.show_agreement("slice", found)
    assert glued["slice"].startswith("**2 of 5 values do not agree**")


def test_other_errors_pass(shown):
    with pytest.raises(ZeroDivisionError):
        pages.check(lambda: 1 / 0)


@pytest.fixture
def copy(tmp_path):
    def write(run, *outputs):
        cell = nbformat.v4.new_code_cell("x", outputs=list(outputs))
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": run}), path)
        return path

    path = tmp_path / "02_y.ipynb"
    return write


def test_outcome_is_read_from_the_executed_copy(copy):
    record = {"check": "a.check", "values": 3, "message": "x is 1 live"}
    output = nbformat.v4.new_output(
        "display_data", {pages.TEXT: json.dumps(record)}, metadata={"scrapbook": {"name": "zcp_check_1"}}
    )
    error = nbformat.v4.new_output(
        "error", ename="ValueError", evalue="\x1b[31mtwo\nlines\x1b[0m", traceback=[]
    )
    run = {"exception": True, "end_time": "then"}
    found = read_outcome(copy(run, output, error))
    assert found.checks == [record] and found.crash == "ValueError: two lines"
    assert found.faults == ["a.check: x is 1 live", "stopped by an error: ValueError: two lines"]
    assert read_outcome(copy(run | {"exception": None}, output)).crash == ""
    assert "process" in read_outcome(copy(run)).crash


def test_section_that_was_not_executed_or_broken_off_is_named(copy, tmp_path):
    with pytest.raises(InputError, match=r"02_y was not executed.*zcp run 02_y"):
        read_outcome(tmp_path / "02_y.ipynb")
    with pytest.raises(InputError, match="02_y did not run to its end"):
        read_outcome(copy({"exception": None, "end_time": None}))


def test_first_page_lists_what_disagrees_or_says_that_nothing_does():
    fine = Outcome("01_a", {}, [{"check": "c", "values": 1200, "message": ""}])
    (line,) = list_faults([fine, Outcome("03_c", {}, [])])
    assert line == "Every live slice agreed with the deposited results: 1,200 values in 1 sections."
    wrong = Outcome("02_b", {}, [{"check": "a_b", "values": 1, "message": "*x* is `1`"}], "E: <y>")
    told = "\n".join(list_faults([fine, wrong]))
    assert told.startswith(":::{admonition}") and "01_a" not in told and "[](notebooks/02_b)" in told
    assert r"a\_b: \*x\* is \`1\`" in told and r"E: \<y\>" in told
    assert in_prose("a\nb") == "a b"

import nbformat
import papermill
import pytest

from zcp import versions
from zcp.errors import InputError
from zcp.study import provenance as origin
from zcp.study import runner as study
from zcp.study.outcomes import read_outcome, summarise
from zcp.study.provenance import provenance
from zcp.study.runner import (
    NOTEBOOKS,
    StudyError,
    find_section,
    require_agreement,
    run_section,
    run_study,
    sections,
)


def write(path, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    if cells:
        notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def small_study(tmp_path, monkeypatch):
    """A study of three sections, of which the second fails where `profile` is paper."""
    toc = "format: jb-book\nroot: index\nparts:\n- chapters:\n"
    toc += "".join(
        f"  - file: {name}\n" for name in ("notebooks/01_a", "notebooks/02_b", "notebooks/03_c", "end")
    )
    monkeypatch.setattr(study, "BOOK", tmp_path / "book")
    monkeypatch.setattr(study, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(study, "sections", lambda: sections(tmp_path / "book" / "_toc.yml"))
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "_toc.yml").write_text(toc)
    write(tmp_path / "notebooks" / "01_a.ipynb", 'profile: str = "quick"  # tier', "print(profile)")
    fails = 'if profile == "paper":\n    raise ValueError("the slice disagrees")'
    write(tmp_path / "notebooks" / "02_b.ipynb", 'profile: str = "quick"  # tier', fails)
    write(tmp_path / "notebooks" / "03_c.ipynb", "seeds: int = 1  # no tiers here", "print(seeds)")
    return tmp_path / "book" / "notebooks"


def test_sections_are_found_by_number_and_name():
    first = sections()[0]
    assert find_section("1") == find_section("01") == find_section(first) == first
    with pytest.raises(InputError, match="no section '99'; it has 01_"):
        find_section("99")


def test_section_without_a_kernel_or_outside_the_contents_is_one_line(small_study, tmp_path):
    extra = write(tmp_path / "notebooks" / "04_d.ipynb", "x: int = 0  # nothing")
    for call in (lambda: run_section("04"), run_study):
        with pytest.raises(InputError, match=r"04_d.ipynb is not in book/_toc.yml; add the line") as found:
            call()
        assert "\n" not in str(found.value)
    extra.unlink()
    path = tmp_path / "notebooks" / "03_c.ipynb"
    notebook = nbformat.read(path, 4)
    del notebook.metadata["kernelspec"]
    nbformat.write(notebook, path)
    for call in (lambda: run_section("03"), run_study):
        with pytest.raises(InputError, match="names no kernel"):
            call()


def test_book_and_notebooks_agree():
    assert sections() == sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("parameters", [{"seed": "3"}, {"seeds": "many"}])
def test_no_kernel_starts_for_a_bad_parameter(small_study, parameters, monkeypatch):
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda *args, **kwargs: pytest.fail("a kernel started")
    )
    with pytest.raises(InputError):
        run_section("03", parameters)


def test_run_section_passes_parameters_and_writes_the_copy(small_study, tmp_path):
    copy = run_section("3", {"seeds": "7"}, tmp_path / "elsewhere" / "out.ipynb")
    assert copy == tmp_path / "elsewhere" / "out.ipynb"
    assert "7\n" in copy.read_text()[:100_000].replace("\\n", "\n")
    assert not (small_study / "03_c.ipynb").exists()


def test_crash_is_told_and_costs_no_other_section_its_page(small_study, capsys):
    outcomes = run_study("paper")
    printed = capsys.readouterr().out
    assert "[2/3] 02_b: stopped by an error: ValueError: the slice disagrees" in printed
    assert [bool(outcome.crash) for outcome in outcomes] == [False, True, False]
    assert "[3/3] 03_c done" in printed
    assert '"paper\\n"' in (small_study / "01_a.ipynb").read_text()
    with pytest.raises(StudyError, match=r"(?s)came out again.*\n02_b: stopped by an error: ValueError"):
        require_agreement(outcomes)


def test_page_of_a_crashed_section_keeps_what_was_computed_and_tells_the_error(small_study, tmp_path):
    make, prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    path = write(tmp_path / "notebooks" / "02_b.ipynb", "x: int = 0  # nothing")
    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, prose("# Title\n\n**Question.** Why?\n\n**Answer.** {glue:md}`late`"))
    glue = "from zcp.study import pages\npages.show_text('early', 'word')"
    notebook.cells += [make(glue), prose("Early: {glue:md}`early`"), make("raise ValueError('<gone>')")]
    notebook.cells += [make("pages.show_text('late', 'x')"), prose("```{glue:figure} late\n```")]
    nbformat.write(notebook, path)
    page = nbformat.read(run_section("02"), 4)
    texts = [cell.source for cell in page.cells if cell.cell_type == "markdown"]
    assert texts[0] == "# Title\n\n**Question.** Why?" and texts[2:] == ["Early: {glue:md}`early`"]
    assert ":class: danger" in texts[1] and r"ValueError: \<gone\>" in texts[1]
    (failed,) = [c for c in page.cells if any(o.output_type == "error" for o in c.get("outputs", []))]
    assert "hide-output" in failed.metadata.tags and failed.outputs[0].traceback


def test_section_whose_process_dies_is_told_as_well(small_study, tmp_path):
    write(tmp_path / "notebooks" / "02_b.ipynb", "x: int = 0  # nothing", "import os\nos._exit(9)")
    outcome = read_outcome(run_section("02"))
    assert outcome.crash and "02_b: stopped by an error" in summarise([outcome])


def test_sections_run_with_one_thread_and_without_a_word_about_sockets(small_study, tmp_path, capfd):
    write(
        tmp_path / "notebooks" / "03_c.ipynb",
        "x: int = 0  # n",
        "import os\nprint(os.environ['OMP_NUM_THREADS'])",
    )
    page = nbformat.read(run_section("03"), 4)
    assert page.cells[-1].outputs[0].text == "1\n"
    assert "TCP" not in "".join(capfd.readouterr())


def test_study_runs_all_sections_in_order(small_study, capsys):
    assert summarise(run_study("quick")) == ""
    printed = capsys.readouterr().out
    assert [printed.index(f"{name} done") for name in ("01_a", "02_b", "03_c")] == sorted(
        printed.index(f"{name} done") for name in ("01_a", "02_b", "03_c")
    )
    assert len(list(small_study.glob("*.ipynb"))) == 3


def test_unknown_profile_is_refused():
    with pytest.raises(InputError, match="unknown profile 'fast'; choose one of quick, paper"):
        run_study("fast")


seeds: int = 4


def test_provenance_tells_parameters_versions_commit_and_seconds(monkeypatch):
    monkeypatch.setattr(origin, "commit", lambda: "abc<1>")
    found = provenance()
    assert found.facts["parameters"] == "seeds = 4"
    assert "python = 3." in found.facts["versions"] and "zcp = " in found.facts["versions"]
    assert float(found.facts["seconds"]) > 0
    assert "<th>commit</th><td>abc&lt;1&gt;</td>" in found._repr_html_()


def test_commit_without_git_or_checkout_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(versions, "PROJECT", tmp_path)
    assert origin.commit() == "unknown (not a git checkout)"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin.commit() == "unknown (git is not installed)"

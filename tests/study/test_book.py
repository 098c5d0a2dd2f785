import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import papermill
import pytest
import yaml
from browser import check_site, find_chromium, serve, shown_faults

from zcp.collect.parts import list_parts, read_parts, scores_path, write_part
from zcp.ensemble.examples import available_target
from zcp.paths import PROJECT, RESULTS
from zcp.study import book, buttons, generated, results
from zcp.study import runner as study
from zcp.study.runner import BOOK, StudyError, require_agreement, sections

SMALL = [
    (
        "markdown",
        "# TITLE\n\nIs $\\tau$ shown, and {eq}`e-TITLE`?\n\n```{math}\n:label: e-TITLE\nx^2 + y\n```",
    ),
    ("code", "steps: int = 3  # points of the curve"),
    (
        "code",
        "from zcp.study.pages import show_figure, show_table\nimport matplotlib.pyplot as plt, pandas as pd\n"
        "figure, axis = plt.subplots()\naxis.plot(range(steps))\nplt.close(figure)\n"
        "show_figure('curve', figure)\nshow_table('table', pd.DataFrame({'x': [1.5]}))",
    ),
    (
        "markdown",
        "```{glue:figure} curve\n:name: f-TITLE\nA line, and $x_1$.\n```\n\n"
        ":::{table} Numbers.\n:name: t-TITLE\n```{glue:md} table\n:format: myst\n```\n:::\n\n"
        "See {numref}`f-TITLE` and {numref}`t-TITLE`.",
    ),
    ("code", "from zcp.study.runner import provenance\nprovenance()"),
]


def small_notebook():
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[make[kind](text) for kind, text in SMALL])
    notebook.cells[1].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


@pytest.fixture(scope="session")
def small_book(tmp_path_factory):
    """The book's prose with one small executed notebook in place of every section."""
    folder = tmp_path_factory.mktemp("small")
    copy = folder / "book"
    shutil.copytree(BOOK, copy, ignore=shutil.ignore_patterns("_build", "notebooks", "generated"))
    (copy / "notebooks").mkdir()
    source, executed = folder / "small.ipynb", folder / "executed.ipynb"
    nbformat.write(small_notebook(), source)
    papermill.execute_notebook(source, executed, kernel_name="python3", cwd=folder, progress_bar=False)
    for name in sections():
        text = executed.read_text(encoding="utf-8").replace("TITLE", name.replace("_", "-"))
        (copy / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    shutil.copy(PROJECT / "_config.yml", folder)
    return book.build(copy, folder / "_config.yml")[0].parent


@pytest.mark.slow
@pytest.mark.browser
def test_small_book_shows_everything(small_book, tmp_path):
    assert check_site(small_book, tmp_path) == []


@pytest.mark.slow
@pytest.mark.browser
def test_built_book_shows_everything(tmp_path):
    html = BOOK / "_build" / "html"
    if not (html / "index.html").exists():
        pytest.skip("the study's own book is not built here; `make study` builds it")
    assert check_site(html, tmp_path) == []


@pytest.mark.slow
def test_small_book_has_numbers_and_provenance_and_no_button_to_nowhere(small_book):
    page = (small_book / "notebooks" / f"{sections()[0]}.html").read_text(encoding="utf-8")
    assert "Fig. 1" in page and 'class="provenance"' in page and "steps = 3" in page
    assert "github.com" not in page and "launch-button" not in page  # there is no address by default
    first = (small_book / "index.html").read_text(encoding="utf-8")
    assert "Every live slice agreed with the deposited results: 0 values in 0 sections" in first
    assert "Table 1" in first


@pytest.mark.parametrize("url", ["", "https://github.com/some/where"])
def test_buttons_follow_the_address_of_the_repository(url):
    options = {"repository_url": url, "launch_buttons": {"binderhub_url": "https://mybinder.org"}}
    buttons.follow_address(None, SimpleNamespace(html_theme_options=options))
    shown = (options["use_repository_button"], options["use_issues_button"], bool(options["launch_buttons"]))
    assert shown == (bool(url),) * 3


def test_the_book_has_no_address_by_default():
    assert yaml.safe_load(book.CONFIG.read_text())["repository"]["url"] == ""


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_missing_chromium_skips_here_and_fails_in_ci(ci, outcome, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="apt-get install chromium"):
        find_chromium()


RIGHT = """\
import pandas as pd
from zcp.study import agreement, pages, results
rows = pd.DataFrame({"proxy": ["a", "b"], "tau": [0.5, 0.6]})
deposit = results.Deposit("slice", {}, {"rows": rows})
found = pages.check(agreement.agree, rows, deposit, "rows", keys=["proxy"], measured=["tau"])
pages.show_agreement("slice", found)
"""


@pytest.mark.slow
def test_tampered_deposit_and_crash_are_named_on_the_first_page_and_their_own(tmp_path, monkeypatch):
    """One score and one result are not what they were, another section crashes: the book is built."""
    folder = tmp_path / "book"
    (folder / "notebooks").mkdir(parents=True)
    names = ("01_fine", sections()[14], "03_crash")
    toc = "".join(f"- file: notebooks/{name}\n" for name in names)
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n{toc}")
    text = "# First page\n\n```{include} generated/disagreements.txt\n```\n"
    (folder / "index.md").write_text(text)
    copies = [folder / "notebooks" / f"{name}.ipynb" for name in names]
    shutil.copy(run_small(tmp_path, "01_fine", "x: int = 1  # nothing", RIGHT), copies[0])
    shutil.copy(run_tampered(names[1], tmp_path), copies[1])
    shutil.copy(run_small(tmp_path, "03_crash", "x: int = 1  # nothing", "undefined_name"), copies[2])
    config = yaml.safe_load((PROJECT / "_config.yml").read_text())
    del config["bibtex_bibfiles"]
    config["sphinx"] = {"extra_extensions": ["zcp.study.buttons"]}
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    page, outcomes = book.build(folder, tmp_path / "_config.yml")
    with pytest.raises(StudyError, match="undefined_name") as found:
        require_agreement(outcomes)
    first = page.read_text(encoding="utf-8")
    own = (page.parent / "notebooks" / f"{names[1]}.html").read_text(encoding="utf-8")
    for told in (str(found.value), first, own):
        assert "results.require_same_scores" in told or told is own
        assert "comparison.check" in told or told is own
        assert "was made from scores with SHA-256" in told and "live but" in told
    assert "01_fine" not in str(found.value) and f'href="notebooks/{names[1]}.html"' in first
    crashed = (page.parent / "notebooks" / "03_crash.html").read_text(encoding="utf-8")
    assert "stopped by an error" in crashed and "Traceback" in crashed


def run_small(folder, name, *code):
    cells = [nbformat.v4.new_markdown_cell(f"# {name}"), *map(nbformat.v4.new_code_cell, code)]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "NOTEBOOKS", folder)
        patch.setattr(study, "sections", lambda: [name])
        nbformat.write(notebook, folder / f"{name}.ipynb")
        return study.run_section(name, {}, folder / "executed" / f"{name}.ipynb")


def run_tampered(name, folder):
    """Run section 15 with one score and one correlation of the deposit that are not what they were."""
    target = available_target("test")
    shutil.copytree(RESULTS, folder / "results")
    deposit = results.read(f"comparison-{target}", folder / "results")
    table = deposit.tables["correlations"]
    row = table.index[table["task"].eq("cifar10") & table["space"].eq("tss")][0]
    table.loc[row, "spearman"] += 0.1
    results.write(deposit, folder / "results")
    scores, origin = read_parts(list_parts(scores_path("nats-b16")))
    scores.loc[0, "params"] *= 2
    (folder / "scores").mkdir()
    write_part(folder / "scores", scores, origin)
    given = {"target": target, "scores": str(folder / "scores"), "deposits": str(folder / "results")}
    return study.run_section(name, given, folder / "executed" / f"{name}.ipynb")


def test_headline_that_the_deposit_does_not_give_costs_no_book(tmp_path):
    assert (
        "```" not in "".join(generated.claim(tmp_path)) and ":::{admonition}" in generated.claim(tmp_path)[0]
    )


@pytest.mark.browser
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<img src='gone.svg'>", "gone.svg"),
        ("<script src='gone.js'></script>", "gone.js"),
        ("<script>undefined_function()</script>", "undefined_function"),
        ("<p>the rank correlation \\tau</p>", "raw TeX"),
        ("<p>a price $x_i$</p>", "raw TeX"),
        ("<span class='math'>\\(x\\)</span>", "not typeset"),
        ("<mjx-merror data-mjx-error='Extra }'></mjx-merror>", "MathJax error"),
    ],
)
def test_each_fault_is_seen(body, fault, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(f"<html><head></head><body><p>costs $5, {body}</p></body></html>", encoding="utf-8")
    with serve(tmp_path) as address:
        assert any(fault in found for found in shown_faults(page, f"{address}/page.html"))


@pytest.mark.browser
def test_broken_link_and_anchor_are_seen_and_good_ones_are_not(tmp_path):
    html = tmp_path / "html"
    html.mkdir()
    (html / "a.html").write_text(
        "<html><head></head><body id='top'><a href='b.html'>1</a><a href='#nowhere'>2</a><a href='#top'>3</a>"
        "<a href='a.html#top'>4</a><a href='https://example.org/x'>5</a></body></html>",
        encoding="utf-8",
    )
    faults = check_site(html, tmp_path)
    assert len(faults) == 2
    assert "b.html" in faults[0] and "#nowhere" in faults[1]


def test_old_pages_go_before_a_build(tmp_path, monkeypatch):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    old = tmp_path / "_build" / "html" / "gone.html"
    old.parent.mkdir(parents=True)
    old.touch()
    monkeypatch.setattr(book, "write_parts", lambda folder, outcomes: None)
    with pytest.raises(book.StudyError, match="without warnings"):
        book.build(tmp_path, Path("/nonexistent/_config.yml"))
    assert not old.exists()


def test_every_module_is_on_exactly_one_api_page():
    text = "\n".join("\n".join(generated.api(page)) for page in generated.API)
    listed = [line.split(":: ")[1] for line in text.splitlines() if line.startswith(".. automodule")]
    assert sorted(listed) == generated.modules()
    assert all((BOOK / "api" / f"{page}.md").exists() for page in generated.API)

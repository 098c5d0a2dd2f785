import nbformat
import papermill
import pytest

from zcp import provenance as origin
from zcp import study
from zcp.errors import InputError
from zcp.provenance import provenance
from zcp.study import NOTEBOOKS, StudyError, check_parameters, find_section, run_section, run_study, sections

PARAMETERS = """\
profile: str = "quick"  # quick or paper
seeds: int = 2  # how many
rate: float = 0.5  # of learning
verbose: bool = False  # say more
names: list[str] = ["a"]  # of proxies
counts: list[int] = [1]  # of features"""


def write(path, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    if cells:
        notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def notebook(tmp_path):
    return write(tmp_path / "01_x.ipynb", PARAMETERS)


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


def test_given_text_becomes_the_declared_type(notebook):
    given = {
        "seeds": "3",
        "rate": "1e-2",
        "verbose": "True",
        "names": "naswot,zen",
        "counts": "4,5",
        "profile": "3",
    }
    expected = {
        "seeds": 3,
        "rate": 0.01,
        "verbose": True,
        "names": ["naswot", "zen"],
        "counts": [4, 5],
        "profile": "3",
    }
    assert check_parameters(notebook, given) == expected


def test_given_values_of_the_declared_type_pass_and_integers_are_floats(notebook):
    checked = check_parameters(notebook, {"seeds": 3, "rate": 1, "verbose": True, "counts": [2]})
    assert checked == {"seeds": 3, "rate": 1.0, "verbose": True, "counts": [2]}
    assert isinstance(checked["rate"], float)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seeds", "many"),
        ("seeds", "1.5"),
        ("seeds", 1.0),
        ("seeds", True),
        ("rate", "fast"),
        ("verbose", "maybe"),
        ("verbose", 1),
        ("names", 3),
        ("counts", "1,b"),
        ("profile", 3),
    ],
)
def test_wrong_type_is_refused_with_name_and_type(notebook, name, value):
    with pytest.raises(InputError, match=rf"parameter '{name}' of 01_x.ipynb is declared as"):
        check_parameters(notebook, {name: value})


def test_unknown_parameter_is_refused_with_the_known_ones(notebook):
    with pytest.raises(
        InputError, match=r"no parameter 'seed'; its parameters: profile \(str\), seeds \(int\)"
    ):
        check_parameters(notebook, {"seed": "3"})


def test_sections_are_found_by_number_and_name():
    first = sections()[0]
    assert find_section("1") == find_section("01") == find_section(first) == first
    with pytest.raises(InputError, match="no section '99'; it has 01_"):
        find_section("99")


def test_book_and_notebooks_agree():
    assert sections() == sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("name", sections())
def test_every_parameter_of_every_section_can_be_checked(name):
    declared = papermill.inspect_notebook(NOTEBOOKS / f"{name}.ipynb").values()
    cell = next(
        c
        for c in nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells
        if "parameters" in c.metadata.get("tags", [])
    )
    written = [line for line in cell.source.splitlines() if line and line[0].isalpha()]
    assert len(written) == len(declared) > 0
    for parameter in declared:
        kind = parameter["inferred_type_name"].removeprefix("list[").removesuffix("]")
        assert kind in ("int", "float", "str", "bool"), parameter
        assert parameter["help"], parameter


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


def test_failing_section_stops_the_study_shows_its_error_and_keeps_earlier_pages(small_study, capsys):
    with pytest.raises(StudyError, match=r"(?s)the slice disagrees.*02_b failed"):
        run_study("paper")
    assert "[1/3] 01_a done" in capsys.readouterr().out
    assert sorted(path.name for path in small_study.iterdir()) == ["01_a.ipynb", "02_b.ipynb"]
    assert '"paper\\n"' in (small_study / "01_a.ipynb").read_text()


def test_study_runs_all_sections_in_order(small_study, capsys):
    run_study("quick")
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
    monkeypatch.setattr(origin, "PROJECT", tmp_path)
    assert origin.commit() == "unknown (not a git checkout)"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin.commit() == "unknown (git is not installed)"

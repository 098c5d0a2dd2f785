import ast
import re

import nbformat
import pytest

from zcp.errors import InputError
from zcp.paths import RESULTS
from zcp.study import pages, parameters
from zcp.study.parameters import check_parameters, check_values, declared, read_parameters
from zcp.study.runner import NOTEBOOKS, sections

PARAMETERS = """\
profile: str = "quick"  # tier; one of: quick, paper
seeds: int = 2  # how many
rate: float = 0.5  # of learning; above 0
verbose: bool = False  # say more
names: list[str] = ["a"]  # of proxies
counts: list[int] = [1]  # of features; at least 1
scheme: str = "random"  # split; and more; paper only; one of: random, grouped
live: int = 1  # of the slice; quick only"""


@pytest.fixture
def notebook(tmp_path):
    cell = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    found = nbformat.v4.new_notebook(
        cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    nbformat.write(found, tmp_path / "01_x.ipynb")
    return tmp_path / "01_x.ipynb"


def test_given_text_becomes_the_declared_type(notebook):
    given = {
        "seeds": "3",
        "rate": "1e-2",
        "verbose": "True",
        "names": "naswot,zen",
        "counts": "4,5",
        "profile": "paper",
    }
    expected = {
        "seeds": 3,
        "rate": 0.01,
        "verbose": True,
        "names": ["naswot", "zen"],
        "counts": [4, 5],
        "profile": "paper",
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


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"profile": "fast"}, "'profile' of 01_x.ipynb is one of quick, paper; not 'fast'"),
        ({"profile": "paper", "scheme": "grupped"}, "'scheme' of 01_x.ipynb is one of random, grouped"),
        ({"scheme": "grouped"}, "'scheme' of 01_x.ipynb is read by the profile paper only.*is quick"),
        ({"scheme": "random"}, "read by the profile paper only"),
        (
            {"profile": "paper", "live": "2"},
            "'live' of 01_x.ipynb is read by the profile quick only",
        ),
        ({"rate": "0"}, "'rate' of 01_x.ipynb is above 0; not 0"),
        ({"counts": "3,0"}, "'counts' of 01_x.ipynb is at least 1; not 0"),
    ],
)
def test_value_that_would_not_act_is_refused_in_one_line(notebook, given, message):
    with pytest.raises(InputError, match=message) as found:
        check_parameters(notebook, given)
    assert "\n" not in str(found.value)


def test_what_the_profile_reads_passes(notebook):
    assert check_parameters(notebook, {"profile": "paper", "scheme": "grouped", "counts": "1"})
    assert check_parameters(notebook, {"live": "0"}) == {"live": 0}


def test_help_is_what_is_left_of_the_comment(notebook):
    assert read_parameters(notebook)["scheme"].help == "split; and more"
    with pytest.raises(ValueError, match="is not `name: type = value"):
        declared("x = 3")


def test_running_notebook_checks_what_differs_from_its_defaults(notebook, monkeypatch):
    monkeypatch.setattr(pages, "NOTEBOOKS", notebook.parent)
    defaults = {name: parameter.default for name, parameter in read_parameters(notebook).items()}
    pages.check_parameters("01_x", defaults | {"other": 3})
    pages.check_parameters("01_x", defaults | {"profile": "paper", "scheme": "grouped"})
    for wrong in ({"scheme": "grouped"}, {"profile": "fast"}, {"seeds": "3.5"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            check_values(notebook, defaults | wrong)


def test_running_notebook_refuses_what_papermill_gave_and_it_does_not_know(notebook):
    from papermill.translators import translate_parameters

    def given(**values):
        cell = translate_parameters("python3", "python", values, "Parameters")
        return {"profile": "quick", "scheme": "random", **values, "In": ["", PARAMETERS, cell, "x = 1"]}

    check_values(notebook, given(seeds=3, names=["b"], counts=[]))
    with pytest.raises(InputError, match="no parameter 'bogus'; its parameters: profile"):
        check_values(notebook, given(seeds=3, bogus=3))
    with pytest.raises(InputError, match="read by the profile paper only"):
        check_values(notebook, given(scheme="random"))


class Reads(ast.NodeVisitor):
    """Collects which names the cells of a notebook read, and under which profiles."""

    def __init__(self):
        self.found, self.under = {}, {"quick", "paper"}

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self.found.setdefault(node.id, set()).update(self.under)

    def branch(self, node):
        test = ast.unparse(node.test)
        named = {p for p in parameters.PROFILES if f"profile == '{p}'" in test}
        self.visit(node.test)
        for part, under in ((node.body, named), (node.orelse, self.under - named)):
            before, self.under = self.under, self.under & under if named else self.under
            for child in part if isinstance(part, list) else [part]:
                self.visit(child)
            self.under = before

    visit_If = branch  # noqa: N815 - the name that ast calls
    visit_IfExp = branch  # noqa: N815


@pytest.mark.parametrize("name", sections())
def test_every_parameter_of_every_section_acts_where_it_is_declared(name):
    reads = Reads()
    for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells:
        if cell.cell_type == "code":
            reads.visit(ast.parse(cell.source))
    known = read_parameters(NOTEBOOKS / f"{name}.ipynb")
    assert known
    for parameter in known.values():
        assert (
            parameter.help and parameter.kind.removeprefix("list[").removesuffix("]") in parameters._PARSERS
        )
        only = {parameter.profile} if parameter.profile else {"quick", "paper"}
        assert reads.found.get(parameter.name) == only, parameter
        check_values(NOTEBOOKS / f"{name}.ipynb", {parameter.name: parameter.default})
        if parameter.name == "profile":
            assert parameter.choices == parameters.PROFILES
    assert "profile" in known or not any(parameter.profile for parameter in known.values())


@pytest.mark.parametrize("name", sections())
def test_every_target_that_a_section_offers_was_deposited(name):
    target = read_parameters(NOTEBOOKS / f"{name}.ipynb").get("target")
    code = "".join(cell.source for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells)
    stems = re.findall(r'results\.read\(f"(\w+)-\{target\}"', code)
    for choice in target.choices if target else ():
        for stem in stems:
            assert (RESULTS / f"{stem}-{choice}.json").is_file(), (stem, choice)

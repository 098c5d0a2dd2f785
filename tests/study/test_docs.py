import json
import re
import tomllib
from itertools import chain

import pytest
import yaml
from packaging.requirements import Requirement

import zcp
from zcp.optional import why_missing
from zcp.paths import MODELS, PROJECT
from zcp.proxies.registry import get_proxy, list_proxies
from zcp.study.docstrings import convert


def pins():
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_no_address_is_invented():
    for name in ("README.md", "CONTRIBUTING.md", "CITATION.cff", "_config.yml", "pyproject.toml"):
        assert "zcp-authors" not in (PROJECT / name).read_text()


def test_environment_mirrors_the_constraints():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    assert environment["dependencies"][-1]["pip"] == pins()


def test_every_pin_is_exact_and_no_package_brings_cuda():
    # Triton is a compiler; its package works without CUDA's, and the tests need its interpreter.
    assert all(re.fullmatch(r"[a-z0-9._-]+==[^=<>~]+", pin) for pin in pins())
    assert not [pin for pin in pins() if re.match(r"nvidia|xgboost==|torchvision", pin)]
    assert "torch==2.13.0" in pins()


def test_every_direct_requirement_is_pinned():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=~; ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    names -= {"zcp-nas"}
    assert names - {pin.split("==")[0] for pin in pins()} == set()


def test_the_extra_for_predictions_brings_the_scikit_learn_of_the_models():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = Requirement(next(r for r in project["optional-dependencies"]["predict"] if "scikit" in r))
    fitted = [json.loads(card.read_text())["versions"]["scikit-learn"] for card in MODELS.glob("*.json")]
    assert fitted and all(wanted.specifier.contains(version) for version in fitted)


def test_ci_calls_the_test_commands_of_the_readme():
    ci = (PROJECT / ".ci" / "run").read_text()
    readme = (PROJECT / "README.md").read_text()
    assert "\nmake test-all\nexec make portable\n" in ci
    assert "`make test-all` and `make portable` for everything, as CI does" in readme


def test_every_proxy_has_its_source_in_the_bibliography():
    keys = re.findall(r"@\w+\{([^,]+),", (PROJECT / "book" / "references.bib").read_text(encoding="utf-8"))
    assert {get_proxy(name).source for name in list_proxies()} <= set(keys)
    assert len(keys) == len(set(keys))


def test_versions_and_licence_agree():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"] == zcp.__version__
    assert project["name"] == "zcp-nas" and "`zcp-nas`" in (PROJECT / "README.md").read_text()
    assert f"## [{project['version']}]" in (PROJECT / "CHANGELOG.md").read_text()
    assert citation["license"] == project["license"] == "MIT"
    assert (PROJECT / "LICENSE").read_text().startswith("MIT License")


def test_files_that_the_documents_name_exist():
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (PROJECT / document).read_text(encoding="utf-8")):
            assert (PROJECT / target).exists(), f"{document}: {target}"


@pytest.mark.parametrize("document", ["README.md", "book/rerun.md"])
def test_python_that_the_documents_show_runs(document, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / document).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        if "transformers" not in block or not why_missing("transformers"):
            exec(block, {})
    assert "naswot" in capsys.readouterr().out


def test_docstrings_become_restructured_text():
    assert convert(r"norm $\|g\|_2$ of |x|, `a|b`") == r"norm :math:`\|g\|_2` of \|x\|, `a|b`"
    assert convert("costs $5 or $6") == "costs $5 or $6"
    assert convert("$a\nb$") == ":math:`a b`"


def test_the_section_number_of_the_example_is_free():
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    numbers = set(re.findall(r"`(\d\d)_name\.ipynb`|`zcp run (\d\d)", text))
    named = {one or other for one, other in numbers}
    taken = {path.name[:2] for path in (PROJECT / "notebooks").glob("*.ipynb")}
    assert len(named) == 1 and not named & taken

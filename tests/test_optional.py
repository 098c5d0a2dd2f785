import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement

from zcp import optional
from zcp.errors import InputError
from zcp.paths import PROJECT

BLOCKED = """
import sys
for name in {names!r}:
    sys.modules[name] = None
import zcp.data.batches, zcp.benchmarks, zcp.data.downloads
loaded = set({names!r}) & {{name for name, module in sys.modules.items() if module is not None}}
assert not loaded, loaded
"""


def test_inputs_and_benchmarks_import_without_the_optional_packages():
    code = BLOCKED.format(names=list(optional.PIP_NAMES))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("module", optional.PIP_NAMES)
def test_an_absent_package_is_named_with_the_command_that_installs_it(monkeypatch, module):
    monkeypatch.setattr(optional, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=re.escape(f"pip install '{optional.PIP_NAMES[module]}'")):
        optional.require(module)


def test_every_package_that_is_imported_is_of_the_core_or_of_an_extra():
    """So that what is not installed is one line with the command that brings it, wherever it is missed."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    core = {re.split("[<>=]", requirement)[0] for requirement in project["dependencies"]}
    assert {*optional.EXTRAS} < {*project["optional-dependencies"]}
    imported = set()
    for path in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.partition(".")[0] for name in names}
    foreign = imported - sys.stdlib_module_names - {"zcp"}
    assert {"torch", "sklearn", "papermill"} <= foreign
    assert foreign - core <= {*optional.PIP_NAMES}


@pytest.mark.parametrize("extra", ["", "benchmarks", "predict", "cluster", "gpu"])
def test_what_users_install_has_a_lower_bound_that_holds_here(extra):
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    for requirement in map(Requirement, wanted):
        bounded = any(part.operator in (">=", "==") for part in requirement.specifier)
        assert bounded or requirement.name == "tqdm", requirement
        if not requirement.marker:
            assert requirement.specifier.contains(version(requirement.name), prereleases=True), requirement


def test_a_present_package_is_imported():
    assert optional.require("pandera", "errors").__name__ == "pandera.errors"

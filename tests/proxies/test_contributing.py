"""The recipe of CONTRIBUTING.md for a new proxy works as it stands: two new files and nothing else."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from zcp import list_proxies
from zcp.paths import PROJECT
from zcp.proxies.registry import BROKEN

BLOCK = re.compile(r"^ *```python\n *# (\S+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
TESTS = ["tests/proxies/test_conformance.py", "tests/proxies/test_twins.py", "tests/proxies/test_registry.py"]
# The conformance tests that score one proxy and not all of them.
CHECKS = "finite or twin or alone or facts or left_as_found"

#: As the deposited scores have it, GreenMachine's last.
ORDER = """
zico params flops grad_norm snip plain grasp fisher l2_norm nasi grad_norm_l2 jacob_cov epe_nas
naswot synflow log_synflow synflow_bn zen ntk_cond ntk_trace ntk_lambda_max ntk_lambda_min
linear_regions te_nas expressivity progressivity trainability expressivity_literal
progressivity_literal nngp gennas eznas eznas_literal
"""


def test_a_new_proxy_is_two_files(tmp_path):
    files = dict(BLOCK.findall((PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert [*files] == ["src/zcp/proxies/weights.py", "tests/reference/weights.py"]
    ignored = shutil.ignore_patterns("__pycache__", "study")
    for folder in ("src", "tests"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-v",
            *TESTS,
            "-k",
            f"l1_norm and ({CHECKS})",
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "13 passed" in found.stdout, found.stdout


@pytest.mark.parametrize("fault", ["def f(:", "import nothing_of_that_name"])
def test_a_file_that_cannot_be_imported_costs_no_other(tmp_path, fault):
    shutil.copytree(PROJECT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "study"))
    (tmp_path / "src/zcp/proxies/weights.py").write_text(fault)
    code = """
import zcp
print(*zcp.list_proxies())
try:
    zcp.get_proxy("l1_norm")
except zcp.InputError as error:
    print(error)
"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    names, refusal = found.stdout.splitlines()
    assert names.split() == list_proxies()
    assert "zcp/proxies/weights.py" in refusal and "Error: " in refusal
    assert "weights.py" in found.stderr and found.stderr.count("\n") == 1


def test_every_file_of_proxies_can_be_imported():
    assert not BROKEN


def test_the_order_of_the_registry_is_that_of_the_collections():
    """Scores files record it; families that are new come after."""
    green = [f"greenmachine_{letter}" for letter in "abcdefghij"]
    assert list_proxies() == [*ORDER.split(), *green]

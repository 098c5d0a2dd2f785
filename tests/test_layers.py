"""The contract of layers in pyproject.toml holds, and notices what would break it."""

import os
import shutil
import subprocess
import sys

import pytest

from zcp.paths import PROJECT

LINT = "from importlinter.cli import lint_imports_command as run; run(['--no-cache', '--no-logo'])"


def lint(folder):
    return subprocess.run(
        [sys.executable, "-c", LINT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "src"), *sys.path])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(
        PROJECT / "src/zcp", tmp_path / "src/zcp", ignore=shutil.ignore_patterns("__pycache__", "*.txt")
    )
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contract_is_kept(copy):
    found = lint(copy)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("kernels/eager.py", "from zcp.formulas.tree import Expression", "zcp.kernels.eager -> zcp.formulas"),
        (
            "scoring/__init__.py",
            "def later():\n    from zcp.study import book",
            "zcp.scoring -> zcp.study.book",
        ),
        ("formulas/tree.py", "from zcp.formulas import evaluator", ".evaluator"),
        ("data/images.py", "from zcp import score", "zcp.scoring"),
        ("extra.py", "", "zcp.extra"),
    ],
)
def test_an_import_against_it_is_found(copy, file, line, broken):
    """Upwards, hidden in a function, in a circle, through the package itself, in a room that has no place."""
    with (copy / "src/zcp" / file).open("a") as module:
        module.write(f"\n{line}\n")
    found = lint(copy)
    assert found.returncode == 1
    assert broken in found.stdout + found.stderr

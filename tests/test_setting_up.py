"""What `make` does before anything is installed: which Python it takes, what it installs, what it tells."""

import os
import shutil
import subprocess
import sys

import pytest

from zcp.paths import PROJECT

sys.path.append(str(PROJECT))
import install

PYTHON = "#!/bin/sh\nexit 0\n"
BROKEN = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"


def make(folder, *arguments, **interpreters):
    """Run make where the path has these interpreters (`py311=PYTHON`) and no other."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("make", "sh", "grep", "touch", "rm"):
        (programs / name).symlink_to(shutil.which(name))
    for name, text in interpreters.items():
        program = programs / f"python3.{name[3:]}"
        program.write_text(text)
        program.chmod(0o755)
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHON", "MAKEFLAGS")}
    command = ["make", "--no-print-directory", *arguments]
    path = {**environment, "PATH": str(programs)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=path)


@pytest.mark.parametrize(
    ("interpreters", "taken"),
    [
        ({"py311": PYTHON, "py312": PYTHON, "py313": PYTHON}, "python3.11"),
        ({"py311": BROKEN, "py312": PYTHON, "py313": PYTHON}, "python3.13"),
        ({"py311": BROKEN, "py312": PYTHON, "py313": BROKEN}, "python3.12"),
        ({"py312": PYTHON}, "python3.12"),
    ],
)
def test_make_takes_311_where_it_runs_else_the_newest(interpreters, taken, tmp_path):
    printed = make(tmp_path, "--dry-run", ".venv/torch", **interpreters).stdout
    assert f'/programs/{taken}" -m venv' in printed


def test_python_that_is_given_is_taken(tmp_path):
    printed = make(tmp_path, "--dry-run", ".venv/torch", "PYTHON=/some/python", py311=PYTHON).stdout
    assert '"/some/python" -m venv' in printed


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "No Python 3.11, 3.12 or 3.13 runs here"),
        (["PYTHON=/none/python"], "/none/python is not a Python 3.11, 3.12 or 3.13 that runs"),
    ],
)
def test_without_a_python_that_runs_one_line_says_so(arguments, line, tmp_path):
    run = make(tmp_path, ".venv/torch", *arguments, py311=BROKEN, py313=BROKEN)
    assert run.returncode and len(run.stdout.splitlines()) == 1 and line in run.stdout
    assert not (tmp_path / ".venv").exists()


def test_make_installs_torch_first_and_on_its_own(tmp_path):
    printed = make(tmp_path, "--dry-run", "test", py311=PYTHON).stdout.splitlines()
    installs = [line for line in printed if "install.py" in line]
    assert installs[0].split()[-1] == "torch==2.13.0" and len(installs) == 3
    assert all("--constraint constraints.txt" in line for line in installs[1:])
    assert all(f"[{step}/3]" in line for step, line in enumerate(installs, 1))
    assert printed[-1].startswith("pytest") and "not slow" in printed[-1]


def test_only_make_test_all_runs_the_slow_tests(tmp_path):
    printed = make(tmp_path, "--dry-run", "test-all", py311=PYTHON).stdout
    assert "pytest" in printed and "slow" not in printed


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "pip starts"),
        (["Collecting six==1.17.0\n", "Processing /wheels/torch.whl\n"], "found 2 of at most 9 packages"),
        (
            ["Collecting six==1.17.0\n", "  Downloading six-1.17.0-py2.py3-none-any.whl.metadata (1 kB)\n"],
            "found 1 of at most 9 packages",
        ),
        (
            [
                "  Using cached a_b-1-py3-none-any.whl (3 kB)\n",
                "  Downloading c-2-cp313-abi3.whl (97.1 MB)\n",
            ],
            "fetched 1 of at most 9 packages, now c (97.1 MB)",
        ),
        (["Installing collected packages: six, torch, zcp-nas\n"], "installed 2 of 3 packages"),
    ],
)
def test_progress_says_what_is_installed_and_how_much_is_left(said, told):
    assert install.describe(said, installed=2, pinned=9) == told


def test_failure_of_pip_is_shown_and_kept():
    command = [
        sys.executable,
        str(PROJECT / "install.py"),
        "[1/1] x",
        "--no-index",
        "no-such-package-here",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "No matching distribution found for no-such-package-here" in run.stderr
    assert run.stdout.startswith("[1/1] x: pip starts, 0 s")

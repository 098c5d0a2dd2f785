"""What a user has who installed the wheel: the commands work in an empty folder, and write nowhere else.

Nothing is downloaded: the fresh environment gets links to those installed packages, of the environment that
the tests run in, that the wheel requires, and no others.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from zcp.paths import PROJECT

pytestmark = pytest.mark.slow

LARGEST = 10 * 2**20  # bytes of the wheel
CHEAP = ("--inputs", "gaussian", "--batch", "4", "--proxies", "params,synflow,ntk_cond")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(PROJECT / "src", folder / "source/src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder / "source")
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "source")
    return next(folder.glob("zcp_nas-*.whl"))


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PIP_NO_INDEX": "1"})


def closure(requirements, extra):
    """Return the names of what requirements ask for under an extra, and of all that those require."""
    found, left = set(), [(text, extra) for text in requirements]
    while left:
        text, extra = left.pop()
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        for inner in {"", *wanted.extras} - {each for name, each in found if name == wanted.name}:
            found.add((wanted.name, inner))
            left += [(each, inner) for each in distribution(wanted.name).requires or ()]
    return {name for name, _ in found}


class Environment:
    """A fresh virtual environment with the wheel and what it requires, and an empty folder to work in."""

    def __init__(self, folder, wheel, *extras):
        self.root, self.folder = folder / "environment", folder / "empty"
        self.folder.mkdir()
        venv.create(self.root, with_pip=False, symlinks=os.name != "nt")
        self.bin = self.root / ("Scripts" if os.name == "nt" else "bin")
        self.packages = next(self.root.rglob("site-packages"))
        inside = zipfile.Path(wheel, f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/")
        required = PathDistribution(inside).requires
        for name in {name for extra in ("", *extras) for name in closure(required, extra)}:
            self.link(distribution(name))
        pip("--python", self.root, "install", "--no-deps", wheel)

    def link(self, package):
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (self.packages / top).exists() and not top.endswith(".pth"):
                (self.packages / top).symlink_to(package.locate_file(top))

    def run(self, *arguments, code=0, **settings):
        """Run a command of the environment in the empty folder; give (its output, its complaint)."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZCP_", "PYTHON"))}
        ran = subprocess.run(
            [self.bin / arguments[0], *map(str, arguments[1:])],
            cwd=self.folder,
            env={**kept, "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
        return ran.stdout, ran.stderr

    def files(self):
        return sorted(path for path in self.root.rglob("*"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory, wheel):
    return Environment(tmp_path_factory.mktemp("plain"), wheel)


@pytest.fixture(scope="module")
def predicting(tmp_path_factory, wheel):
    return Environment(tmp_path_factory.mktemp("predicting"), wheel, "predict")


def test_the_wheel_holds_models_and_golden_values_and_is_small(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "zcp/golden/golden.json" in names and "zcp/py.typed" in names
    models = {Path(name).name for name in names if name.startswith("zcp/ensemble/models/")}
    kinds = itertools.product(("GreenFactory", "GreenFactoryFast"), ("test", "valid"), ("json", "skops"))
    assert models == {f"{name}-{target}.{ending}" for name, target, ending in kinds}
    assert wheel.stat().st_size < LARGEST


def test_the_core_scores_and_collects_in_an_empty_folder_and_writes_nowhere_else(plain):
    before = plain.files()
    out, _ = plain.run("zcp", "score", "tss", "9930", "1462", "--proxies", "params,ntk_cond", "--batch", "4")
    assert re.search(r"^params +larger +1\.288506 \(2\)", out, re.MULTILINE)
    out, _ = plain.run("zcp", "score", "sss", "0", "--formula", "frobenius_norm(relu(pass_noise_fwd_output))")
    assert float(out.split()[1]) > 0
    given = ("--space", "tss,sss", "--dataset", "cifar10,cifar100", "--count", "1", "--workers", "2")
    plain.run("zcp", "collect", "--out", "mine", *given, *CHEAP)
    assert len(list((plain.folder / "data/scores/mine").glob("*.parquet"))) == 1
    code = "from zcp.collect import load_scores; print(load_scores('mine').shape[0])"
    assert plain.run("python", "-c", code)[0] == "4\n"
    assert [path.name for path in plain.folder.iterdir()] == ["data"]
    assert plain.files() == before


def test_a_bare_name_lies_in_the_folder_that_is_named(plain, tmp_path):
    plain.run("zcp", "collect", "--out", "other", "--space", "sss", "--dataset", "cifar10", "--count", "1",
              "--workers", "1", *CHEAP, ZCP_HOME=str(tmp_path))  # fmt: skip
    assert (tmp_path / "data/scores/other").is_dir()
    assert not (plain.folder / "data/scores/other").exists()


def test_golden_checks_the_installation(plain):
    out, _ = plain.run("python", "-m", "zcp", "golden", "--arch", "sss-0")
    assert " 0 miss" in out.splitlines()[-1] and int(out.splitlines()[-1].split()[0]) > 40


@pytest.mark.parametrize("command", ["run 02", "study", "book", "portable"])
def test_the_study_asks_for_a_clone(plain, command):
    _, told = plain.run("zcp", *command.split(), code=2)
    assert "clone the repository" in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("predict --space tss --arch 9930", "pip install 'zcp-nas[predict]'"),
        ("collect --out a --count 1 --inputs gaussian --cluster x:1", "pip install 'zcp-nas[cluster]'"),
        ("download cifar10", "pip install 'pooch'"),
        ("collect --out a --count 1 --dataset cifar10", "zcp download cifar10"),
        ("score tss 9930 --inputs images", "--inputs gaussian"),
    ],
)
def test_what_is_lacking_is_one_line(plain, command, remedy):
    _, told = plain.run("zcp", *command.split(), code=2)
    assert remedy in told and told.count("\n") == 1


def test_doctor_says_what_is_missing_for_what(plain, predicting):
    told = dict(re.findall(r"^(.{19})(.*)$", plain.run("zcp", "doctor")[0], re.MULTILINE))
    told = {name.strip(): text for name, text in told.items()}
    assert told["score, collect"] == "works" and len(told) < 24
    assert told["predict"] == "lacks pydantic, sklearn, skops; run: pip install 'zcp-nas[predict]'"
    assert re.search(r"^predict +works$", predicting.run("zcp", "doctor")[0], re.MULTILINE)


@pytest.mark.parametrize("target", ["test", "valid"])
@pytest.mark.parametrize("which", ["", "--fast"])
def test_predict_needs_its_extra_only(predicting, which, target):
    given = ["zcp", "predict", "--space", "tss", "--arch", "9930", "--target", target, *which.split()]
    accuracy = re.search(r"accuracy +([0-9.]+) %", predicting.run(*given)[0])
    assert accuracy and 10 < float(accuracy[1]) <= 100

"""What `import zcp` brings along, and what it does not."""

import subprocess
import sys

import zcp
from zcp.versions import VERSION

LOADED = "import sys, zcp; {}; print(*sorted(sys.modules))"
HEAVY = {"pandas", "pyarrow", "typer", "sklearn", "matplotlib", "optuna", "triton", "nats_bench"}


def loaded(use):
    run = subprocess.run(
        [sys.executable, "-c", LOADED.format(use)], capture_output=True, text=True, check=True
    )
    names = run.stdout.split()
    return names, {name.partition(".")[0] for name in names}


def test_import_is_light():
    _, packages = loaded("zcp.__name__")
    assert "zcp" in packages and not packages & {"torch", "numpy", *HEAVY}


def test_scoring_needs_no_more_than_torch():
    names, packages = loaded("zcp.score")
    assert {"torch", "numpy"} <= packages
    assert not packages & HEAVY
    upper = ("zcp.study", "zcp.ensemble", "zcp.collect", "zcp.benchmarks", "zcp.cli")
    assert not [name for name in names if name.startswith(upper)]


def test_every_public_name_exists():
    for name in zcp.__all__:
        assert getattr(zcp, name).__doc__, name
    assert zcp.__version__ == VERSION
    assert {*zcp.__all__} == {name for names in zcp.MODULES.values() for name in names} <= {*dir(zcp)}

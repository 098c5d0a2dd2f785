"""What `import zcp` brings along, and what it does not."""

import subprocess
import sys

import zcp

LOADED = "import sys, zcp; print(*sorted(sys.modules))"
HEAVY = {"pandas", "pyarrow", "typer", "sklearn", "matplotlib", "optuna", "triton", "nats_bench"}


def test_import_is_light():
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    packages = {name.partition(".")[0] for name in loaded}
    assert {"torch", "numpy"} <= packages
    assert not packages & HEAVY
    upper = ("zcp.study", "zcp.ensemble", "zcp.collect", "zcp.benchmarks", "zcp.cli")
    assert not [name for name in loaded if name.startswith(upper)]


def test_every_public_name_exists():
    for name in zcp.__all__:
        assert getattr(zcp, name).__doc__, name
    assert zcp.__version__

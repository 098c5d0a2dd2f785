"""Ctrl-C at the command line, in the phase that the test names: the process itself shows that it is there."""

import os
import signal
import subprocess
import sys
import tomllib

import pytest

from zcp.collect.parts import load_scores
from zcp.paths import PROJECT

ENTRY = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]["zcp"]
SCRIPT = "from {} import {} as main\n".format(*ENTRY.split(":"))
#: Stands still in its import until the signal comes, which this code must not be able to swallow.
TORCH = """
import time
print("importing torch", flush=True)
try:
    time.sleep(600)
except BaseException:
    time.sleep(600)
"""
#: A second Ctrl-C when Python ends.
AT_END = """
import atexit, signal
def end():
    signal.raise_signal(signal.SIGINT)
    print("ended", flush=True)
atexit.register(end)
"""


def start(*command, path=(), handler=signal.SIG_DFL):
    """Start Python with the handler of Ctrl-C of a terminal, whatever that is here, or with another."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [*map(str, path), *sys.path]))}
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
    )


@pytest.mark.parametrize("way", [["-m", "zcp"], ["-c", SCRIPT + "main()"]])
def test_while_the_command_imports(tmp_path, way):
    (tmp_path / "torch.py").write_text(TORCH)
    process = start(*way, "collect", "--out", str(tmp_path / "a"), "--count", "1", path=[tmp_path])
    assert process.stdout.readline() == "importing torch\n"
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(timeout=60), process.returncode) == ("", "", 130)


REPORT = """
import zcp.doctor
def report():
    signal.raise_signal(signal.SIGINT)
    return ["went on"]
zcp.doctor.report = report
"""


@pytest.mark.parametrize(
    ("handler", "out", "status"),
    [(signal.SIG_DFL, "ended\n", 130), (signal.SIG_IGN, "went on\nended\n", 0)],
    ids=["at a terminal", "in the background"],
)
def test_while_a_command_runs_and_again_as_it_ends(handler, out, status):
    """What a script starts in the background ignores Ctrl-C, and goes on doing so."""
    process = start("-c", SCRIPT + AT_END + REPORT + "main()", "doctor", handler=handler)
    assert (*process.communicate(timeout=600), process.returncode) == (out, "", status)


#: Ctrl-C after the first row, and again while the last part is written.
COLLECT = """
import zcp.collect.run as run
add, write_part = run.Writer.add, run.write_part
def add_and_interrupt(writer, row):
    add(writer, row)
    print("added", flush=True)
    signal.raise_signal(signal.SIGINT)
def interrupt_and_write(*arguments):
    signal.raise_signal(signal.SIGINT)
    print("written", flush=True)
    return write_part(*arguments)
run.Writer.add, run.write_part = add_and_interrupt, interrupt_and_write
"""


@pytest.mark.parametrize(
    ("handler", "rows", "status"),
    [(signal.SIG_DFL, 1, 130), (signal.SIG_IGN, 3, 0)],
    ids=["at a terminal", "in the background"],
)
def test_a_collection_writes_what_it_has_whatever_follows_the_first(tmp_path, handler, rows, status):
    given = ["collect", "--out", f"{tmp_path}/a", "--count", "3", "--space", "sss", "--dataset", "cifar10"]
    given += ["--inputs", "gaussian", "--batch", "4", "--proxies", "params", "--workers", "1"]
    process = start("-c", SCRIPT + AT_END + COLLECT + "main()", *given, handler=handler)
    out, errors = process.communicate(timeout=600)
    told = [line for line in out.splitlines() if " " not in line]
    assert process.returncode == status and told == [*["added"] * rows, "written", "ended"]
    assert not [word for word in ("Traceback", "ignored", "Interrupt") if word in errors], errors
    assert len(load_scores(tmp_path / "a")) == rows

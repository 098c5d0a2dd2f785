"""The command line starts where Linux's own modules and functions are missing, as on macOS and Windows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import zcp
from zcp.cli import app

# For zcp's own modules only: what others import was built for this system. Worker processes get it, too.
HIDE = """
import builtins, sys, types

HIDDEN = {
    "os": "fork forkpty getloadavg getuid geteuid getpgid killpg mkfifo nice O_DIRECTORY sched_getaffinity "
          "sched_setaffinity setsid statvfs sysconf uname wait waitpid",
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 alarm pthread_kill "
              "pthread_sigmask setitimer sigwait",
}
MISSING = "fcntl grp posix pty pwd readline resource syslog termios tty"
imports = builtins.__import__

def hidden(name, asker=None, *rest, **more):
    if (asker or {}).get("__name__", "").partition(".")[0] != "zcp":
        return imports(name, asker, *rest, **more)
    if name in MISSING.split():
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    found = imports(name, asker, *rest, **more)
    if name == "ctypes":
        found = stripped(found, "")
        found.CDLL = no_library
    return stripped(found, HIDDEN[name]) if name in HIDDEN else found

def stripped(module, names):
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update({key: value for key, value in vars(module).items() if key not in names.split()})
    return copy

def no_library(name):
    raise TypeError("LoadLibrary() argument 1 must be str, not None")

builtins.__import__ = hidden
"""

RUN = """
import json, sys
from zcp.cli import main
if __name__ == "__main__":
    codes = {}
    for command in json.loads(sys.argv[1]):
        sys.argv = ["zcp", *command]
        try:
            main()
        except SystemExit as stopped:
            codes[command[0]] = stopped.code or 0
    print(codes)
"""

#: Each command with an end that shows that it began: done, or what is asked for does not exist.
COMMANDS = {
    "score sss 0 1 --proxies params,naswot --batch 4": 0,
    "collect --out OUT/a --count 1 --space sss --dataset cifar10 --inputs gaussian --batch 4 --workers 2 "
    "--proxies params": 0,
    "merge OUT/b OUT/a": 0,
    "golden OUT/golden.json": 0,
    "predict --space sss --arch 0 --fast": 0,
    "proxies": 0,
    "doctor": 0,
    "download mnist": 2,
    "run 99": 2,
    "study --profile fast": 2,
    "book --help": 0,
    "portable --help": 0,
}


@pytest.mark.slow
def test_every_command_starts(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    (tmp_path / "commands.py").write_text(RUN)
    layout = {
        "archs": {"a": {"space": "sss", "spec": "8:8:8:8:8"}},
        "values": {"a": {"params": {"float64": 0.011714}}},
    }
    (tmp_path / "golden.json").write_text(json.dumps(layout))
    commands = [command.replace("OUT", str(tmp_path)).split() for command in COMMANDS]
    assert {command[0] for command in commands} == {
        known.name or known.callback.__name__ for known in app.registered_commands
    }
    sources = str(Path(zcp.__file__).parents[1])
    found = subprocess.run(
        [sys.executable, tmp_path / "commands.py", json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), sources])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in found.stderr, found.stderr
    assert found.stdout.splitlines()[-1] == str(
        {command.split()[0]: code for command, code in COMMANDS.items()}
    ), found.stdout + found.stderr


def test_the_test_hides_what_it_says(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    folder = tmp_path / "zcp"
    folder.mkdir()
    (folder / "__init__.py").write_text("import os, ctypes\nassert not hasattr(os, 'fork')\nimport fcntl")
    found = subprocess.run(
        [sys.executable, "-c", "import os; os.fork; import zcp"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'fcntl'"

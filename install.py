"""Runs pip and says what it does and how much is left: python install.py LABEL ARGUMENTS-OF-PIP-INSTALL...

On a terminal one line is rewritten every second; elsewhere a line is written every ten seconds. What pip
itself says is shown only if it fails. Needs no more than Python: nothing is installed yet.
"""

import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from threading import Thread

PINS = Path(__file__).with_name("constraints.txt")
WHEEL = re.compile(r"\s*(?:Downloading|Using cached) (\S+?)-\d\S*\.(?:whl|tar\.gz)(?: \((.*)\))?$")


def describe(said: list[str], installed: int, pinned: int = 0) -> str:
    """Return what pip is doing.

    Args:
        said: the lines that it has printed.
        installed: packages that arrived since it started.
        pinned: how many it may have to find at most, 0 where that is not known.
    """
    found = len({line.split()[1] for line in said if line.startswith(("Collecting ", "Processing "))})
    wheels = [wheel.groups() for wheel in map(WHEEL.match, said) if wheel]
    total = next((line.count(",") + 1 for line in said if line.startswith("Installing collected")), 0)
    most = f" of at most {pinned}" if pinned else ""
    if total:
        return f"installed {min(installed, total)} of {total} packages"
    if wheels:
        name, size = wheels[-1]
        return f"fetched {len(wheels) - 1}{most} packages, now {name}" + (f" ({size})" if size else "")
    return f"found {found}{most} packages" if found else "pip starts"


def packages() -> int:
    """Return how many packages this environment has."""
    return len(list(Path(sysconfig.get_path("purelib")).glob("*.dist-info")))


def main(label: str, *arguments: str) -> int:
    """Run `pip install` with `arguments`, tell of it under `label`, and return its exit status."""
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command = [sys.executable, "-m", "pip", "install", *options, *arguments]
    pinned = sum("==" in line for line in PINS.read_text().splitlines()) if "--constraint" in arguments else 0
    start, before, said, terminal = time.monotonic(), packages(), [], sys.stdout.isatty()
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reader = Thread(target=lambda: said.extend(pip.stdout), daemon=True)  # line by line, as pip speaks
    reader.start()

    def tell(what: str, end: str = "\n") -> None:
        line = f"{label}: {what}, {time.monotonic() - start:.0f} s"
        print(f"\r{line:<100.100}" if terminal else line, end=end if terminal else "\n", flush=True)

    while reader.is_alive():
        tell(describe(said[:], packages() - before, pinned), end="")
        reader.join(1 if terminal else 10)
    if status := pip.wait():
        print(f"\n{''.join(said[-40:])}{label}: pip failed; what it said is above", file=sys.stderr)
        return status
    tell(f"done, {packages() - before} packages installed")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The script for a machine with a GPU, in miniature: every step runs and leaves its file."""

import json
import os
import subprocess
import sys
import tarfile

import pytest

from zcp.paths import PROJECT


@pytest.mark.slow
def test_all_steps_run_without_a_gpu(tmp_path):
    out = tmp_path / "out"
    ran = subprocess.run(
        ["bash", PROJECT / "bench" / "on_gpu.sh", out, "1700", "--dry"],
        env={**os.environ, "PYTHON": sys.executable, "ZCP_DATA": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    ended = [line.split() for line in ran.stdout.splitlines() if " ended with " in line]
    assert [words[1] for words in ended] == [
        "environment", "conformance", "golden", "kernels", "gains", "rate", "collect", "collect",
    ]  # fmt: skip
    assert all(" ended with 0 " in " ".join(words) for words in ended), ran.stdout + ran.stderr
    files = {path.name for path in out.iterdir()}
    assert files == {
        "log.txt", "environment.json", "conformance.json", "golden.json", "kernels.json", "gains.json",
        "rate.json", "collection.tar",
    }  # fmt: skip
    found = json.loads((out / "conformance.json").read_text())
    assert [found[key] for key in found if key.startswith(("tiny", "batch"))] == [[], []]
    assert json.loads((out / "golden.json").read_text()) == {"right": 1, "undecided": [], "missed": []}
    assert json.loads((out / "rate.json").read_text())["plain"]["2"] > 0
    with tarfile.open(out / "collection.tar") as tar:
        assert {name.strip("./").split("/")[0] for name in tar.getnames()} >= {"tss", "sss"}


def test_who_gives_no_folder_is_told_how():
    ran = subprocess.run(
        ["bash", PROJECT / "bench" / "on_gpu.sh", "--dry"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "bench/on_gpu.sh OUT [SECONDS]" in ran.stdout

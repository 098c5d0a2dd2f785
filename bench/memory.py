"""Peak memory of scoring one network, in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence

#: The process reports its peak before and after scoring, in KiB. Not by `getrusage`: there, Linux lets a new
#: process begin with the peak of the one that started it.
CODE = """
import sys
from pathlib import Path
import torch
from zcp import build, score
from zcp.data.batches import gaussian_batches
torch.set_num_threads(1)
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("VmHWM"))
space, arch, batch, *proxies = sys.argv[1:]
network = build(space, int(arch) if arch.isdigit() else arch)
batches = gaussian_batches("cifar10", int(batch))
print(peak())
score(network, batches, proxies)
print(peak())
"""


def peak(space: str, arch: str | int, batch: int, proxies: Sequence[str]) -> tuple[float, float]:
    """Return the peak memory of the process in GiB before and after scoring."""
    command = [sys.executable, "-c", CODE, space, str(arch), str(batch), *proxies]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    before, after = (int(line) / 2**20 for line in output.split())
    return before, after

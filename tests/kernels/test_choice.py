"""Where the kernel runs and where its eager twin does; needs no Triton."""

import subprocess
import sys

import torch

from zcp import kernels


def test_a_cpu_uses_the_eager_twin_and_never_triton():
    assert not kernels.usable(torch.zeros(1))
    code = (
        "import sys, torch; from zcp import kernels; "
        "kernels.batched_determinant(torch.ones(2, 3, 3)); assert 'triton' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_kernel_can_be_disabled():
    class OnGpu:
        is_cuda = True

    usable = kernels.usable(OnGpu())
    with kernels.disabled():
        assert not kernels.usable(OnGpu())
    assert kernels.usable(OnGpu()) == usable

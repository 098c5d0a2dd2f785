"""Other processors, played by this one: settings that keep libraries from its newest instructions.

A setting reaches PyTorch (ATen, oneDNN, MKL) and, in `oldest`, numpy. Trees and least squares run in
scikit-learn and OpenBLAS, which none reaches: some builds of OpenBLAS crash under its own switch.
"""

from pathlib import Path
from typing import NamedTuple


class Setting(NamedTuple):
    """The environment of another processor.

    Attributes:
        variables: of the environment.
        needs: instructions that this processor must have to play it.
        beyond: instructions without which this processor is that other one already.
    """

    variables: dict[str, str]
    needs: str = ""
    beyond: str = ""


OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "AVX2,FMA3,AVX512F,AVX512CD,AVX512_SKX,AVX512_CLX,AVX512_CNL,AVX512_ICL",
}
SETTINGS = {
    "oldest": Setting(OLDEST, "sse4_2"),
    "ATen default": Setting({"ATEN_CPU_CAPABILITY": "default"}),
    "ATen avx2": Setting({"ATEN_CPU_CAPABILITY": "avx2"}, "avx2", "avx512f"),
    "oneDNN SSE41": Setting({"ONEDNN_MAX_CPU_ISA": "SSE41"}, "sse4_1"),
    "oneDNN AVX2": Setting({"ONEDNN_MAX_CPU_ISA": "AVX2"}, "avx2", "avx512f"),
    "MKL SSE4_2": Setting({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}, "sse4_2"),
    "MKL AVX2": Setting({"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, "avx2", "avx512f"),
    "MKL compatible": Setting({"MKL_CBWR": "COMPATIBLE"}),
    "one thread": Setting({"OMP_NUM_THREADS": "1"}),
    "two threads": Setting({"OMP_NUM_THREADS": "2"}),
}


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Return the instruction sets that this processor has, as Linux names them; none elsewhere."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.split(":")[1].split()}


def usable_settings(flags: set[str]) -> tuple[dict[str, Setting], list[str]]:
    """Return the settings that change what a processor of these flags does, and the others' names."""
    able = {name: each for name, each in SETTINGS.items() if {each.needs, each.beyond} - {""} <= flags}
    return able, [name for name in SETTINGS if name not in able]

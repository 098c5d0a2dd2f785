"""The steps of `bench/on_gpu.sh`: `python -m bench.on_gpu STEP OUT [--dry] [--mps]`; each writes a JSON file.

With --dry all run on the CPU, against itself, on the smallest networks: that they end is all that it shows.
"""

import argparse
import copy
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import zcp.golden
from zcp import build, kernels, list_proxies, score
from zcp.data.batches import gaussian_batches
from zcp.paths import GOLDEN
from zcp.proxies.registry import default_proxies
from zcp.versions import versions

SMALL = ("sss", "8:8:8:8:8")
NETWORKS = [("tss", 9930), ("tss", 5000), ("sss", "64:64:64:64:64")]
WORKERS = (1, 2, 4, 8, 16)


def environment(device: str, dry: bool) -> Iterator[dict[str, Any]]:
    """What this is run with."""
    found: dict[str, Any] = {**versions(), "cores": len(os.sched_getaffinity(0)), "cuda": torch.version.cuda}
    if device == "cuda":
        found |= {"device": torch.cuda.get_device_name(), "capability": torch.cuda.get_device_capability()}
        command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_mode", "--format=csv"]
        found["smi"] = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    yield found


def conformance(device: str, dry: bool) -> Iterator[dict[str, Any]]:
    """All proxies on the device against the CPU."""
    import tiny
    from tolerances import tolerance

    names = ["snip", "naswot", "eznas"] if dry else list_proxies()
    exact, single = "tiny, float64, 1e-6", "batch 64, float32, by proxy"
    found: dict[str, Any] = {exact: []}
    for network in tiny.NETWORKS if not dry else ["nats"]:
        batches, net = tiny.batches(dtype=torch.float64), tiny.network(network, dtype=torch.float64)
        found[exact] += _differing(net, batches, names, device, lambda _name: (1e-6, 1e-11), network)
        yield found
    found[single] = []
    for space, arch in [SMALL] if dry else [SMALL, NETWORKS[0]]:
        batches = gaussian_batches("cifar10", 2 if dry else 64, count=2)
        names = ["snip"] if dry else default_proxies()
        allowed = partial(tolerance, dtype=torch.float32, otherwise=1e-2)
        found[single] += _differing(build(space, arch), batches, names, device, allowed, f"{space} {arch}")
        yield found
    yield found | {"refused": dict(kernels.refused)}


def _differing(
    network: torch.nn.Module,
    batches: Any,
    names: Any,
    device: str,
    tolerance: Callable[[str], tuple[float, float]],
    title: str,
) -> list[str]:
    """Return a line for each proxy whose value on the device is not that on the CPU."""
    here = score(network, batches, names)
    there = score(copy.deepcopy(network).to(device), batches, names)
    lines = []
    for name, value in here.items():
        relative, absolute = tolerance(name)
        same = str(value) == str(there[name]) or math.isclose(
            value, there[name], rel_tol=relative, abs_tol=absolute
        )
        if not same:
            why = there.reasons.get(name, "")
            lines.append(
                f"{title} {name}: {value!r} on the CPU, {there[name]!r} on {device}, "
                f"tolerance {relative:g} {why}".rstrip()
            )
    print(f"{title}: {len(lines)} of {len(here)} differ", *lines, sep="\n  ", flush=True)
    return lines


def golden(device: str, dry: bool) -> Iterator[dict[str, Any]]:
    """The golden values on the device."""
    plain = zcp.golden.score
    zcp.golden.score = lambda net, *given, **more: plain(copy.deepcopy(net).to(device), *given, **more)
    found: dict[str, Any] = {"right": 0, "undecided": [], "missed": []}
    for line in islice(zcp.golden.check(GOLDEN / "golden.json"), 1 if dry else None):
        if line.ok:
            found["right"] += 1
        else:
            found["undecided" if line.ok is None else "missed"].append(str(line))
        yield found


def kernel_tests(device: str, dry: bool) -> Iterator[dict[str, Any]]:
    """The tests of the kernel against its eager twin, as pytest runs them here."""
    missing = [name for name in ("pytest", "hypothesis", "triton") if importlib.util.find_spec(name) is None]
    if missing:
        yield {"left out": f"not installed: {', '.join(missing)}"}
        return
    chosen = ["--collect-only"] if dry else ["-m", "not slow"]
    command = [sys.executable, "-m", "pytest", "tests/kernels/test_kernels.py", "-q", "--tb=line", *chosen]
    ran = subprocess.run([*command, "-p", "no:cacheprovider"], capture_output=True, text=True, check=False)
    # Figures that are committed name no path of the machine.
    told = ran.stdout.replace(f"{Path.cwd()}{os.sep}", "")
    print(told[-6000:])
    yield {"exit code": ran.returncode, "end": told.splitlines()[-40:]}


def gains(device: str, dry: bool) -> Iterator[dict[str, Any]]:
    """Seconds of the kernel and of its eager twin, in pairs: alone and in the proxy that launches it.

    And the seconds of the steps of whole networks.
    """
    found: dict[str, Any] = {}
    work: dict[str, Callable[[], Any]] = {}
    for count, side in ((1024, 32), (2048, 16), (4096, 8)):
        matrices = torch.randn(2 if dry else count, side, side, device=device).sign()
        work[f"determinants, {count} of side {side}"] = partial(kernels.batched_determinant, matrices)
    for space, arch in [SMALL] if dry else NETWORKS:
        network, batches = build(space, arch).to(device), _batches(device, dry)
        work[f"eznas_literal of {space} {arch}"] = partial(score, network, batches, ["eznas_literal"])
        score(network, batches, ["params"] if dry else None)
        scores = score(network, batches, ["params"] if dry else None)
        found[f"seconds by step, {space} {arch}"] = scores.seconds
    for name, run in work.items():
        seconds: dict[str, list[float]] = {"kernel": [], "eager": []}
        for _ in range(2 if dry else 6):
            seconds["kernel"].append(_timed(run, device))
            with kernels.disabled():
                seconds["eager"].append(_timed(run, device))
        # The first of each compiles.
        medians = {how: statistics.median(each[1:]) for how, each in seconds.items()}
        found[name] = {**seconds, "gain": medians["eager"] / medians["kernel"]}
        print(f"{name}: {found[name]['gain']:.2f} times as fast", flush=True)
        yield found | {"refused": dict(kernels.refused)}


def _batches(device: str, dry: bool) -> list[Any]:
    made = gaussian_batches("cifar10", 2 if dry else 64, count=2)
    return [(x.to(device), y.to(device)) for x, y in made]


def _timed(run: Callable[[], Any], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def rate(device: str, dry: bool) -> Iterator[dict[str, Any]]:
    """Rows a second at batch 64 by the number of processes, which all were warm before."""
    context, crew = get_context("spawn"), []
    for number in range(2 if dry else max(WORKERS)):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, device, dry, number), daemon=True)
        process.start()
        crew.append(ours)
    found = {}
    for connection in crew:
        connection.recv()
    for count in (1, 2) if dry else WORKERS:
        for connection in crew[:count]:
            connection.send(0.1 if dry else 5.0)
        rates = [connection.recv() for connection in crew[:count]]
        found[str(count)] = sum(rates)
        print(f"{count} workers: {sum(rates):.3f} rows a second", flush=True)
        yield found
    for connection in crew:
        connection.send(0.0)


def _work(connection: Any, device: str, dry: bool, number: int) -> None:
    """Warm up, then score networks for as many seconds as asked and answer with the rate."""
    torch.set_num_threads(1)
    archs = [8 + number] if dry else range(number, 15625, 997)
    networks = [build("sss" if dry else "tss", arch).to(device) for arch in archs]
    names, batches = ["params", "l2_norm"] if dry else default_proxies(), _batches(device, dry)
    score(networks[-1], batches, names)
    connection.send(None)
    while seconds := connection.recv():
        start, rows = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            score(networks[rows % len(networks)], batches, names)
            rows += 1
        connection.send(rows / (time.perf_counter() - start))


def best_workers(out: Path) -> str:
    """Return the number of processes with the best rate, and ` mps` where that was measured under MPS."""
    path = out / "rate.json"
    rates = json.loads(path.read_text()) if path.is_file() else {}
    pairs = [(value, count, how) for how, each in rates.items() for count, value in each.items()]
    _, count, how = max(pairs, default=(0.0, "8", "plain"))
    return f"{count} {how}"


STEPS = {
    "environment": environment,
    "conformance": conformance,
    "golden": golden,
    "kernels": kernel_tests,
    "gains": gains,
    "rate": rate,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.on_gpu", description=__doc__)
    parser.add_argument("step", choices=[*STEPS, "workers"])
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--dry", action="store_true", help="on the CPU, in miniature")
    parser.add_argument("--mps", action="store_true", help="say that an MPS server is running")
    options = parser.parse_args()
    if options.step == "workers":
        print(best_workers(options.out))
        return
    torch.set_num_threads(1)
    path = options.out / f"{options.step}.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    # Written as it comes: a step may be ended at any time.
    for found in STEPS[options.step]("cpu" if options.dry else "cuda", options.dry):
        if options.step == "rate":
            found = before | {"mps" if options.mps else "plain": found}
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What it costs to see the operations of a network, of all that a score costs.

The passes of one score of all proxies run twice: as `zcp` runs them (a recorder that sees every operation,
with the hooks that it needs), and right before or after it bare, `network(inputs)` in the same mode on the
same inputs, in turns which first. The difference of both processor times, over all passes, is the cost of
seeing. The ratio is the processor time of the score to that less this cost: of the same score, if it could do
without. What copies and views of activations cost is part of the cost of seeing; what a proxy computes of
each operation while the pass runs (formulas) is not. Passes whose bare form would be another count as they
are: that of blocks, which differentiates in between, and that of synflow, which leaves out the norms.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from zcp import build, gaussian_batches, score
from zcp.statistics import capture
from zcp.statistics.calls import Call, Pass

NETWORK = ("tss", 9930)


def ratio_of_seeing(batch: int) -> float:
    """Return the processor time of a score to what it would be without a recorder."""
    network, batches = build(*NETWORK), gaussian_batches("cifar10", batch)
    seen, bare, taken = list[float](), list[float](), list[float]()
    real = capture.forward

    def run_bare(network: nn.Module, inputs: Tensor) -> None:
        start = time.process_time()
        outputs = network(inputs)
        bare.append(time.process_time() - start)
        del outputs  # the graph of the pass that is seen is not freed within its time, either

    def without_its_time(take: Callable[[Call], None]) -> Callable[[Call], None]:
        def timed(call: Call) -> None:
            start = time.process_time()
            take(call)
            taken.append(time.process_time() - start)

        return timed

    def forward(network: nn.Module, inputs: Tensor, *args: Any, **asked: Any) -> Pass:
        if asked.get("without_norms"):
            return real(network, inputs, *args, **asked)
        if take := asked.get("take"):
            asked["take"] = without_its_time(take)
        first = len(bare) % 2
        if first:
            run_bare(network, inputs)
        start = time.process_time()
        found = real(network, inputs, *args, **asked)
        seen.append(time.process_time() - start)
        if not first:
            run_bare(network, inputs)
        return found

    capture.forward = forward
    try:
        start = time.process_time()
        score(network, batches)
        whole = time.process_time() - start - sum(bare)
    finally:
        capture.forward = real
    return whole / (whole - (sum(seen) - sum(taken) - sum(bare)))


def compare(batch: int, repeats: int, most: float) -> bool:
    """Print the ratio of several scores and return whether their median is at most `most`."""
    ratio_of_seeing(batch)  # what is set up once
    ratios = [ratio_of_seeing(batch) for _ in range(repeats)]
    middle = statistics.median(ratios)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"    batch {batch}: median {middle:.3f}, {spread} in {repeats} rounds (asked: at most {most:g})")
    return middle <= most

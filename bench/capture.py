"""What it costs to see the operations of a network, of all that a score costs.

Before each pass of one score of all proxies this pass runs twice more: as `zcp` runs it (a recorder that sees
every operation, with the hooks that it needs), and bare, `network(inputs)` in the same mode on the same
inputs, in turns which first. The difference of both processor times, over all passes, is the cost of seeing.
The ratio is the processor time of the score, without these runs, to that less this cost: of the same score,
if it could do without. What copies and views of activations cost, and to keep them, is part of the cost of
seeing. What a proxy computes of each operation while the pass runs (formulas) is not, nor that the next
operation finds its inputs no longer in the cache: those two runs let each operation go. Passes whose bare
form would be another count as they are: that of blocks, which differentiates in between, and that of synflow,
which leaves out the norms.
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


def _let_go(_call: Call) -> None:
    """Take an operation, and do nothing with it."""


def _seconds(run: Callable[[], object]) -> float:
    """Return the processor time of a pass; to free what it kept takes none of it."""
    start = time.process_time()
    kept = run()
    taken = time.process_time() - start
    del kept
    return taken


def ratio_of_seeing(batch: int, turn: int = 0) -> float:
    """Return the processor time of a score to what it would be without a recorder.

    Args:
        batch: samples in a batch.
        turn: where even, the first pass runs bare last.
    """
    network, batches = build(*NETWORK), gaussian_batches("cifar10", batch)
    costs, apart = list[float](), list[float]()
    real = capture.forward

    def compare_pass(network: nn.Module, inputs: Tensor, *args: Any, **asked: Any) -> None:
        if asked.get("take"):
            asked["take"] = _let_go
        runs: list[Callable[[], object]] = [
            lambda: real(network, inputs, *args, **asked),
            lambda: network(inputs),
        ]
        order = (0, 1) if (len(costs) + turn) % 2 == 0 else (1, 0)
        taken = {each: _seconds(runs[each]) for each in order}
        costs.append(taken[0] - taken[1])

    def forward(network: nn.Module, inputs: Tensor, *args: Any, **asked: Any) -> Pass:
        if not asked.get("without_norms"):
            apart.append(_seconds(lambda: compare_pass(network, inputs, *args, **asked)))
        return real(network, inputs, *args, **asked)

    capture.forward = forward
    try:
        whole = _seconds(lambda: score(network, batches)) - sum(apart)
    finally:
        capture.forward = real
    return whole / (whole - sum(costs))


def compare(batch: int, repeats: int, most: float) -> bool:
    """Print the ratio of several scores and return whether their median is at most `most`."""
    ratio_of_seeing(batch)  # what is set up once
    ratios = [ratio_of_seeing(batch, turn) for turn in range(repeats)]
    middle = statistics.median(ratios)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"    batch {batch}: median {middle:.3f}, {spread} in {repeats} rounds (asked: at most {most:g})")
    return middle <= most

"""A set of proxies from shared passes, against one by one and in units of a plain forward and backward."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import nn

from bench.timing import interleaved
from zcp import REGISTRY, build, score
from zcp.ensemble.published import COLUMNS
from zcp.inputs import gaussian_batches

NETWORKS = {"TSS 9930": ("tss", 9930), "SSS 64:64:64:64:64": ("sss", "64:64:64:64:64")}

#: The first proxies of the project.
FIRST = (
    *("params", "flops", "grad_norm", "snip", "grasp", "fisher"),
    *("synflow", "jacob_cov", "naswot", "zen", "zico"),
)

#: The columns of GreenFactory that are scores of one network; the condition number and zen take 16 samples.
GREENFACTORY = tuple(name for name in COLUMNS.values() if name in REGISTRY)


def forward_backward(network: nn.Module, batch: tuple) -> Callable[[], None]:
    """Return a plain forward and backward of the loss, the unit of cost."""

    def run() -> None:
        network.zero_grad(set_to_none=True)
        F.cross_entropy(network(batch[0]), batch[1]).backward()

    return run


def shared_passes(
    proxies: Sequence[str], batch: int, repeats: int, most: float, least: float | None = None
) -> bool:
    """Print the cost of `proxies` and return whether the targets are met.

    Args:
        proxies: names.
        batch: samples in a batch.
        repeats: rounds of measurement.
        most: target, units of one plain forward and backward for all together.
        least: target, time one by one over time together; None leaves that out.
    """
    met = True
    for title, (space, arch) in NETWORKS.items():
        network, batches = build(space, arch), gaussian_batches("cifar10", batch)
        work: dict[str, Callable[[], object]] = {
            "unit": forward_backward(build(space, arch), batches[0]),
            "together": lambda n=network, b=batches: score(n, b, proxies),
        }
        if least is not None:
            work["one by one"] = lambda n=network, b=batches: [score(n, b, [name]) for name in proxies]
        seconds = interleaved(work, repeats)
        units = seconds["together"] / seconds["unit"]
        met &= units <= most
        print(
            f"{title}: one forward and backward {seconds['unit']:.2f} s, together {seconds['together']:.2f} s"
        )
        print(f"    {units:.2f} units of one forward and backward (target: at most {most:g})")
        if least is not None:
            ratio = seconds["one by one"] / seconds["together"]
            met &= ratio >= least
            print(
                f"    one by one {seconds['one by one']:.2f} s: {ratio:.2f} times as long "
                f"(target: at least {least:g})"
            )
    return met

"""Run the benchmarks: `python -m bench [--batch 64] [--repeats 5]`. Ends with 1 if a target is missed."""

import argparse
import sys

import torch

from bench.capture import compare
from bench.memory import peak
from bench.passes import FIRST, NETWORKS, shared_passes, steady, units_of_rounds
from bench.tuning import compare_searches
from zcp.study.cost.throughput import STEADY_BATCH


def first_proxies(batch: int, repeats: int) -> bool:
    """The first proxies: at least 1.8 times faster together, at most 7 units."""
    print(f"{len(FIRST)} proxies ({', '.join(FIRST)}), batch {batch}, one thread, median of {repeats}")
    return shared_passes(FIRST, batch, repeats, most=7, least=1.8)


def greenfactory(batch: int, repeats: int) -> bool:
    """GreenFactory's scores on random networks: at most 11 units at batch 8, 7.5 at batch 64."""
    print("scores of GreenFactory in units of one forward and backward of the same network, one thread")
    met = [units_of_rounds(size, EACH[size], repeats, most) for size, most in UNITS.items()]
    return all(met)


def floor(batch: int, repeats: int) -> bool:
    """The passes alone that these scores ask for, in both layouts."""
    print("passes of GreenFactory's scores, in the same units")
    for size, each in EACH.items():
        units_of_rounds(size, each, repeats, floors=True)
    return True


def drift(batch: int, repeats: int) -> bool:
    """A thousand networks one after the other: the time of each within 10 percent, memory flat."""
    return steady(1000, STEADY_BATCH)


def seeing(batch: int, repeats: int) -> bool:
    """Seeing the operations of a network: at most 3 percent of a score, at batch 8 and 64."""
    print("all proxies with operations seen, to the same without, TSS 9930, one thread")
    met = [compare(size, repeats, 1.03) for size in (8, 64)]
    return all(met)


def memory(batch: int, repeats: int) -> bool:
    """Peak memory of one network: at most 3 GiB."""
    met = True
    for title, (space, arch) in NETWORKS.items():
        before, after = peak(space, arch, batch, FIRST)
        met &= after <= 3
        print(f"{title}: peak memory {after:.2f} GiB (before {before:.2f}; target: at most 3), batch {batch}")
    return met


def tuning(batch: int, repeats: int) -> bool:
    """The search for hyperparameters: at least 4 times faster than a plain loop, as good within 2 percent."""
    return compare_searches(trials=12 * repeats)


#: Random networks of each space, by batch: all rounds together take some six minutes of one core.
EACH = {8: 3, 64: 2}
#: Most units that GreenFactory's scores may cost, by batch; `--batch` does not change these.
UNITS = {8: 11.0, 64: 7.5}

BENCHMARKS = {
    "first": first_proxies,
    "greenfactory": greenfactory,
    "floor": floor,
    "capture": seeing,
    "memory": memory,
    "drift": drift,
    "tuning": tuning,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default"
    )
    parser.add_argument("--batch", type=int, default=64, help="samples in a batch")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, of which the median counts")
    options = parser.parse_args()
    if unknown := {*options.names} - {*BENCHMARKS}:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(BENCHMARKS)}")
    if options.batch < 1 or options.repeats < 1:
        parser.error("--batch and --repeats must be positive")
    torch.set_num_threads(1)
    results = [BENCHMARKS[name](options.batch, options.repeats) for name in options.names or BENCHMARKS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

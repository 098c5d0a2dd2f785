"""What a set of proxies costs: mean seconds a network, steps that several proxies share charged once.

The times are those of the collection, measured while it ran on however many processes; what counts here is
how they compare.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from zcp.errors import InputError
from zcp.proxies.population import AZ_NAS_PARTS
from zcp.statistics.seeding import seed_for

PREFIX = "seconds_"
CELL = ["space", "dataset"]
#: Networks of each space and dataset whose times are averaged, as in the paper.
NETWORKS = 100


@dataclass(frozen=True)
class Costs:
    """Times of a collection.

    Attributes:
        seconds: mean seconds a network of each step, over the rows that timed it.
        steps: the steps that each proxy needs.
    """

    seconds: Mapping[str, float]
    steps: Mapping[str, Iterable[str]]

    def __call__(self, features: Iterable[str]) -> float:
        """Return the mean seconds a network for these features; dataset indicators cost nothing.

        Raises:
            InputError: if a proxy's steps are unknown or were never timed.
        """
        proxies = [f for f in features if not f.startswith("dataset=")]
        unknown = [p for p in proxies if p not in self.steps]
        needed = {step for p in proxies if p in self.steps for step in self.steps[p]}
        missing = unknown + sorted(needed - set(self.seconds))
        if missing:
            raise InputError(
                f"the scores hold no time of {', '.join(missing)}; collect them with their seconds"
            )
        return float(sum(self.seconds[step] for step in needed))


def read_costs(scores: pd.DataFrame, networks: int = NETWORKS) -> Costs:
    """Return the costs of a collection, as `zcp.collect.load_scores` returns it.

    Of each space and dataset `networks` are drawn at random (fixed seed), all where they are fewer.
    """
    drawn = [
        cell.sample(min(networks, len(cell)), random_state=seed_for("costs") % 2**32)
        for _, cell in scores.groupby(CELL)
    ]
    seconds = pd.concat(drawn)[[c for c in scores.columns if c.startswith(PREFIX)]].mean().dropna()
    timed = {str(name).removeprefix(PREFIX): float(mean) for name, mean in seconds.items()}
    steps: dict[str, list[str]] = dict(scores.attrs["settings"]["steps"])
    if {*AZ_NAS_PARTS} <= {*steps}:
        steps["az_nas"] = sorted({step for part in AZ_NAS_PARTS for step in steps[part]})
    return Costs(timed, steps)


def compare_costs(costs: Costs) -> pd.DataFrame:
    """Return what each proxy costs alone and what it adds to those above it, in milliseconds a network.

    Returns:
        proxy, alone, added (steps that were not charged yet); the sum of `added` is the cost of all
        together.
    """
    rows, charged = [], 0.0
    names = sorted(costs.steps, key=lambda name: costs([name]))
    for number, name in enumerate(names, start=1):
        total = costs(names[:number])
        rows.append({"proxy": name, "alone": 1e3 * costs([name]), "added": 1e3 * (total - charged)})
        charged = total
    return pd.DataFrame(rows)

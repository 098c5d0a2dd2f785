"""What a set of proxies costs: mean seconds a network, steps that several proxies share charged once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from zcp.errors import InputError

PREFIX = "seconds_"


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


def read_costs(scores: pd.DataFrame) -> Costs:
    """Return the costs of a collection, as `zcp.collect.load_scores` returns it."""
    seconds = scores[[c for c in scores.columns if c.startswith(PREFIX)]].mean().dropna()
    timed = {str(name).removeprefix(PREFIX): float(mean) for name, mean in seconds.items()}
    return Costs(timed, scores.attrs["settings"]["steps"])


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

"""The scores of one network."""

from collections import Counter
from typing import TYPE_CHECKING

from zcp.errors import Kind

if TYPE_CHECKING:
    import pandas as pd


class Scores(dict[str, float]):
    """Scores by proxy name, with what is worth knowing about them.

    Attributes:
        reasons: why a value is NaN or infinite, by proxy name.
        kinds: what each of these reasons is of.
        seconds: time by step; a step is shared by every proxy that `steps` lists it for.
        steps: the steps that each proxy needed: its initialisation group's preparation, the statistics that
            it read, and its own arithmetic. The cost of a set of proxies is the sum over the union.
        passes: by initialisation, how often the network ran (`forward`, `backward`, `double_backward`).
        step_passes: the same by step; those of a proxy alone are the sum over its `steps`.
        larger_is_better: the direction in which networks are expected to improve, by proxy name.
        untouched: parameters that no initialisation draws anew, so that they are the network's own.
        unseen: functions that are not linear and that no pattern of activations holds, by name; the proxies
            that count patterns (naswot, linear_regions, te_nas) see the others only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}
        self.kinds: dict[str, Kind] = {}
        self.seconds: dict[str, float] = {}
        self.steps: dict[str, tuple[str, ...]] = {}
        self.passes: dict[str, Counter[str]] = {}
        self.step_passes: dict[str, Counter[str]] = {}
        self.larger_is_better: dict[str, bool] = {}
        self.untouched: tuple[str, ...] = ()
        self.unseen: tuple[str, ...] = ()

    def record(self, name: str, value: float, reason: str = "", kind: Kind = Kind.UNDEFINED) -> None:
        """Keep the value of a proxy and, where it has one, its reason, in the place of what was there."""
        self[name] = value
        self.reasons.pop(name, None)
        self.kinds.pop(name, None)
        if reason:
            self.reasons[name], self.kinds[name] = reason, kind

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row a proxy: `value`, `reason`, `seconds` (of all its steps), `direction`.

        The direction is that in which networks are expected to improve, `larger` or `smaller`.
        """
        import pandas as pd

        rows = {
            name: {
                "value": value,
                "reason": self.reasons.get(name, ""),
                "seconds": sum(self.seconds.get(step, 0.0) for step in self.steps[name]),
                "direction": "larger" if self.larger_is_better.get(name, True) else "smaller",
            }
            for name, value in self.items()
        }
        columns = ["value", "reason", "seconds", "direction"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("proxy")

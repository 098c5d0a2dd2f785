"""Times of several pieces of work, measured in turns, so that a busy machine slows all of them alike.

Processor time, not wall time: on one thread they are the same, except for what other programs take.
"""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    work: Mapping[str, Callable[[], object]], repeats: int, *, warm_up: bool = True
) -> dict[str, float]:
    """Return the median processor time in seconds of each piece of work.

    Args:
        work: functions by name.
        repeats: rounds; in each, every function runs once.
        warm_up: whether one more round runs beforehand, which does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + warm_up):
        for name, run in work.items():
            start = time.process_time()
            run()
            if turn >= warm_up:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}

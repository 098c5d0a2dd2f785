"""Collection: the scores of many networks in a folder of immutable files, resumable and sharded.

How a row travels from the order to the disk, module by module:

1. `command_line` reads `zcp collect`; `settings` freezes what the values depend on (`Settings`: proxies,
   versions of their definitions, inputs and digests of the images, batch, seed) and what may vary (`Origin`).
2. `order` says which networks, and in which order: a `Unit` is (space, index, dataset). Every prefix of the
   order is a random sample, and every shard a part of it.
3. `run.collect` refuses other settings and leaves the units that the collection lacks.
4. `workers.Pool`, processes that are replaced when they die, or `cluster.Cluster`, a Dask cluster, run them.
   A task that fails three times becomes a `Failure`.
5. `row.score_row` builds the network, feeds and scores it; the result is a dictionary, the row. A failed
   network gets a row of NaN with the reason; one that failed for want of memory or a worker stays open.
6. `parts` writes a file a minute, a part that is never changed afterwards; it merges collections, and
   `parts.load_scores` is how everyone else reads them.
"""

from zcp.collect.cluster import Cluster
from zcp.collect.order import Unit, first, plan, sampling_order
from zcp.collect.parts import load_scores, merge, scores_digest, scores_path
from zcp.collect.row import score_row
from zcp.collect.run import collect
from zcp.collect.settings import Settings, choose_settings, outdated, recorded_versions
from zcp.collect.workers import Pool

__all__ = [
    "Cluster",
    "Pool",
    "Settings",
    "Unit",
    "choose_settings",
    "collect",
    "first",
    "load_scores",
    "merge",
    "outdated",
    "plan",
    "recorded_versions",
    "sampling_order",
    "score_row",
    "scores_digest",
    "scores_path",
]

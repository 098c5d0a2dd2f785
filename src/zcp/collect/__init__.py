"""Collection: the scores of many networks in one Parquet file, resumable and sharded.

How a row travels from the order to the file, module by module:

1. `command_line` reads `zcp collect`; `settings` freezes what the values depend on (`Settings`: proxies,
   inputs, batch, seed, digests of the images from `digests`, version) and what may vary (`Origin`).
2. `order` says which networks, and in which order: a `Unit` is (space, index, dataset). Every prefix of the
   order is a random sample, and every shard a part of it.
3. `run.collect` opens a `writer.ScoresWriter`: it takes the file's `lock`, reads what is there, refuses other
   settings, and leaves the units that are not done yet.
4. `executor` says what runs them: `pool.Pool`, processes that are replaced when they die, or
   `cluster.Cluster`, a Dask cluster. A task that fails three times becomes a `Failure`.
5. `row.score_row` builds the network, feeds and scores it; the result is a dictionary, the row. A failed
   network gets a row of NaN with the reason.
6. `journal.Journal` appends the row at once, a line of JSON: a killed collector loses at most one.
7. Every few minutes, and at the end, the writer moves the journal into the Parquet file: `store` writes it,
   whole or not at all, in the columns and with the checks of `schema`.
8. `merge` joins the files of shards, and `store.load_scores` is how everyone else reads them.
"""

from zcp.collect.cluster import Cluster
from zcp.collect.command_line import collect_command, merge_command
from zcp.collect.merge import merge_shards
from zcp.collect.order import Unit, first, plan, sampling_order
from zcp.collect.pool import Pool
from zcp.collect.row import score_row
from zcp.collect.run import collect
from zcp.collect.settings import Settings, choose_settings, outdated, recorded_versions
from zcp.collect.store import load_scores, scores_path

#: What the command line registers.
command = collect_command

__all__ = [
    "Cluster",
    "Pool",
    "Settings",
    "Unit",
    "choose_settings",
    "collect",
    "collect_command",
    "command",
    "first",
    "load_scores",
    "merge_command",
    "merge_shards",
    "outdated",
    "plan",
    "recorded_versions",
    "sampling_order",
    "score_row",
    "scores_path",
]

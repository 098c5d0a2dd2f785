"""Collection: the scores of many networks in one Parquet file, resumable and sharded."""

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

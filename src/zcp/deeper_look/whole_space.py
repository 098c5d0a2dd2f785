"""A few cheap proxies for every architecture of the topology space, from narrow networks.

A search needs a score for whatever it proposes. Networks of 8 channels and one cell a stage cost so little
that the whole space can be scored; isomorphic cells, which compute the same function, share one score.
"""

import json
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from zcp.deeper_look.training import Recipe, build_narrow
from zcp.errors import InputError
from zcp.inputs import Batch
from zcp.paths import PROJECT, RUNS
from zcp.scoring import score
from zcp.seeding import generator
from zcp.spaces import get_space
from zcp.spaces.cells import EDGES
from zcp.spaces.tss import parse_cell

DEPOSITED = PROJECT / "data" / "deeper_look"
PROXIES = ("jacob_cov", "naswot", "log_synflow", "snip")
#: Images of Gaussian noise that every network is scored on.
SHAPE = (16, 3, 16, 16)


def canonical_cell(arch: str) -> str:
    """Return a string that isomorphic cells share, and only they; the benchmark's own rule.

    A node is the sorted sum of what enters it; `none` gives nothing, and `skip_connect` what it leaves from.
    """
    nodes = ["0"]
    operations = dict(zip(EDGES, parse_cell(arch), strict=True))
    for node in range(1, 4):
        terms = []
        for source in range(node):
            operation = operations[source, node]
            if operation == "none" or nodes[source] == "#":
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


@cache
def representatives() -> tuple[int, ...]:
    """Return, for each index of the topology space, the first index whose cell is isomorphic."""
    space, first = get_space("tss"), dict[str, int]()
    return tuple(first.setdefault(canonical_cell(space.arch(index)), index) for index in range(space.size))


def noise() -> list[Batch]:
    """Return the one batch that every network is scored on."""
    source = generator("whole space")
    return [Batch(torch.randn(*SHAPE, generator=source), torch.arange(SHAPE[0]) % 10)]


def score_narrow(index: int) -> dict[str, float]:
    """Return the scores of the narrow network of one architecture (NaN where a proxy is undefined)."""
    return dict(score(build_narrow(index, Recipe(), 0), noise(), PROXIES, init="keep"))


def collect(path: Path = RUNS / "narrow.jsonl") -> pd.DataFrame:
    """Score one architecture a class, going on where an earlier call stopped, and return the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    path.write_text("".join(line for line in lines if line.endswith("\n")))
    wanted = sorted(set(representatives()) - {row["index"] for row in rows})
    with path.open("a") as journal:
        for index in tqdm(wanted, "narrow", mininterval=10):
            rows.append({"index": index, **score_narrow(index)})
            journal.write(json.dumps(rows[-1]) + "\n")
            journal.flush()
    return pd.DataFrame(rows).sort_values("index", ignore_index=True)


@cache
def whole_space() -> pd.DataFrame:
    """Return the deposited scores of all architectures, with params and flops of the benchmark's networks.

    Returns:
        One row an index of the topology space (the index), one column a proxy; larger is better.

    Raises:
        InputError: if the deposited file is missing.
    """
    path = DEPOSITED / "narrow.parquet"
    if not path.is_file():
        raise InputError(f"no deposited scores {path}; restore the file, which belongs to the project")
    found = pd.read_parquet(path).set_index("index").loc[list(representatives())]
    space = get_space("tss")
    archs = [space.arch(index) for index in range(space.size)]
    found.index = pd.RangeIndex(space.size, name="index")
    return found.astype("float64").assign(
        params=[float(space.params(a, 10)) for a in archs],
        flops=[float(space.flops(a, 10, 32)) for a in archs],
    )

"""Fits that are kept on disk: an interrupted study continues, and a curve that grows reuses what it has."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Memory

from zcp.ensemble.examples import Examples
from zcp.paths import RUNS
from zcp.versions import versions

#: Results of functions by their arguments, in a folder that git ignores.
MEMORY = Memory(RUNS / "fits", verbose=0)


def fingerprint(examples: Examples) -> str:
    """Return a digest of the rows, of the versions and of the code of `zcp.ensemble`.

    A kept fit is used again only where nothing that it depends on has changed.
    """
    digest = hashlib.sha256(json.dumps([examples.target, versions(), _source()]).encode())
    digest.update("\x1f".join(examples.features.columns).encode())
    for values in (examples.features, examples.accuracy, examples.labels):
        digest.update(np.ascontiguousarray(pd.util.hash_pandas_object(values, index=False)).tobytes())
    return digest.hexdigest()[:32]


@cache
def _source() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

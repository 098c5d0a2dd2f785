"""Damaged files of every format: each is refused in one line or read as it was, and no code of it runs.

`python tests/test_fuzz.py 10000` damages so many and prints what became of them.
"""

import os
import pickle
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fuzz_subjects import Subject, archive, collection, images, model, texts

from zcp.errors import LONGEST, InputError


class Malicious:
    """Unpickling it would leave a mark."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def damage(content: bytes, rng: np.random.Generator, bombs: list[bytes]) -> bytes:
    """Flip, overwrite, cut, double, move or insert; now and then insert or give what would run."""
    start, end = sorted(rng.integers(0, len(content) + 1, 2))
    end = min(end, start + int(rng.choice([1, 2, 8, 64, 10**6])))
    part = content[start:end]
    match rng.integers(8):
        case 0:
            at = int(rng.integers(len(content)))
            part, start, end = bytes([content[at] ^ 1 << int(rng.integers(8))]), at, at + 1
        case 1:
            part = rng.bytes(len(part))
        case 2:
            part = b""
        case 3:
            part = part * 2
        case 4:
            return content[:start]
        case 5:
            part = bytes(len(part))
        case 6:
            part = bombs[int(rng.integers(len(bombs)))]
        case 7 if rng.random() < 0.1:
            return bombs[int(rng.integers(len(bombs)))]
        case _:
            part = part[::-1]
    return content[:start] + part + content[end:]


def fuzz(folder: Path, count: int, seed: int = 0) -> pd.DataFrame:
    """Damage every subject `count` times; return what became of it, and raise at the first fault."""
    makers = {"scores": collection, "models": model, "images": images, "archive": archive, "texts": texts}
    subjects = [subject for name, make in makers.items() for subject in make(folder / name)]
    marker, rng = folder / "ran", np.random.default_rng(seed)
    bombs = [pickle.dumps(Malicious(marker), protocol) for protocol in (0, 2, 4)]
    call = f'"__module__": "os", "__class__": "mkdir", "content": ["{marker}"]'
    bombs += [b'"__class__": "system", "__module__": "os"', call.encode(), b"[" * 3000, b"9" * 5000, b"NaN"]
    outcomes = []
    for subject in subjects:
        subject.put(subject.content)
        whole, found = subject.read(), Counter()
        for _ in range(count):
            subject.put(damaged := damage(subject.content, rng, bombs))
            found[_outcome(subject, whole, damaged)] += 1
            assert not marker.exists(), f"{subject.name}: code was run"
        subject.put(subject.content)
        assert subject.read() == whole
        outcomes.append({"subject": subject.name, "detects": subject.detects, **found})
    return pd.DataFrame(outcomes).fillna(0)


def _outcome(subject: Subject, whole: Any, damaged: bytes) -> str:
    try:
        same = subject.read() == whole
    except InputError as error:
        assert len(str(error)) < LONGEST + 10 and "\n" not in str(error), (subject.name, str(error))
        return "refused"
    except BaseException as error:
        raise AssertionError(f"{subject.name}: {error!r} of {damaged[:200]!r}") from error
    assert same or not subject.detects or damaged == subject.content, f"{subject.name}: {damaged[:200]!r}"
    return "read as it was" if same else "read as another"


@pytest.mark.slow
def test_damaged_files_are_refused_in_a_line_or_read_as_they_were(tmp_path):
    found = fuzz(tmp_path, 30)
    assert len(found) >= 19 and found["refused"].min() > 0
    assert found.loc[found["detects"], "read as another"].eq(0).all()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        print(fuzz(Path(made), -(-int(sys.argv[1]) // 19), seed=1).to_string(index=False))

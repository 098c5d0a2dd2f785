"""What stands in the place of a file and is none, or may not be read: one line, and nobody waits for ever."""

import os

import pytest
from hostile import answer

from zcp import golden
from zcp.benchmarks.base import read_parquet
from zcp.collect import load_scores
from zcp.collect.order import read_indices
from zcp.data.checksums import verify
from zcp.data.images import load_images
from zcp.data.pickles import load_restricted
from zcp.ensemble.cards import read_card
from zcp.errors import InputError

#: Name of the file -> what reads it.
READERS = {
    "0123456789abcdef.parquet": lambda path: load_scores(path.parent),
    "golden.json": lambda path: list(golden.check(path)),
    "cifar10_2048.npz": lambda path: load_images("cifar10", path.parent),
    "data_batch_1": load_restricted,
    "card.json": read_card,
    "SHA256SUMS": lambda path: verify(path.parent, "SHA256SUMS"),
}


def as_pipe(path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with names here")
    os.mkfifo(path)


def as_forbidden(path):
    path.write_bytes(b"x")
    path.chmod(0)


ODD = {
    "folder": lambda path: path.mkdir(),
    "link to nothing": lambda path: path.symlink_to(path.parent / "nothing"),
    "link to itself": lambda path: path.symlink_to(path),
    "pipe": as_pipe,
    "forbidden": as_forbidden,
    "empty": lambda path: path.touch(),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", READERS)
def test_is_refused_in_a_line(tmp_path, name, odd):
    ODD[odd](tmp_path / name)
    with pytest.raises(InputError) as caught:
        READERS[name](tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_golden_file_that_is_none(tmp_path):
    (tmp_path / "passwd").write_text("root:x:0")
    with pytest.raises(InputError, match="passwd is no JSON"):
        list(golden.check(tmp_path / "passwd"))
    with pytest.raises(InputError, match="it is a folder"):
        list(golden.check(tmp_path))


@pytest.mark.parametrize("odd", ["folder", "link to nothing", "link to itself", "forbidden"])
def test_lists_and_tables_are_too(tmp_path, odd):
    ODD[odd](tmp_path / "file")
    assert answer(read_indices, tmp_path / "file", ["tss"]) is None
    assert answer(read_parquet, tmp_path / "file") is None

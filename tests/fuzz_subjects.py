"""Files of every format, whole, for `test_fuzz.py` to damage."""

import bz2
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import nats_bench
import numpy as np
import pyarrow.parquet as pq
from collecting import SETTINGS, fake_row
from ensembles import make_artefact, make_rows

from zcp import golden
from zcp.benchmarks.archive import NAMES, Archive
from zcp.collect import load_scores
from zcp.collect.order import first, plan, read_indices
from zcp.collect.parts import DIGITS, write_part
from zcp.collect.row import rows_to_frame
from zcp.collect.settings import Origin
from zcp.data.checksums import sha256
from zcp.data.images import load_images
from zcp.ensemble.artefacts import read, write
from zcp.ensemble.cards import seal
from zcp.formulas import parse
from zcp.spaces import get_space


class Subject(NamedTuple):
    """A file that is damaged.

    Attributes:
        name: what it is.
        content: as it is whole.
        put: writes it, whatever its content.
        read: reads it, and gives something that can be compared.
        detects: whether a changed value must be noticed: not where the damage is done before a checksum is
            made, as a program would, or where the format has none.
    """

    name: str
    content: bytes
    put: Callable[[bytes], object]
    read: Callable[[], Any]
    detects: bool = True


def collection(folder: Path) -> list[Subject]:
    folder.mkdir()
    units = plan(first(3, ["tss", "sss"], 0), ["cifar10"])
    rows = [fake_row(unit.space, unit.index, unit.dataset, SETTINGS) for unit in units]
    path = write_part(folder, rows_to_frame(rows, SETTINGS.proxies), Origin(SETTINGS, [{"device": "cpu"}]))
    whole = path.read_bytes()
    told = pq.read_schema(path).metadata[b"settings"]

    def put(content: bytes) -> None:
        for old in folder.iterdir():
            old.unlink()
        (folder / path.name).write_bytes(content)

    def put_named(content: bytes) -> None:
        put(content)
        (folder / path.name).rename(folder / f"{sha256(folder / path.name)[:DIGITS]}.parquet")

    def put_settings(content: bytes) -> None:
        buffer = io.BytesIO()
        table = pq.read_table(io.BytesIO(whole))
        pq.write_table(table.replace_schema_metadata({"settings": content}), buffer)
        put_named(buffer.getvalue())

    def read_it() -> str:
        frame = load_scores(folder)
        return frame.to_json() + json.dumps(frame.attrs["settings"])

    return [
        Subject("part", whole, put, read_it),
        Subject("part, named by its checksum", whole, put_named, read_it, detects=False),
        Subject("settings of a part", told, put_settings, read_it, detects=False),
    ]


def model(folder: Path) -> list[Subject]:
    with mock.patch("zcp.ensemble.candidates.TREES", 3):
        card = write(make_artefact(make_rows()), folder)
    file = card.with_suffix(".skops")
    whole, told = file.read_bytes(), card.read_bytes()
    schema = zipfile.ZipFile(file).read("schema.json")

    def put_both(content: bytes, text: bytes = told) -> None:
        file.write_bytes(content)
        card.write_bytes(text)

    def put_sealed(text: bytes) -> None:
        try:
            if isinstance(content := json.loads(text), dict):
                text = json.dumps({**content, "seal": seal(content)}).encode()
        except (ValueError, RecursionError):
            pass  # no JSON: nothing that could be sealed
        put_both(whole, text)

    def put_model(content: bytes) -> None:
        file.write_bytes(content)
        put_sealed(json.dumps({**json.loads(told), "sha256": sha256(file)}).encode())
        file.write_bytes(content)

    def put_schema(content: bytes) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
            for name in old.namelist():
                new.writestr(name, content if name == "schema.json" else old.read(name))
        put_model(buffer.getvalue())

    def read_it() -> str:
        found = read("GreenFactory", "test", folder)
        return str((found.features, found.widths.to_json(), found.scores, found.card, found.population))

    return [
        Subject("card", told, lambda text: put_both(whole, text), read_it),
        Subject("card, sealed", told, put_sealed, read_it, detects=False),
        Subject("model", whole, put_both, read_it),
        Subject("model, with its checksum", whole, put_model, read_it, detects=False),
        Subject("types of a model", schema, put_schema, read_it, detects=False),
    ]


def images(folder: Path) -> list[Subject]:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (6, 32, 32, 3), np.uint8), np.arange(6)
    subjects = []

    def reader(where: Path | None = None) -> Callable[[], str]:
        def read_it() -> str:
            with mock.patch.dict(os.environ, {"ZCP_DATA": str(folder / "data")}):
                found = load_images("cifar10", where)
            return sha256_of(found.images) + sha256_of(found.labels)

        return read_it

    for name, save in (("stored", np.savez), ("compressed", np.savez_compressed)):
        (folder / name).mkdir(parents=True)
        path = folder / name / "cifar10_2048.npz"
        save(path, images=pixels, labels=labels)
        whole = path.read_bytes()
        subjects.append(Subject(f"images, {name}", whole, path.write_bytes, reader(folder / name)))
    (folder / "data/images").mkdir(parents=True)
    listed = folder / "data/images/cifar10_2048.npz"
    listed.write_bytes(whole)
    sums = folder / "data/SHA256SUMS"
    sums.write_text(f"{sha256(listed)}  images/cifar10_2048.npz\n{'0' * 64}  other\n")
    subjects += [
        Subject("images, listed", whole, listed.write_bytes, reader()),
        Subject("list of checksums", sums.read_bytes(), sums.write_bytes, reader()),
    ]
    batches = folder / "cifar-10-batches-py"
    batches.mkdir()
    batch = pickle.dumps({b"data": pixels.reshape(6, -1), b"labels": [*range(6)]}, protocol=4)
    for number in range(1, 6):
        (batches / f"data_batch_{number}").write_bytes(batch)
    put = (batches / "data_batch_1").write_bytes
    return [*subjects, Subject("images, pickled", batch, put, reader(batches), detects=False)]


def sha256_of(array: np.ndarray) -> str:
    return f"{array.shape} {array.dtype} {hash(array.tobytes())}"


def archive(folder: Path) -> list[Subject]:
    root = folder / f"{NAMES['tss']}-simple"
    root.mkdir(parents=True)
    facts = get_space("tss")
    meta = {"meta_archs": [facts.arch(i) for i in range(facts.size)], "arch2infos": None}
    result = nats_bench.ArchResults(3, facts.arch(3))
    trial = nats_bench.ResultsCount("cifar10", None, {0: 1.0}, {0: 1.0}, 0.1, 1.0, {}, 777, 1, [])
    value = np.float64(70.5)
    trial.update_eval({"ori-test@0": value}, {"ori-test@0": 0.0}, {"ori-test@0": 0.0})
    trial.update_train_info({0: 1.0}, None, {0: 1.0}, {0: 1.0})
    result.update("cifar10", 777, trial)
    states = {"200": result.state_dict()}
    nats_bench.pickle_save(meta, root / "meta.pickle")
    nats_bench.pickle_save(states, root / "000003.pickle")
    subjects = []
    for name, path, content in (
        ("names of an archive", root / "meta.pickle.pbz2", meta),
        ("record of an archive", root / "000003.pickle.pbz2", states),
    ):
        is_record = content is states

        def put_pickle(content: bytes, path: Path = path) -> None:
            path.write_bytes(bz2.compress(content, 1))

        def read_it(is_record: bool = is_record) -> str:
            found = Archive("tss", root)
            with mock.patch.object(Archive, "_indices", lambda _: [3]):
                return found.accuracy("cifar10").dropna().to_json() if is_record else str(found.targets)

        subjects += [
            Subject(name, path.read_bytes(), path.write_bytes, read_it),
            Subject(f"{name}, pickled", pickle.dumps(content), put_pickle, read_it, detects=False),
        ]
    return subjects


def texts(folder: Path) -> list[Subject]:
    folder.mkdir()
    (folder / "indices.txt").write_text("tss 3\n# no\nsss 8:8:8:8:8\nsss 17\n")
    content = {
        "archs": {"a": {"space": "sss", "spec": "8:8:8:8:8"}},
        "values": {"a": {"moon": {"mean": 1.0, "seeds": 2}}},
    }
    (folder / "golden.json").write_text(json.dumps(content))
    (folder / "formula").write_text("l1_norm(normalize(mat_mul(a, transpose(sum(b, softmax(a))))))")
    readers = {
        "indices.txt": lambda path: read_indices(path, ["tss", "sss"]),
        "golden.json": lambda path: [*map(str, golden.check(path))],
        "formula": lambda path: str(parse(path.read_text(errors="replace"), {"a", "b"})),
    }
    return [
        Subject(name, path.read_bytes(), path.write_bytes, lambda read=read, path=path: read(path), False)
        for name, read in readers.items()
        for path in [folder / name]
    ]

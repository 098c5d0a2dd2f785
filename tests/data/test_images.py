import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from zcp.data import images
from zcp.data.images import load_images
from zcp.errors import InputError
from zcp.paths import data_folder


def pixels(count, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def channels_first(array):
    return array.transpose(0, 3, 1, 2).reshape(len(array), -1)


class Python2Pickler(pickle._Pickler):
    """Writes bytes and str as the 8-bit strings of Python 2, as the official files have them."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        raw = value if isinstance(value, bytes) else value.encode()
        self.write(pickle.BINSTRING + len(raw).to_bytes(4, "little") + raw)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string


def python2_pickle(content):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_binary(folder, dataset, array, labels):
    name = "cifar-10-batches-bin" if dataset == "cifar10" else "cifar-100-binary"
    (folder / name).mkdir()
    rows = channels_first(array)
    if dataset == "cifar10":
        records = np.column_stack([labels, rows]).astype(np.uint8)
        for number, part in enumerate(np.array_split(records, 5), start=1):
            (folder / name / f"data_batch_{number}.bin").write_bytes(part.tobytes())
    else:
        coarse = np.full(len(labels), 19)
        np.column_stack([coarse, labels, rows]).astype(np.uint8).tofile(folder / name / "train.bin")
    return folder / name


def write_python(folder, dataset, array, labels):
    name = "cifar-10-batches-py" if dataset == "cifar10" else "cifar-100-python"
    (folder / name).mkdir()
    rows = channels_first(array)
    if dataset == "cifar10":
        for number, chosen in enumerate(np.array_split(np.arange(len(rows)), 5), start=1):
            content = {b"data": np.ascontiguousarray(rows[chosen]), b"labels": labels[chosen].tolist()}
            (folder / name / f"data_batch_{number}").write_bytes(python2_pickle(content))
    else:
        content = {b"data": rows, b"fine_labels": labels.tolist(), b"coarse_labels": [19] * len(labels)}
        (folder / name / "train").write_bytes(python2_pickle(content))
    return folder / name


@pytest.mark.parametrize("write", [write_binary, write_python])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_original_files_give_the_images_that_were_written(tmp_path, dataset, write):
    array, labels = pixels(12), np.arange(12) % 10
    inner = write(tmp_path, dataset, array, labels)
    for folder in (tmp_path, inner):
        found = load_images(dataset, folder)
        np.testing.assert_array_equal(found.images, array)
        np.testing.assert_array_equal(found.labels, labels)
        assert found.images.dtype == np.uint8 and found.labels.dtype == np.int64
        assert found.origin.parent == inner


def test_the_python_files_of_these_tests_are_as_python_2_wrote_them(tmp_path):
    raw = (write_python(tmp_path, "cifar100", pixels(2), np.arange(2)) / "train").read_bytes()
    assert raw.startswith(b"\x80\x02") and b"cnumpy.core.multiarray\n_reconstruct\n" in raw
    assert isinstance(pickle.loads(raw, encoding="bytes")[b"data"], np.ndarray)  # noqa: S301


def test_a_malicious_batch_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    inner = write_python(tmp_path, "cifar100", pixels(2), np.arange(2))
    (inner / "train").write_bytes(pickle.dumps({"data": Malicious()}, 2))
    with pytest.raises(InputError, match=r"train cannot be read .*mkdir, which is not allowed"):
        load_images("cifar100", tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {b"labels": [0]},
        {b"data": [[0] * 3072], b"fine_labels": [0]},
        {b"data": np.zeros((1, 9), np.uint8)},
    ],
    ids=["no dict", "no data", "no array", "no labels"],
)
def test_a_pickle_of_another_kind_is_named(tmp_path, content):
    inner = write_python(tmp_path, "cifar100", pixels(2), np.arange(2))
    (inner / "train").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(InputError, match="train is not a CIFAR batch"):
        load_images("cifar100", tmp_path)


def test_a_truncated_binary_file_is_named(tmp_path):
    file = write_binary(tmp_path, "cifar10", pixels(10), np.arange(10)) / "data_batch_4.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data_batch_4\.bin is truncated"):
        load_images("cifar10", tmp_path)


def test_a_missing_part_is_named(tmp_path):
    (write_binary(tmp_path, "cifar10", pixels(10), np.arange(10)) / "data_batch_4.bin").unlink()
    with pytest.raises(InputError, match=r"data_batch_4\.bin is missing"):
        load_images("cifar10", tmp_path)


def write_compact(folder, dataset="cifar10", **changes):
    size = 16 if dataset == "ImageNet16-120" else 32
    content = {"images": pixels(6, size), "labels": np.arange(6)} | changes
    path = folder / images.COMPACT[dataset]
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path


@pytest.mark.parametrize("dataset", images.COMPACT)
def test_a_compact_file_is_read(tmp_path, dataset):
    path = write_compact(tmp_path, dataset)
    found = load_images(dataset, tmp_path)
    assert found.origin == path and found.images.shape[0] == 6
    np.testing.assert_array_equal(found.labels, np.arange(6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": pixels(6, 16)}, r"images have shape \(6, 16, 16, 3\), cifar10 needs \(N, 32, 32, 3\)"),
        ({"images": pixels(6).transpose(0, 3, 1, 2)}, r"images have shape \(6, 3, 32, 32\)"),
        ({"images": pixels(6).astype(np.float32)}, "images have dtype float32, expected uint8"),
        ({"labels": np.arange(5)}, r"labels are int64 of shape \(5,\)"),
        ({"labels": np.arange(6.0)}, "labels are float64"),
        ({"labels": np.array(3)}, r"labels are int64 of shape \(\)"),
        ({"labels": np.arange(6) + 5}, "labels range from 5 to 10, cifar10 has 0 to 9"),
        ({"labels": np.arange(6) - 1}, "labels range from -1 to 4"),
        ({"labels": np.array(["cat"] * 6, dtype=object)}, "not a readable .npz"),
        ({"labels": None}, "not a readable .npz"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_malformed_compact_file_is_named_with_its_fault(tmp_path, changes, message):
    write_compact(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"cifar10_2048\.npz.*{message}"):
        load_images("cifar10", tmp_path)


def test_a_truncated_compact_file_is_named(tmp_path):
    path = write_compact(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"not a readable \.npz"):
        load_images("cifar10", tmp_path)


@pytest.fixture
def no_downloads(tmp_path, monkeypatch):
    monkeypatch.setenv("ZCP_HOME", str(tmp_path))
    (tmp_path / "data" / "downloads").mkdir(parents=True)
    return tmp_path / "data" / "downloads"


def test_by_default_the_data_folder_comes_first_then_what_was_downloaded(tmp_path, monkeypatch, no_downloads):
    write_binary(no_downloads, "cifar10", pixels(5), np.arange(5))
    monkeypatch.setenv("ZCP_DATA", "")
    assert load_images("cifar10").origin.name == "data_batch_1.bin"
    (tmp_path / "images").mkdir()
    write_compact(tmp_path / "images")
    monkeypatch.setenv("ZCP_DATA", str(tmp_path))
    assert load_images("cifar10").origin.name == "cifar10_2048.npz"


def test_a_compact_file_that_differs_from_the_checksum_list_is_refused(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    path = write_compact(tmp_path / "images")
    monkeypatch.setenv("ZCP_DATA", str(tmp_path))
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  images/{path.name}\n")
    load_images("cifar10")
    write_compact(tmp_path / "images", images=pixels(6, seed=1))
    with pytest.raises(InputError, match="damaged or another version"):
        load_images("cifar10")


@pytest.mark.parametrize(
    ("dataset", "remedy"),
    [("cifar100", "run `zcp download cifar100`, or set ZCP_DATA"), ("ImageNet16-120", "; set ZCP_DATA")],
)
def test_without_images_the_message_says_what_to_do(monkeypatch, no_downloads, dataset, remedy):
    monkeypatch.setenv("ZCP_DATA", "")
    with pytest.raises(InputError, match=rf"no {dataset} images.*{remedy}, or .* \(--inputs gaussian\)"):
        load_images(dataset)


def test_an_unknown_dataset_is_refused():
    with pytest.raises(InputError, match="unknown dataset 'mnist'"):
        load_images("mnist")


@pytest.mark.parametrize(
    ("dataset", "count"), [("cifar10", 2048), ("cifar100", 2048), ("ImageNet16-120", 510)]
)
def test_the_compact_images_of_the_data_folder_are_complete(dataset, count):
    if data_folder() is None:
        pytest.skip("no data folder (ZCP_DATA): the compact images cannot be read")
    found = load_images(dataset)
    assert len(found.labels) == count and isinstance(found.origin, Path)


@pytest.mark.parametrize("compressed", [False, True])
def test_no_damage_of_a_compact_file_is_more_than_one_line(tmp_path, compressed):
    path = write_compact(tmp_path)
    with np.load(path) as found:
        whole = dict(found)
    (np.savez_compressed if compressed else np.savez)(path, **whole)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 100):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            found = load_images("cifar10", tmp_path)
        except InputError as error:
            assert "\n" not in str(error)
        else:  # a bit of no meaning
            assert np.array_equal(found.images, whole["images"])
            assert np.array_equal(found.labels, whole["labels"])

"""Training images as arrays: the compact files of the data folder, or the original CIFAR files.

No torchvision: every format is read with numpy. A pickle is read by an unpickler that refuses all but arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zcp.data.checksums import LIST, verify
from zcp.data.datasets import Dataset, get_dataset
from zcp.data.downloads import ARCHIVES, downloads
from zcp.data.pickles import NUMPY, load_restricted
from zcp.errors import InputError
from zcp.paths import data_folder, is_file

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

COMPACT = {
    "cifar10": "cifar10_2048.npz",
    "cifar100": "cifar100_2048.npz",
    "ImageNet16-120": "imagenet16_120_approx.npz",
}
BINARY = {name: archive.members for name, archive in ARCHIVES.items()}
PYTHON = {
    "cifar10": tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
    "cifar100": ("cifar-100-python/train",),
}


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels.

    Attributes:
        images: uint8, (N, height, width, 3), RGB; float32 where they are not pictures.
        labels: int64, (N,), 0 to classes - 1 (the fine ones of CIFAR-100).
        origin: the file that they were read from, the first one where there are several.
    """

    images: Pixels
    labels: Labels
    origin: Path


def _read_compact(_dataset: str, path: Path) -> tuple[Pixels, Labels]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["images"], file["labels"]
    except Exception as error:  # a damaged zip may raise anything
        raise InputError(
            f"{path} is not a readable .npz with arrays 'images' and 'labels' ({error}); copy it again"
        ) from error


def _to_channels_last(pixels: Pixels) -> Pixels:
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _read_binary(dataset: str, path: Path) -> tuple[Pixels, Labels]:
    """Read records of one label byte (CIFAR-100: coarse, fine) and 3,072 pixels, channels first."""
    label_bytes = 2 if dataset == "cifar100" else 1
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; correct its permissions") from error
    record = label_bytes + 3072
    if data.size == 0 or data.size % record:
        raise InputError(
            f"{path} is truncated: {data.size} bytes are not whole records of {record}; copy it again"
        )
    records = data.reshape(-1, record)
    return _to_channels_last(records[:, label_bytes:]), records[:, label_bytes - 1].astype(np.int64)


def _read_python(dataset: str, path: Path) -> tuple[Pixels, Labels]:
    """Read a dict pickled by Python 2: `data` (N, 3072), `labels` or `fine_labels`."""
    content = load_restricted(path, NUMPY, encoding="bytes")
    key = b"fine_labels" if dataset == "cifar100" else b"labels"
    try:
        pixels, labels = content[b"data"], np.asarray(content[key], np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is not a CIFAR batch: it lacks 'data' or {key.decode()!r} ({error})"
        ) from error
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3072,):
        raise InputError(f"{path} is not a CIFAR batch: 'data' must be a uint8 array of shape (N, 3072)")
    return _to_channels_last(pixels), labels


Reader = Callable[[str, Path], tuple[Pixels, Labels]]


def _candidates(dataset: str) -> list[tuple[Reader, tuple[str, ...]]]:
    """Return each format that a dataset comes in: its reader and its files."""
    return [
        (_read_compact, (COMPACT[dataset],)),
        *((_read_binary, files) for name, files in BINARY.items() if name == dataset),
        *((_read_python, files) for name, files in PYTHON.items() if name == dataset),
    ]


def _find(dataset: str, folders: list[Path]) -> tuple[Reader, list[Path]]:
    """Return the first format that is present, with the paths of all its files."""
    formats = _candidates(dataset)
    for folder in folders:
        for reader, files in formats:
            # The user may name the folder of the batches itself or the one around it.
            inner = Path(files[0]).parent.name
            base = folder.parent if inner and folder.name == inner else folder
            paths = [base / file for file in files]
            if is_file(paths[0]):
                return reader, paths
    files_wanted = ", ".join(files[0] for _, files in formats)
    remedy = f"run `zcp download {dataset}`, or set" if dataset in ARCHIVES else "set"
    raise InputError(
        f"no {dataset} images: none of {files_wanted} in {', '.join(map(str, folders))}; {remedy} ZCP_DATA, "
        "or score Gaussian noise instead (--inputs gaussian)"
    )


def _check(dataset: Dataset, images: Pixels, labels: Labels, origin: Path) -> None:
    height = dataset.resolution
    if images.ndim != 4 or images.shape[1:] != (height, height, 3):
        raise InputError(
            f"{origin}: images have shape {images.shape}, {dataset.name} needs (N, {height}, {height}, 3)"
        )
    if images.dtype != np.uint8:
        raise InputError(f"{origin}: images have dtype {images.dtype}, expected uint8 (0 to 255)")
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{origin}: labels are {labels.dtype} of shape {labels.shape}, expected integers of shape "
            f"({len(images)},), one for each image"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < dataset.classes:
        raise InputError(
            f"{origin}: labels range from {labels.min()} to {labels.max()}, {dataset.name} has 0 to "
            f"{dataset.classes - 1}"
        )


def load_images(dataset: str, folder: Path | None = None) -> ImageSet:
    """Return training images of a dataset.

    Args:
        dataset: `cifar10`, `cifar100` or `ImageNet16-120`.
        folder: where the files lie: a compact .npz, or `cifar-10-batches-bin`, `cifar-100-binary`,
            `cifar-10-batches-py`, `cifar-100-python` (or one of these itself). By default `images` of the
            data folder, else what `zcp download` has fetched. Compact files of the data folder are checked
            against its `SHA256SUMS` where it has one.

    Raises:
        InputError: if there is none, or a file is missing, damaged or of wrong shape, dtype or label range.
    """
    facts, root = get_dataset(dataset), data_folder()
    if dataset not in COMPACT:
        raise InputError(f"there are no images of {dataset}; score it on Gaussian noise (--inputs gaussian)")
    defaults = [*([root / "images"] if root else []), downloads()]
    reader, paths = _find(dataset, defaults if folder is None else [Path(folder)])
    if missing := [str(path) for path in paths if not is_file(path)]:
        raise InputError(f"{', '.join(missing)} is missing; extract the archive again")
    if reader is _read_compact and root in paths[0].parents and root and is_file(root / LIST):
        verify(root, paths[0].relative_to(root).as_posix())
    parts = [reader(dataset, path) for path in paths]
    for path, (images, labels) in zip(paths, parts, strict=True):
        _check(facts, images, labels, path)
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ImageSet(images, labels.astype(np.int64), paths[0])

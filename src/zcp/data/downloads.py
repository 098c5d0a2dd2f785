"""The original CIFAR images, fetched when the user asks and never otherwise."""

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from zcp.errors import InputError
from zcp.optional import require
from zcp.paths import home


@dataclass(frozen=True)
class Archive:
    """One archive of https://www.cs.toronto.edu/~kriz/cifar.html (binary version, Krizhevsky 2009).

    Attributes:
        url: where it is.
        md5: its MD5, as that page states it.
        members: the training files in it, in the official order.
    """

    url: str
    md5: str
    members: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self.url.rsplit("/", 1)[-1]


ARCHIVES = {
    "cifar10": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
    ),
    "cifar100": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        ("cifar-100-binary/train.bin",),
    ),
}


def downloads() -> Path:
    """Return the folder that images are downloaded to."""
    return home() / "data" / "downloads"


def download_cifar(name: str, folder: Path | None = None) -> Path:
    """Download the binary version of a CIFAR dataset and extract its training images.

    An archive that is already in the folder and has the right checksum is not downloaded again. Shows a
    progress bar.

    Args:
        name: `cifar10` or `cifar100`.
        folder: where to put it; `data/downloads` of `zcp.paths.home` by default, where `image_batches` looks,
            too.

    Returns:
        The folder, ready for `image_batches(..., folder=...)`.

    Raises:
        InputError: if there is no such archive, the download fails or its checksum is wrong.
    """
    if name not in ARCHIVES:
        raise InputError(f"{name!r} cannot be downloaded; choose one of {', '.join(ARCHIVES)}")
    archive = ARCHIVES[name]
    target = Path(folder) if folder is not None else downloads()
    try:
        path = require("pooch").retrieve(
            archive.url, f"md5:{archive.md5}", fname=archive.name, path=target, progressbar=True
        )
        with tarfile.open(path) as tar:
            for member in archive.members:
                tar.extract(member, target, filter="data")
    except InputError:
        raise
    except (OSError, EOFError, ValueError, KeyError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"downloading {archive.url} failed: {error}. Try again, or put {archive.name} "
            f"into {target} yourself and run this again"
        ) from error
    return target

"""Reading pickles of foreign origin without letting them run anything.

A pickle is a program: unpickling it calls whatever it names. Here it may name only what the caller allows, by
default nothing, which still permits numbers, strings, lists, tuples, dicts and sets.
"""

import bz2
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from zcp.errors import InputError
from zcp.paths import is_file

Globals = Mapping[tuple[str, str], object]

# What an ndarray pickle names; numpy 2 moved the function but old files keep the old name.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
NUMPY: Globals = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_SCALAR = np.float64(0).__reduce__()[0]
#: What the official archive of NATS-Bench names beside plain containers.
NATS: Globals = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy", "dtype"): np.dtype,
}


class _Restricted(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowed: Globals, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> object:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not allowed") from None


def load_restricted(path: Path, allowed: Globals | None = None, encoding: str = "ASCII") -> Any:
    """Return the object pickled in `path`.

    Args:
        path: the file; one that ends in `.pbz2` is decompressed.
        allowed: what the pickle may name, by (module, name); nothing by default, `NUMPY` for plain arrays,
            `NATS` for the official archive.
        encoding: of 8-bit strings written by Python 2; `bytes` keeps them as they are.

    Raises:
        InputError: if the file is missing, truncated, or names anything else.
    """
    if not is_file(path):
        raise InputError(f"{path} is missing")
    try:
        with bz2.open(path) if path.suffix == ".pbz2" else path.open("rb") as file:
            return _Restricted(file, allowed or {}, encoding).load()
    except Exception as error:  # a broken pickle may raise anything
        raise InputError(f"{path} cannot be read as a plain pickle: {error}") from error

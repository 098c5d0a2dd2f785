import io
import os
import pickle

import numpy as np
import pytest

from zcp.data.pickles import NUMPY, load_restricted
from zcp.errors import InputError


class Malicious:
    """Unpickling it would run a shell command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("allowed", [None, NUMPY], ids=["nothing", "numpy"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_names_a_function_is_refused_and_not_run(tmp_path, allowed, protocol):
    marker, path = tmp_path / "ran", tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"data": Malicious(marker)}, protocol))
    with pytest.raises(InputError, match="system, which is not allowed"):
        load_restricted(path, allowed)
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # noqa: S301 - proves that the pickle is live
    assert marker.exists()


def test_plain_containers_are_read(tmp_path):
    content = {"a": [1, 2.5, None], "b": ("x", b"y", {3})}
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(content))
    assert load_restricted(tmp_path / "plain.pkl") == content


def test_arrays_need_permission(tmp_path):
    path = tmp_path / "array.pkl"
    path.write_bytes(pickle.dumps(np.arange(6, dtype=np.uint8).reshape(2, 3), protocol=4))
    np.testing.assert_array_equal(load_restricted(path, NUMPY), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(InputError, match="not allowed"):
        load_restricted(path)


def test_a_missing_and_a_truncated_file_are_named(tmp_path):
    path = tmp_path / "list.pkl"
    with pytest.raises(InputError, match=r"list\.pkl is missing"):
        load_restricted(path)
    buffer = io.BytesIO()
    pickle.dump(list(range(1000)), buffer)
    path.write_bytes(buffer.getvalue()[:500])
    with pytest.raises(InputError, match=r"list\.pkl cannot be read"):
        load_restricted(path)

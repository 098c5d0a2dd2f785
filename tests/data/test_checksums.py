import hashlib

import pytest

from zcp.data.checksums import verify
from zcp.errors import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file.bin").write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  sub/file.bin\n")
    return tmp_path


def test_an_intact_file_is_returned(folder):
    assert verify(folder, "sub/file.bin") == folder / "sub/file.bin"


def test_a_changed_file_is_refused_with_both_sums(folder):
    (folder / "sub/file.bin").write_bytes(b"contenT")
    with pytest.raises(InputError) as error:
        verify(folder, "sub/file.bin")
    for content in (b"content", b"contenT"):
        assert hashlib.sha256(content).hexdigest() in str(error.value)


def test_what_is_missing_is_named(folder):
    with pytest.raises(InputError, match=r"other\.bin is missing"):
        verify(folder, "other.bin")
    (folder / "other.bin").touch()
    with pytest.raises(InputError, match=r"no line for other\.bin"):
        verify(folder, "other.bin")
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(InputError, match="SHA256SUMS is missing"):
        verify(folder, "sub/file.bin")

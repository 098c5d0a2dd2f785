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


@pytest.mark.parametrize(
    "line", ["one-word", "abc  sub/file.bin", f"{'0' * 63}g  sub/file.bin", f"{'0' * 64} sub/file.bin"]
)
def test_a_list_that_is_none_is_refused_with_its_line(folder, line):
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"\n{line}\n")
    with pytest.raises(InputError, match="SHA256SUMS, line 3: expected a SHA-256"):
        verify(folder, "sub/file.bin")


def test_a_file_is_listed_once(folder):
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  sub/file.bin\n")
    with pytest.raises(InputError, match=r"line 2: .* a name that no line before has"):
        verify(folder, "sub/file.bin")
    (folder / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="SHA256SUMS cannot be read"):
        verify(folder, "sub/file.bin")


def test_a_list_of_binary_mode_is_read(folder):
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("  ", " *"))
    assert verify(folder, "sub/file.bin")

import hashlib
import http.server
import io
import tarfile
import threading
from functools import partial

import numpy as np
import pytest

from zcp.data.downloads import ARCHIVES, Archive, download_cifar
from zcp.data.images import load_images
from zcp.errors import InputError

pytest.importorskip("pooch", reason="downloads need pooch")


class Quiet(http.server.SimpleHTTPRequestHandler):
    requests: list[str]

    def do_GET(self):
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve a small archive in the official layout on this machine instead of the real one."""
    members = ARCHIVES["cifar10"].members
    folder = tmp_path / "server"
    folder.mkdir()
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for number, member in enumerate([*members, "cifar-10-batches-bin/test_batch.bin"]):
            record = bytes([number]) + bytes(3072)
            info = tarfile.TarInfo(member)
            info.size = len(record)
            tar.addfile(info, io.BytesIO(record))
    md5 = hashlib.md5((folder / "cifar-10-binary.tar.gz").read_bytes()).hexdigest()
    handler = type("Handler", (Quiet,), {"requests": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz"
        monkeypatch.setitem(ARCHIVES, "cifar10", Archive(url, md5, members))
        yield handler.requests
        server.shutdown()


def test_the_archive_is_downloaded_extracted_and_readable(served, tmp_path, capfd):
    target = tmp_path / "target"
    assert download_cifar("cifar10", target) == target
    np.testing.assert_array_equal(load_images("cifar10", target).labels, [0, 1, 2, 3, 4])
    assert not (target / "cifar-10-batches-bin/test_batch.bin").exists()
    assert "100%" in capfd.readouterr().err  # the progress bar


def test_an_archive_that_is_there_is_not_downloaded_again(served, tmp_path):
    download_cifar("cifar10", tmp_path)
    (tmp_path / "cifar-10-batches-bin/data_batch_3.bin").write_bytes(b"cut short")
    download_cifar("cifar10", tmp_path)
    assert len(served) == 1
    assert len(load_images("cifar10", tmp_path).labels) == 5


def test_a_wrong_checksum_is_refused_and_nothing_is_extracted(served, tmp_path, monkeypatch):
    archive = ARCHIVES["cifar10"]
    monkeypatch.setitem(ARCHIVES, "cifar10", Archive(archive.url, "0" * 32, archive.members))
    with pytest.raises(InputError, match=f"expected md5:{'0' * 32} but got {archive.md5}"):
        download_cifar("cifar10", tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_a_failed_download_says_what_to_do(served, tmp_path, monkeypatch):
    archive = ARCHIVES["cifar10"]
    wrong = archive.url.replace("cifar-10-binary", "absent")
    monkeypatch.setitem(ARCHIVES, "cifar10", Archive(wrong, archive.md5, archive.members))
    with pytest.raises(InputError, match=r"(?s)404.*put absent\.tar\.gz into"):
        download_cifar("cifar10", tmp_path / "target")


def test_a_dataset_without_archive_is_refused(tmp_path):
    with pytest.raises(
        InputError, match="'ImageNet16-120' cannot be downloaded; choose one of cifar10, cifar100"
    ):
        download_cifar("ImageNet16-120", tmp_path)

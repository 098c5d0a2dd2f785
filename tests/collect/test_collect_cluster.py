import os
import signal
import socket
import time
from functools import partial

import collecting
import numpy as np
import pytest
import torch
from collecting import SETTINGS, units

from zcp.collect.cluster import Cluster
from zcp.collect.command_line import collect_command
from zcp.collect.parts import load_scores
from zcp.collect.run import _score, collect
from zcp.collect.workers import Failure
from zcp.errors import InputError

distributed = pytest.importorskip("distributed", reason="needs zcp-nas[cluster]")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as local:
        yield local


class Killing(Cluster):
    """A cluster of which one worker is killed once five networks are done."""

    def __init__(self, local):
        super().__init__(local.scheduler_address)
        self.victim = next(iter(local.workers.values())).pid

    def outcomes(self, function, tasks):
        for number, outcome in enumerate(super().outcomes(function, tasks)):
            if number == 5:
                os.kill(self.victim, signal.SIGKILL)
            yield outcome


@pytest.mark.slow
def test_two_workers_one_killed_midway(cluster, tmp_path):
    collect(tmp_path, units(60), SETTINGS, Killing(cluster), scorer=collecting.slow_row, progress=False)
    frame = load_scores(tmp_path).set_index("index")
    assert sorted(frame.index) == list(range(60))
    for index, row in frame.iterrows():
        expected = collecting.fake_row("sss", index, "cifar10", SETTINGS)
        np.testing.assert_equal([row[p] for p in SETTINGS.proxies], [expected[p] for p in SETTINGS.proxies])
    assert frame.attrs["settings"]["environments"][0]["device"] == "cpu"


def test_exceptions_are_tried_again_then_told(cluster, tmp_path, monkeypatch):
    os.environ["ZCP_TEST_FOLDER"] = str(tmp_path)
    task = partial(_score, scorer=collecting.always_faulty_row, settings=SETTINGS, device="cpu")
    found = dict(Cluster(cluster.scheduler_address).outcomes(task, units(2)))
    assert found == dict.fromkeys(units(2), Failure("RuntimeError: nothing works"))


def test_bad_input_on_a_worker_is_bad_input_here(cluster):
    task = partial(_score, scorer=collecting.refusing_row, settings=SETTINGS, device="cpu")
    with pytest.raises(InputError, match="the images here are others"):
        list(Cluster(cluster.scheduler_address).outcomes(task, units(3)))


def test_a_worker_without_the_device_is_named(cluster):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=r"the Dask worker tcp://.* cannot use 'cuda'"):
        Cluster(cluster.scheduler_address).environments("cuda")


def test_a_task_that_stands_still_ends_the_wait(cluster):
    with pytest.raises(InputError, match=r"has sent nothing for 1 seconds; what it had computed is safe"):
        list(Cluster(cluster.scheduler_address, patience=1.0).outcomes(collecting.sleeping_task, units(1)))


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:1", "nowhere", "nowhere.invalid:1", "ftp://x", "127.0.0.1:99999", "a" * 99 + ":1"],
)
def test_no_scheduler_is_told_without_waiting_for_one(address, monkeypatch):
    monkeypatch.setattr("zcp.collect.cluster.ANSWER", 600.0)
    start = time.monotonic()
    with pytest.raises(InputError, match=f"no Dask scheduler answers at '{address}'") as caught:
        Cluster(address)
    assert time.monotonic() - start < 60 and "\n" not in str(caught.value)


def test_a_collection_without_a_scheduler_makes_no_folder(tmp_path):
    asked = {"count": 1, "inputs": "gaussian", "proxies": ["params"], "cluster": "127.0.0.1:1"}
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        collect_command(str(tmp_path / "a"), **asked)
    assert not any(tmp_path.iterdir())


def test_a_scheduler_that_accepts_and_stays_silent(monkeypatch):
    monkeypatch.setattr("zcp.collect.cluster.ANSWER", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"answers at '{address}' \(silent for 1 seconds\)"):
            list(Cluster(address).outcomes(collecting.fake_row, units(1)))


@pytest.mark.parametrize("address", ["", " "])
def test_an_empty_address_is_no_address(address):
    with pytest.raises(InputError, match="--cluster is empty"):
        Cluster(address)

import gc
import os
import signal
from functools import partial

import collecting
import numpy as np
import pytest
from collecting import SETTINGS, units

from zcp.collect.cluster import Cluster
from zcp.collect.executor import Failure
from zcp.collect.run import _score, collect
from zcp.collect.store import load_scores
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
    path = tmp_path / "a.parquet"
    collect(path, units(60), SETTINGS, Killing(cluster), scorer=collecting.slow_row, progress=False)
    frame = load_scores(path).set_index("index")
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


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "ftp://x"])
def test_no_scheduler(address, monkeypatch):
    monkeypatch.setattr("zcp.collect.cluster.PATIENCE", "1s")
    with pytest.raises(InputError, match=f"no Dask scheduler answers at '{address}'"):
        Cluster(address).environments("cpu")


def test_a_client_that_failed_is_closed(monkeypatch):
    """Dask waits for ever for one that is collected while another starts."""
    monkeypatch.setattr("zcp.collect.cluster.PATIENCE", "1s")
    with pytest.raises(InputError):
        Cluster("nowhere").environments("cpu")
    clients = [found for found in gc.get_objects() if issubclass(type(found), distributed.Client)]
    assert {client.status for client in clients} <= {"closed"}

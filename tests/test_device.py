"""Scoring on a device that nobody may wait for: the whole path, on tensors that have no values."""

import pytest
import torch
from fake_device import DEVICE, Waited, fake_device, put
from tiny import NETWORKS, SHAPE
from torch._subclasses.fake_tensor import DataDependentOutputException

from zcp import list_proxies, score
from zcp.scoring import run
from zcp.statistics import activation_patterns

#: Looks at values in between, as `zcp.statistics.gaussian_process` says; optional.
WAITING = {"nngp"}


@pytest.fixture(autouse=True)
def _forget_fake_numbers():
    activation_patterns._numbers.cache_clear()
    yield
    activation_patterns._numbers.cache_clear()


def fake_batches():
    return [
        (torch.randn(4, *SHAPE).to(DEVICE), torch.zeros(4, dtype=torch.int64).to(DEVICE)) for _ in range(2)
    ]


class Fetched(Exception):
    """All passes were launched."""


def launched(monkeypatch, name, proxies):
    """Return how often tensors were copied to the host, and what is left open when all was launched."""
    left, errors = [], []

    def stop(values):
        left.extend(values)
        raise Fetched

    outcome = run._outcome
    monkeypatch.setattr(run, "_outcome", lambda compute: outcome(lambda: watched(compute)))
    monkeypatch.setattr(run, "fetch", stop)

    def watched(compute):
        try:
            return compute()
        except (Waited, DataDependentOutputException, RuntimeError, AssertionError) as error:
            errors.append(error)
            raise

    with fake_device() as watch:
        network, batches = put(NETWORKS[name]()), fake_batches()
        with pytest.raises(Fetched):
            score(network, batches, proxies)
    return watch.copies_to_host, left, errors


SHORT = ["zico", "snip", "grasp", "jacob_cov", "naswot", "log_synflow", "zen", "te_nas", "trainability"]


@pytest.mark.parametrize(
    "proxies", [SHORT, pytest.param([p for p in list_proxies() if p not in WAITING], marks=pytest.mark.slow)]
)
def test_nothing_waits_for_the_device(monkeypatch, proxies):
    """One copy to the host fetches the weights before anything is launched; the next would be the scores'."""
    copies, left, errors = launched(monkeypatch, "nats", proxies)
    assert errors == []
    assert copies == 1
    assert len(left) > len(proxies) / 2
    assert {tensor.device for value in left for tensor in value.tensors()} == {DEVICE}


def test_who_looks_at_a_value_is_caught(monkeypatch):
    """That the test above can fail."""
    look = {
        "item": lambda t: t.sum().item(),
        "branch": lambda t: bool((t > 0).any()),
        "mask": lambda t: t[t > 0],
        "other device": lambda t: t + torch.ones(3),
        "LAPACK": lambda t: torch.linalg.eigvalsh(t @ t.T),
    }
    for name, function in look.items():
        with fake_device(), pytest.raises(Exception) as caught:
            function(torch.ones(3, 3).to(DEVICE))
        assert "maia" in str(caught.value) or "aten" in str(caught.value), name
    with fake_device() as watch:
        torch.ones(3).to(DEVICE).cpu()
    assert watch.copies_to_host == 1

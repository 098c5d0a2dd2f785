"""Tensors moved together, and values that are computed when they have come."""

import pytest
import torch
from tiny import NETWORKS, batches, network

from zcp import list_proxies, score
from zcp.errors import InputError, Undefined
from zcp.scoring import run
from zcp.statistics import transfer
from zcp.statistics.batches import check_finite
from zcp.statistics.lazy import read_marks
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later, fetch, moved

CPU = torch.device("cpu")


def test_moved_tensors_are_equal_and_apart():
    given = [
        torch.randn(3, 4),
        torch.tensor(2.5, dtype=torch.float64),
        torch.zeros(0, 3),
        torch.arange(5),
        torch.tensor([True, False, True]),
        torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        torch.randn(7).bfloat16(),
        torch.randn(4, 6)[:, ::2],
    ]
    found = moved(given, CPU)
    for before, after in zip(given, found, strict=True):
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        assert torch.equal(after, before)
        assert after.is_contiguous()
        assert after.storage_offset() * after.element_size() % transfer.ALIGNMENT == 0
    found[0].zero_()
    assert given[0].all()
    assert moved([], CPU) == []


def test_a_value_waits_for_its_tensors_and_is_computed_once():
    computed = []
    a, b = torch.ones(2, requires_grad=True), torch.arange(3)
    inner = Later(lambda x: computed.append(1) or float(x.sum()), a * 2)
    outer = Later(
        lambda first, parts, factor: (first + sum(map(len, parts))) * factor, inner, [b, [b][0]], 10
    )
    fetched = fetch([inner, outer])
    assert len(fetched) == 2
    assert not any(tensor.requires_grad for tensor in fetched)
    assert outer.settle(fetched) == 100.0
    assert inner.settle(fetched) == 4.0
    assert computed == [1]


def test_an_error_is_kept_for_all_who_ask():
    def fail(_value):
        raise Undefined("no")

    inner = Later(fail, torch.ones(1))
    outer = Later(float, inner)
    fetched = fetch([outer])
    for _ in range(2):
        with pytest.raises(Undefined, match="no"):
            outer.settle(fetched)


def always_later(monkeypatch):
    """Leave open on the CPU what is left open on a GPU, and fetch it in one go."""
    fetches = []
    monkeypatch.setattr(Statistics, "later", lambda self, function, *given: Later(function, *given))
    monkeypatch.setattr(run, "fetch", lambda values: fetches.append(1) or fetch(list(values)))
    return fetches


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_that_come_at_the_end_are_the_same(monkeypatch, name):
    expected = score(network(name), batches(), list_proxies())
    fetches = always_later(monkeypatch)
    found = score(network(name), batches(), list_proxies())
    assert {key: value.hex() for key, value in found.items()} == {
        key: value.hex() for key, value in expected.items()
    }
    assert (found.reasons, found.steps, found.passes) == (expected.reasons, expected.steps, expected.passes)
    assert {*found.seconds} == {*expected.seconds}
    # Scores of zero are looked at once more, in double precision.
    assert len(fetches) == 1 + (name == "dead")


def test_what_is_wrong_with_the_data_is_said_at_the_end(monkeypatch):
    always_later(monkeypatch)
    (inputs, labels), _ = batches()
    labels[2] = 77
    with pytest.raises(InputError, match="labels run from 1 to 77, but the network has 5 classes"):
        score(network(), [(inputs, labels)], ["snip", "params"])
    check = Later(check_finite, 3, torch.tensor(False))
    with pytest.raises(InputError, match="inputs of batch 3 hold NaN"):
        check.settle(fetch([check]))


class Event:
    """What an event of a GPU tells."""

    def __init__(self, milliseconds):
        self.milliseconds = milliseconds

    def elapsed_time(self, end):
        return end.milliseconds - self.milliseconds


def test_marks_may_be_events():
    marks = [
        ("", Event(0.0)),
        ("a", Event(500.0)),
        ("b", Event(750.0)),
        ("a", Event(1000.0)),
        ("", Event(9.0)),
    ]
    assert read_marks(marks) == {"a": 0.75, "b": 0.25}

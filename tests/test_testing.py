"""Proxies of one's own, and what is checked of them."""

import sys
from importlib.metadata import EntryPoint
from itertools import count

import pytest
import torch
from any_networks import batches, norms, seeded

import zcp
from zcp import InputError, list_proxies, score
from zcp.proxies import registry
from zcp.testing import check_proxy

DATA = batches()


def mean_weight(s):
    """Mean absolute weight."""
    return torch.stack([w.detach().abs().mean() for w in s.weights]).mean()


def test_an_unregistered_function_is_a_proxy():
    net = seeded(lambda: norms("batch"))
    found = score(net, DATA, ["params", mean_weight], init="keep")
    expected = (
        sum(float(m.weight.abs().mean()) for m in net if hasattr(m, "weight") and m.weight.ndim > 1) / 4
    )
    assert found["mean_weight"] == pytest.approx(expected, rel=1e-6)
    assert "mean_weight" not in list_proxies()
    assert score(net, DATA, mean_weight, init="keep") == {"mean_weight": found["mean_weight"]}
    check_proxy(mean_weight)


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", dict(registry.REGISTRY))
    yield
    registry.load_announced.cache_clear()


def test_a_decorated_function_is_registered_as_it_says(own_registry):
    @zcp.proxy(data=False, labels=False, larger_is_better=False)
    def widest(s):
        """Largest number of channels."""
        return max(len(w) for w in s.weights)

    found = score(norms("batch"), DATA, ["widest"])
    assert found == {"widest": 5.0}
    assert found.to_frame().direction["widest"] == "smaller"
    check_proxy("widest")
    check_proxy(widest)

    def params(s):
        return 0.0

    with pytest.raises(InputError, match="a proxy called 'params' already"):
        score(norms("batch"), DATA, [params])
    with pytest.raises(InputError, match="not 3"):
        score(norms("batch"), DATA, [3])


def test_packages_announce_theirs(own_registry, monkeypatch, tmp_path):
    (tmp_path / "their_proxies.py").write_text(
        "import zcp\n\n@zcp.proxy(data=False, labels=False)\ndef theirs(s):\n    return 7.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entries = [EntryPoint("a", name, registry.GROUP) for name in ("their_proxies", "not_there")]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    registry.load_announced.cache_clear()
    with pytest.warns(RuntimeWarning, match="not_there cannot be loaded"):
        assert "theirs" in list_proxies()
    assert score(norms("batch"), DATA, ["theirs"]) == {"theirs": 7.0}
    sys.modules.pop("their_proxies")


COUNT = count(1)


def unstable(s):
    return float(next(COUNT))


def infinite(s):
    return float("inf")


def careless(s):
    s.network.network[0].weight.data.zero_()
    return 1.0


def shifting(s):
    s.network.network[9].shift.zero_()
    return 1.0


def greedy(s):
    s.loss(s.data.logits, s.batches[0][1]).backward()
    return 1.0


def greedier(s):
    found = s.weights.pop()
    return float(found.detach().abs().sum())


def nothing(s):
    s.data  # noqa: B018


def several(s):
    return torch.ones(3)


def failing(s):
    raise ValueError("too few weights")


CAUSES = {
    nothing: "the proxy returned NoneType, not a number",
    several: r"the proxy returned a tensor \(3,\), not a number",
    failing: r"the proxy fails \(ValueError: too few weights\)",
}


def test_what_a_proxy_may_not_do(own_registry):
    with pytest.raises(AssertionError, match="unstable gives another value when it is asked for again"):
        check_proxy(unstable)
    with pytest.raises(AssertionError, match="infinite gives inf on an ordinary network"):
        check_proxy(infinite)
    with pytest.raises(AssertionError, match=r"careless gives nan .*writes to the parameter 0\.weight"):
        check_proxy(careless)

    with pytest.raises(AssertionError, match=r"shifting .* writes to the buffer 9\.shift"):
        check_proxy(shifting)
    with pytest.raises(AssertionError, match=r"greedy changes what .* beside it read: they get other values"):
        check_proxy(greedy)
    with pytest.raises(AssertionError, match="greedier changes what the proxies beside it read"):
        check_proxy(greedier)
    for proxy, told in CAUSES.items():
        with pytest.raises(AssertionError, match=f"gives nan on an ordinary network: {told}"):
            check_proxy(proxy)

    @zcp.proxy(data=False, labels=False)
    def silent(s):
        return s.loss_gradients.weights[0].norm()

    with pytest.raises(AssertionError, match="silent reads data and does not say so"):
        check_proxy(silent)

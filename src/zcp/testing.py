"""`check_proxy`: what a proxy of your own must do, in one call."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from zcp.proxies.registry import Function, Proxy, as_proxy, get_proxy
from zcp.scoring import Scores, score
from zcp.statistics.network import Statistics

CLASSES = 5
Batches = list[tuple[Tensor, Tensor]]


def check_proxy(proxy: str | Proxy | Function) -> None:
    """Check that a proxy has the properties that every proxy of zcp has.

    It is finite on a small convolutional network, the same when it is asked for again, alone or with others;
    data and labels that it says it does not read do not matter; it writes to nothing that the proxies beside
    it read, and leaves them their values; and it changes nothing of the caller's network, not even of one
    whose forward fails.

    Args:
        proxy: a name, a function of `zcp.statistics.network.Statistics`, or a `Proxy`.

    Raises:
        AssertionError: that names the property which it lacks, and what the proxy wrote to or raised.
    """
    declared = get_proxy(proxy) if isinstance(proxy, str) else as_proxy(proxy)
    name = declared.name

    def value(batches: Batches, network: nn.Module | None = None, *others: str) -> float:
        return _score(network or _network(), batches, proxy, *others)[name]

    data = _batches()
    scores = _score(_network(), data, proxy)
    first, reason = scores[name], scores.reasons.get(name, "")
    _require(math.isfinite(first), name, f"gives {first} on an ordinary network: {reason}")
    _require(value(data) == first, name, "gives another value when it is asked for again")
    together = value(data, None, "grad_norm", "zen")
    _require(math.isclose(together, first, rel_tol=1e-6), name, "gives another value beside other proxies")
    _check_beside(declared, data)
    if not declared.data:
        changed = [(x.flip(-1) * 1.5 + 0.3, y) for x, y in data]
        _require(math.isclose(value(changed), first, rel_tol=1e-6), name, "reads data and does not say so")
    if not declared.labels:
        relabelled = [(x, (y + 1) % 2) for x, y in data]
        _require(
            math.isclose(value(relabelled), first, rel_tol=1e-6), name, "reads labels and does not say so"
        )
    for make in (_network, _Failing):
        _check_untouched(name, make, lambda network: value(data, network))


def _check_beside(declared: Proxy, data: Batches) -> None:
    """Check that a proxy that runs after this one has the value that it has alone."""
    init = "default" if declared.init == "none" else declared.init
    beside = Proxy("what_others_read", _all_read, init, "", data=True, labels=True, batches=declared.batches)
    alone = _score(_network(), data, beside)["what_others_read"]
    scores = _score(_network(), data, replace(declared, init=init), beside)
    found, reason = scores["what_others_read"], scores.reasons.get("what_others_read", "")
    told = reason or "they get other values"
    _require(found == alone, declared.name, f"changes what the proxies beside it read: {told}")


def _all_read(s: Statistics) -> Tensor:
    """Sum of the absolute values of what most proxies read."""
    read = [s.data.logits, *s.weights, *s.loss_gradients.weights, s.input_gradient, s.few.logits]
    return torch.stack([tensor.detach().double().abs().sum() for tensor in read]).sum()


def _score(network: nn.Module, batches: Batches, *proxies: str | Proxy | Function) -> Scores:
    return score(network, batches, proxies)


def _require(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise AssertionError(f"the proxy {name} {what}")


def _check_untouched(name: str, make: Callable[[], nn.Module], run: Callable[[nn.Module], float]) -> None:
    network = make()
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    run(network)
    after = network.state_dict()
    same = all(torch.equal(before[key], after[key]) for key in before)
    _require(same, name, "changes the weights or buffers of the network")
    _require(all(p.grad is None for p in network.parameters()), name, "leaves gradients in the network")
    hooks = any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    _require(not hooks, name, "leaves hooks in the network")
    _require(torch.equal(state, torch.get_rng_state()), name, "moves the global random generator")


def _network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES), _Shift()),
        )


class _Shift(nn.Module):
    """Has a buffer that no forward moves."""

    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.full((CLASSES,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


class _Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = _network()

    def forward(self, x: Tensor) -> Tensor:
        self.body(x)
        raise RuntimeError("a network that fails")


def _batches() -> Batches:
    source = torch.Generator().manual_seed(1)
    return [(torch.randn(6, 3, 8, 8, generator=source), torch.arange(6) % CLASSES) for _ in range(2)]

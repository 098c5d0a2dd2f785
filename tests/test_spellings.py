"""The same network, written in another way, has the same scores."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from spellings import CLASSES, NETWORKS, Convolutions, Written
from torch import nn
from torch.utils.checkpoint import checkpoint

from zcp import list_proxies, score

#: Proxies that read blocks, which are modules.
BLOCKS = {"expressivity", "progressivity", "trainability", "expressivity_literal", "progressivity_literal"}
BLOCKS |= {"gennas"}
#: Draws weights of its own, of what it does not know otherwise than of layers.
DRAWS = {"nngp"}


def data(shape, size: int = 6):
    source = torch.Generator().manual_seed(11)
    inputs = [torch.randn(size, *shape, generator=source, dtype=torch.float64) for _ in range(2)]
    return [(x, torch.arange(size) % CLASSES) for x in inputs]


@functools.cache
def made(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return NETWORKS[name]().double()


@functools.cache
def expected(name: str):
    return score(made(name), data(NETWORKS[name].shape), list_proxies(), init="keep")


def differing(found, wanted, rel: float = 1e-7) -> dict[str, tuple[float, float]]:
    """Return the scores that are not the same and have no reason not to be."""
    return {
        name: (value, wanted[name], found.reasons.get(name))
        for name, value in found.items()
        if value != pytest.approx(wanted[name], rel=rel, abs=1e-10, nan_ok=True)
    }


@pytest.mark.parametrize("how", ["functions", "operators"])
@pytest.mark.parametrize("name", NETWORKS)
def test_modules_functions_and_operators_have_the_same_scores(name, how):
    kind = NETWORKS[name]
    twin = Written(made(name), getattr(kind, how))
    torch.testing.assert_close(twin(data(kind.shape)[0][0]), made(name)(data(kind.shape)[0][0]))
    found = score(Written(made(name), getattr(kind, how)), data(kind.shape), list_proxies(), init="keep")
    different = differing(found, expected(name))
    assert different.keys() <= BLOCKS | DRAWS, different
    for block in BLOCKS & different.keys():
        assert "the network is no chain of blocks" in found.reasons[block]


# --- activations


ACTIVATIONS = {
    "clamp": lambda x: x.clamp(min=0),
    "clamp_": lambda x: x.clamp_(0),
    "clip": lambda x: torch.clip(x, 0),
    "clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "maximum of zero": lambda x: torch.maximum(x.new_zeros(()), x),
    "max": lambda x: torch.max(x, torch.zeros_like(x)),
    "relu_": lambda x: x.relu_(),
    "F.relu_": F.relu_,
    "threshold": lambda x: F.threshold(x, 0, 0),
    "nn.Threshold": nn.Threshold(0, 0),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "method where": lambda x: x.where(x >= 0, torch.zeros_like(x)),
    "where not": lambda x: torch.where(x.lt(0), 0.0, x),
    "times": lambda x: x * (x > 0),
    "times numbers": lambda x: torch.gt(x, 0).to(x.dtype) * x,
}


def network(activation, norm=None, width: int = 4) -> nn.Module:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.second = nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3)
            self.norm, self.head = norm or nn.BatchNorm2d(width), nn.Linear(width, CLASSES)
            self.act = activation

        def forward(self, x):
            x = self.act(self.norm(self.conv(x)))
            return self.head(self.act(self.second(x)).mean((2, 3)))

    with torch.random.fork_rng():
        torch.manual_seed(2)
        return Network().double()


@pytest.mark.parametrize("how", ACTIVATIONS)
def test_a_rectifier_however_it_is_written(how):
    names = list_proxies()
    wanted = score(network(nn.ReLU()), data((3, 8, 8)), names)
    found = score(network(ACTIVATIONS[how]), data((3, 8, 8)), names)
    assert not differing(found, wanted)


@pytest.mark.parametrize(
    "no_activation",
    [
        lambda x: x.clamp(min=1e-3),
        lambda x: x * (x.detach() > 0.5),
        lambda x: torch.maximum(x, -torch.ones_like(x)),
        lambda x: x.max(dim=1, keepdim=True).values + x,
        torch.sin,
    ],
)
def test_what_is_not_recognised_is_told(no_activation):
    found = score(network(no_activation), data((3, 8, 8)), ["naswot", "linear_regions"])
    assert math.isnan(found["naswot"]) and math.isnan(found["linear_regions"])
    assert "write a ReLU as F.relu or nn.ReLU" in found.reasons["naswot"]


# --- weights


class Product(nn.Module):
    """One product with a parameter; what it gives are the logits."""

    def __init__(self, weight, run) -> None:
        super().__init__()
        self.weight, self.run = nn.Parameter(weight), run

    def forward(self, x):
        return self.run(x, self.weight)


@pytest.mark.parametrize(
    ("turned", "run"),
    [
        (False, F.linear),
        (False, lambda x, w: x @ w.t()),
        (False, lambda x, w: x @ w.T),
        (False, lambda x, w: torch.matmul(x, w.transpose(0, 1))),
        (False, lambda x, w: torch.mm(x, w.permute(1, 0))),
        (False, lambda x, w: torch.addmm(torch.zeros(CLASSES, dtype=x.dtype), x, w.mT)),
        (False, lambda x, w: torch.einsum("bi, oi -> bo", x, w)),
        (True, lambda x, w: x @ w),
        (True, lambda x, w: x.mm(w)),
        (True, lambda x, w: torch.einsum("io,bi->bo", [w, x])),
        (True, lambda x, w: torch.linalg.multi_dot([x, w])),
        (True, lambda x, w: torch.chain_matmul(x, w)),
    ],
)
def test_the_weight_of_a_product_is_out_times_in(turned, run):
    weight = torch.randn(CLASSES, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    names = ["fisher", "flops", "snip", "l2_norm", "greenmachine_d", "greenmachine_g", "ntk_trace"]
    wanted = score(Product(weight, F.linear), data((7,)), names, init="keep")
    found = score(Product(weight.t().contiguous() if turned else weight, run), data((7,)), names, init="keep")
    assert wanted["greenmachine_d"] > 0
    assert not differing(found, wanted)


# Of (weight @ x.T) the channels come first; heads and positions of a weight are channels and inputs.
TURNED = {
    "left": lambda x, w: (w @ x.T).T,
    "rmatmul": lambda x, w: w.T.__rmatmul__(x),
    "F.linear of the weight": lambda x, w: F.linear(w, x).T,
    "einsum, channels first": lambda x, w: torch.einsum("oi,bi->ob", w, x).T,
    "einsum, implied": lambda x, w: torch.einsum("zi,ai", w, x),
    "einsum, sublists": lambda x, w: torch.einsum(x, [0, 1], w, [2, 1], [0, 2]),
    "einsum, ellipsis": lambda x, w: torch.einsum("...i,oi->...o", x, w),
    "inner": torch.inner,
    "inner, turned": lambda x, w: torch.inner(w, x).T,
    "tensordot": lambda x, w: torch.tensordot(x, w, dims=([1], [1])),
    "tensordot, weight first": lambda x, w: torch.tensordot(w, x, dims=[[1], [1]]).mT,
    "bmm": lambda x, w: torch.bmm(x[None], w.mT[None])[0],
    "addmm": lambda x, w: torch.addmm(x.new_zeros(1), w, x.T, beta=2).T,
    "addbmm": lambda x, w: torch.addbmm(x.new_zeros(1, 1), x[None], w.T[None]),
    "baddbmm": lambda x, w: torch.baddbmm(x.new_zeros(1, 1, 1), x[None], w.T[None])[0],
    "two letters": lambda x, w: torch.einsum("bij,oij->bo", x.unflatten(1, (7, 1)), w.unflatten(1, (7, 1))),
    "heads": lambda x, w: torch.einsum("bi,hoi->bho", x, w.view(2, 2, 7)).flatten(1),
    "matmul of three dimensions": lambda x, w: (x[:, None] @ w.T).squeeze(1),
}


@pytest.mark.parametrize("how", TURNED)
def test_a_product_in_any_order_is_a_linear_layer(how):
    weight = torch.randn(CLASSES, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    names = ["fisher", "flops", "snip", "l2_norm", "greenmachine_d", "zen"]
    wanted = score(Product(weight, F.linear), data((7,)), names, init="keep")
    found = score(Product(weight, TURNED[how]), data((7,)), names, init="keep")
    assert not differing(found, wanted)


# --- what a network does besides


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("init", ["keep", "paper"])
def test_checkpoints_change_nothing(reentrant, init):
    class Checkpointed(Convolutions):
        def forward(self, x):
            x = self.r1(self.n1(self.c1(x)))
            part = lambda x: self.r2(self.n2(self.c2(x)))  # noqa: E731
            x = x + checkpoint(part, x, use_reentrant=reentrant)
            x = checkpoint(nn.Sequential(self.c3, self.n3, self.r3), x, use_reentrant=reentrant)
            return self.fc(self.flat(self.pool(x)))

    twin = Checkpointed().double()
    twin.load_state_dict(made("Convolutions").state_dict())
    found = score(twin, data((3, 8, 8)), list_proxies(), init=init)
    wanted = score(made("Convolutions"), data((3, 8, 8)), list_proxies(), init=init)
    assert dict(found) == pytest.approx(dict(wanted), rel=1e-12, nan_ok=True)


def test_checkpoints_are_back_afterwards():
    calls = []

    def part(x):
        calls.append(1)
        return x.sin()

    score(made("Layers"), data((5, 6)), ["synflow"])
    x = torch.ones(2, requires_grad=True)
    checkpoint(part, x, use_reentrant=True).sum().backward()
    checkpoint(part, x, use_reentrant=False).sum().backward()
    assert len(calls) == 4


@pytest.mark.parametrize("alone", [None, "synflow", "zico", "grad_norm_l2", "expressivity", "eznas"])
def test_what_pytorch_could_not_differentiate_has_values(alone):
    """Adding to what a ReLU gave overwrites what its backward needs."""

    class InPlace(Convolutions):
        def forward(self, x):
            x = self.r1(self.n1(self.c1(x)))
            before, x = x, self.r2(self.n2(self.c2(x)))
            x += before
            return self.fc(self.flat(self.pool(self.r3(self.n3(self.c3(x))))))

    twin = InPlace().double()
    twin.load_state_dict(made("Convolutions").state_dict())
    with pytest.raises(RuntimeError, match="inplace"):
        twin(data((3, 8, 8))[0][0]).sum().backward()
    names = list_proxies() if alone is None else [alone]
    found = score(twin, data((3, 8, 8)), names, init="keep")
    assert not differing(found, {name: expected("Convolutions")[name] for name in names}, rel=1e-6)


def test_zen_before_what_reads_a_graph():
    """Fresh running statistics are no change of what a graph has saved."""
    found = score(made("Convolutions"), data((3, 8, 8)), ["zen", "eznas"], init="keep")
    assert not differing(found, {name: expected("Convolutions")[name] for name in found})

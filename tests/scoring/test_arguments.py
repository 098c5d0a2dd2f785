"""Every argument is checked at the door, whether or not the proxies read it; failures name whose they are."""

import re

import pytest
import torch
from any_networks import CLASSES, batches, norms, seeded
from torch import nn

from zcp import InputError, score, score_many

DATA = batches()
REFUSED = {
    "device": (("foo", "cuda:9999", "meta", 1.5), "device|meta device"),
    "formulas": (
        (3, "frobenius_norm(weight)", {"a": 3}, {3: "relu(wt)"}, ["a"]),
        "formulas must be a mapping",
    ),
    "seed": (("a", 1.5, None, True), "seed must be a whole number"),
    "strict": (("x", 1, None), "strict must be True or False"),
    "progress": (("x",), "progress must be True or False"),
    "blocks": ((3, "body", [3], []), "blocks must be a list of names|blocks is empty; name at least one"),
    "draw": ((3, "x"), "draw must be a function"),
    "loss": ((3, "mse"), "loss must be a function"),
    "output": ((1.5, [1]), "output must be a key, an index, or a function"),
    "engine": (([], "slow"), "unknown engine"),
    "init": (([], "none"), "unknown init"),
    "proxies": ((3, [3]), "a proxy is a name or a function"),
}
CASES = [(name, value) for name, (values, _) in REFUSED.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_an_argument_that_cannot_be_used(name, value):
    net, chosen = seeded(lambda: norms("batch")), {"proxies": ["params"]}
    for call in (lambda o: score(net, DATA, **o), lambda o: score_many({"a": net}, DATA, **o)):
        with pytest.raises(InputError, match=REFUSED[name][1]) as caught:
            call(chosen | {name: value})
        assert "\n" not in str(caught.value)


def test_blocks_that_the_network_lacks():
    with pytest.raises(InputError, match="the network has no module 'zz'"):
        score(norms("batch"), DATA, ["params"], blocks=["zz"])


@pytest.mark.parametrize(
    ("networks", "options", "message"),
    [
        ([nn.Identity()], {}, "needs one network or more, by name"),
        ({"a": nn.Identity()}, {"workers": 0}, "workers must be"),
        ({"a": nn.Identity()}, {"prox": 1}, "no such argument.*'prox'"),
    ],
)
def test_a_table_says_what_it_cannot_use(networks, options, message):
    with pytest.raises(InputError, match=message):
        score_many(networks, DATA, **options)


def fails(*_):
    raise ZeroDivisionError("a\n  b")


@pytest.mark.parametrize(
    ("name", "proxy", "who"),
    [
        ("loss", "snip", "the loss"),
        ("draw", "zen", "the function draw"),
        ("output", "snip", "the function output"),
    ],
)
def test_it_is_said_whose_function_failed(name, proxy, who):
    found = score(norms("batch"), DATA, [proxy, "l2_norm"], **{name: fails})
    assert found.reasons == {proxy: f"{who} fails (ZeroDivisionError: a b)"}
    assert found["l2_norm"] > 0


def test_a_loss_without_a_gradient_has_no_scores():
    names = ["grad_norm", "snip", "fisher", "grasp", "zico", "grad_norm_l2"]
    found = score(norms("batch"), DATA, [*names, "naswot"], loss=lambda out, _: out.detach().sum())
    assert found.reasons.keys() == {*names}
    assert all(reason.startswith("the loss has no gradient") for reason in found.reasons.values())


class Mapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, CLASSES))

    def forward(self, x):
        return torch.vmap(lambda row: row @ self.weight)(x)


def test_reasons_are_of_one_line():
    found = score(Mapped(), batches(shape=(8,)))
    assert found.reasons
    assert not any(re.search(r"[\r\n]", reason) for reason in found.reasons.values())

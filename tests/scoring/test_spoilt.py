"""Networks whose own tensors hold NaN or infinite values."""

import math

import pytest
import torch
from any_networks import ViT, batches, norms, seeded
from torch import nn

from zcp import list_proxies, score
from zcp.errors import Kind

DATA = batches()
#: What reads no values of weights.
COUNTS = {"params", "flops"}


PLACES = [(name, value) for name in ("3.weight", "1.bias") for value in (math.nan, math.inf, -math.inf)]


@pytest.mark.parametrize(
    ("name", "value"), [*PLACES, ("4.running_var", math.nan), ("4.running_var", math.inf)]
)
def test_the_first_tensor_without_values_is_the_reason_of_all(name, value):
    net = seeded(lambda: norms("batch"))
    sound = score(net, DATA, sorted(COUNTS))
    for each in (name, "4.running_mean"):
        net.state_dict()[each].view(-1)[-1] = value
    first = "4.running_mean" if "running" in name else name
    found = score(net, DATA, list_proxies(), init="keep")
    assert {key for key in found if math.isfinite(found[key])} == COUNTS
    assert {key: found[key] for key in sound} == sound
    assert {*found.reasons.values()} == {
        f"{first} of the network holds NaN or infinite values, which all passes would read; correct it, or "
        'pass init="paper" for weights drawn anew'
    }
    assert {*found.kinds.values()} == {Kind.WEIGHTS}
    assert found.to_frame().reason["grad_norm"] == found.reasons["grad_norm"]


def test_weights_drawn_anew_have_values_again():
    net = seeded(lambda: norms("batch"))
    names = ["grad_norm", "zen", "naswot", "synflow"]
    expected = score(net, DATA, names)
    with torch.no_grad():
        net[0].weight.fill_(math.nan)
        net[1].running_mean.fill_(math.nan)
    assert score(net, DATA, names) == expected


class Scaled(nn.Module):
    """Holds a number that no initialisation draws, and a buffer of its own."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.body, self.scale = norms("none"), nn.Parameter(torch.tensor(scale))
        self.register_buffer("shift", torch.tensor([shift]))

    def forward(self, x):
        return self.body(x) * self.scale + self.shift


@pytest.mark.parametrize(("given", "name"), [({"scale": math.nan}, "scale"), ({"shift": math.inf}, "shift")])
def test_what_no_initialisation_draws(given, name):
    found = score(seeded(lambda: Scaled(**given)), DATA, ["grad_norm", "params"])
    assert math.isnan(found["grad_norm"]) and found["params"] > 0
    assert found.reasons["grad_norm"].startswith(f"{name} of the network holds NaN")
    assert "so correct it" in found.reasons["grad_norm"]


def test_a_mask_is_no_fault():
    class Masked(ViT):
        def __init__(self) -> None:
            super().__init__(how="written")
            self.register_buffer("mask", torch.full((17, 17), -math.inf).triu(1))

        def forward(self, x):
            x = self.blocks(self.patches(x).flatten(2).mT)
            return self.head((x @ x.mT + self.mask[:16, :16]).softmax(-1) @ x)[:, 0]

    found = score(seeded(Masked), DATA, ["grad_norm", "log_synflow"], init="keep")
    assert all(map(math.isfinite, found.values())), found.reasons

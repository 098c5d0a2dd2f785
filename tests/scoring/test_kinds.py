"""What is done about a reason depends on its kind, and not on its words."""

import math

import pytest
import torch
from any_networks import CLASSES, batches, norms, seeded
from torch import nn

from zcp import Undefined, score
from zcp.errors import Kind
from zcp.proxies.registry import default_proxies
from zcp.statistics.network import Statistics

DATA = batches()


def misleading(_s: Statistics) -> float:
    """Is undefined for a reason that speaks of stride and zero."""
    raise Undefined("(RuntimeError: its gradient is zero, the kernel is zero, stride)")


def test_each_reason_has_a_kind():
    dead = nn.Sequential(nn.Flatten(), nn.Linear(192, CLASSES))
    with torch.no_grad():
        dead[1].weight.zero_()
    found = score(dead, DATA[:1], ["jacob_cov", "ntk_cond", "zico", "log_synflow", "naswot"], init="keep")
    assert found.kinds.keys() == found.reasons.keys()
    assert found.kinds["jacob_cov"] is Kind.ZERO
    assert found.kinds["zico"] is found.kinds["naswot"] is Kind.UNDEFINED
    assert found.kinds["log_synflow"] is Kind.VALUE
    with pytest.raises(Undefined) as error:
        score(dead, DATA, ["jacob_cov"], init="keep", strict=True)
    assert error.value.kind is Kind.ZERO


def test_words_do_not_decide():
    found = score(seeded(lambda: norms("batch")), DATA, [misleading])
    assert found.kinds == {"misleading": Kind.UNDEFINED}
    assert found.passes == {"default": {}}


class Fails(nn.Module):
    """Fails where its activations lie with the channels last, in its own words, or anywhere."""

    def __init__(self, error: type[Exception], anywhere: bool) -> None:
        super().__init__()
        self.body, self.error, self.anywhere = norms("none"), error, anywhere

    def forward(self, x):
        if self.anywhere or not x.is_contiguous():
            raise self.error("the pixels of a row are to lie side by side")
        return self.body(x)


def test_what_fails_in_one_layout_runs_in_the_other():
    names = ["grad_norm", "naswot", "params"]
    found = score(seeded(lambda: Fails(ValueError, anywhere=False)), DATA, names)
    assert found == score(seeded(lambda: Fails(ValueError, anywhere=False)), DATA, names, engine="plain")
    assert not found.kinds and found["grad_norm"] > 0


@pytest.mark.parametrize(
    ("error", "kind"), [(RuntimeError, Kind.FORWARD), (torch.OutOfMemoryError, Kind.MEMORY)]
)
def test_a_forward_that_fails(error, kind):
    found = score(Fails(error, anywhere=True), DATA, default_proxies())
    assert math.isfinite(found["params"])
    assert {found.kinds[name] for name in found if math.isnan(found[name])} == {kind}

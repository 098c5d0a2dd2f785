"""Networks that cannot be scored are refused in one line that says what to do."""

import pytest
import torch
from any_networks import CLASSES, batches, norms, seeded
from torch import nn

from zcp import InputError, flops, score, score_many

DATA = batches()


def plain() -> nn.Module:
    return seeded(lambda: norms("batch"))


def scripted() -> nn.Module:
    return torch.jit.script(plain())


def traced() -> nn.Module:
    return torch.jit.trace(plain().eval(), DATA[0][0])


def exported() -> nn.Module:
    return torch.export.export(plain().eval(), (DATA[0][0],)).module()


def on_meta() -> nn.Module:
    return plain().to("meta")


def buffer_on_meta() -> nn.Module:
    net = plain()
    net[1].running_mean = net[1].running_mean.to("meta")
    return net


class Holds(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


REFUSED = {
    "scripted": (scripted, "the network is compiled by torch.jit.*; score the module that it was scripted"),
    "traced": (traced, "the network is compiled by torch.jit.*or traced from"),
    "part scripted": (lambda: Holds(scripted()), "the module 'inner' is compiled by torch.jit"),
    "exported": (exported, "the network is a program of torch.export.*; score the module that"),
    "part exported": (lambda: Holds(exported()), "the module 'inner' is a program of torch.export"),
    "meta": (on_meta, "0.weight of the network is on the meta device.*to_empty"),
    "buffer on meta": (buffer_on_meta, "1.running_mean of the network is on the meta device"),
    "none": (lambda: None, "the network is a NoneType, not a torch.nn.Module"),
    "class": (lambda: Holds, "the network is the class Holds; pass an instance"),
    "function": (lambda: torch.relu, "not a torch.nn.Module"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_scored(kind):
    make, message = REFUSED[kind]
    with pytest.raises(InputError, match=message) as caught:
        score(make(), DATA, ["params"])
    assert "\n" not in str(caught.value)
    if "meta" not in kind:
        with pytest.raises(InputError, match=message):
            flops(make(), DATA[0][0])


def test_a_symbolic_trace_is_scored_as_what_it_traces():
    assert score(torch.fx.symbolic_trace(plain()), DATA) == score(plain(), DATA)


def test_multiply_accumulates_need_no_values():
    x = DATA[0][0]
    assert flops(on_meta(), x) == flops(on_meta(), x.to("meta")) == flops(plain(), x)


@pytest.mark.parametrize("inputs", ["abc", torch.zeros(1, 5, 8, 8), 3])
def test_inputs_that_a_network_cannot_run_on(inputs):
    with pytest.raises(InputError, match=r"the network fails on these inputs \(|inputs are a tensor"):
        flops(plain(), inputs)


def test_a_table_says_it_in_the_same_words():
    made = {"none": lambda: None, "meta": on_meta, "good": plain}
    table = score_many(made, DATA, proxies=["params"])
    reasons = table.attrs["reasons"]
    assert reasons["none"] == {"": "the function that builds the network returned None"}
    assert reasons["meta"][""].startswith("0.weight of the network is on the meta device")
    assert table["score"].loc["good"].notna().all()


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("empty", [(0, 4), (4, 0)])
def test_a_layer_without_elements_adds_nothing(empty):
    """Beside it the network is an ordinary one."""

    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.empty = plain(), nn.Linear(*empty, bias=False)

        def forward(self, x):
            return self.body(x) + self.empty(x.new_zeros(len(x), empty[0])).sum(1, keepdim=True)

    found, expected = score(Beside(), DATA), score(plain(), DATA)
    for name in expected:
        assert found[name] == pytest.approx(expected[name], rel=1e-6, nan_ok=True), name


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_inputs_without_features_have_values_or_reasons():
    data = [(torch.zeros(5, 0), torch.arange(5) % CLASSES)] * 2
    found = score(nn.Linear(0, CLASSES), data)
    assert found["l2_norm"] == found["grad_norm"] == 0
    assert found["params"] == CLASSES / 1e6
    for name, value in found.items():
        assert value == value or "Error" not in found.reasons[name], name

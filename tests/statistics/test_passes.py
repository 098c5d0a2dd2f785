from contextlib import suppress

import pytest
import torch
import torch.nn.functional as F
from tiny import CLASSES, SHAPE, Shared, batches, fingerprint, network
from torch import Tensor, nn

from zcp import InputError, score
from zcp.statistics.capture import forward, gradients
from zcp.statistics.hooks import NAMED
from zcp.statistics.operations import KINDS


def test_calls_follow_execution_and_hold_what_the_layers_saw():
    net = network("plain")
    inputs = batches()[0][0]
    seen = forward(net, inputs, named=True)
    x, calls = inputs, iter(seen.calls)
    net.train()
    for module in net:
        y = module(x)
        if not isinstance(module, nn.Flatten):
            call = next(calls)
            assert call.module is (module if isinstance(module, tuple(NAMED)) else None)
            assert call.weight is getattr(module, "weight", None)
            torch.testing.assert_close(call.input, x)
            torch.testing.assert_close(call.output, y)
        x = y
    assert next(calls, None) is None
    torch.testing.assert_close(seen.logits, x)
    assert seen.inputs is inputs


def test_of_filters_by_kind():
    seen = forward(network(), batches()[0][0])
    assert {call.kind for call in seen.calls} < {*KINDS}
    assert {call.kind for call in seen.of("activation", "linear")} == {"activation", "linear"}
    assert len(seen.of("linear")) == 1


def test_a_module_that_runs_twice_gives_two_calls():
    net = Shared()
    seen = forward(net, batches()[0][0], named=True)
    assert [call.module for call in seen.of("convolution")] == [net.stem, net.conv, net.conv]
    assert net.unused not in [call.module for call in seen.calls]


class Broken(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.body = network()
        self.result = result

    def forward(self, x):
        logits = self.body(x)
        if self.result is RuntimeError:
            raise RuntimeError("midway")
        return self.result(logits)


@pytest.mark.parametrize("result", [RuntimeError, lambda y: (y, y), lambda y: y])
def test_no_hook_stays_behind(result):
    net = Broken(result).eval()
    net.body.stem.register_forward_hook(lambda *_: None)
    before = fingerprint(net)
    with suppress(RuntimeError, InputError):
        forward(net, batches()[0][0])
    assert fingerprint(net) == before


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda y: (y, y), "a tuple of 2 items"),
        (lambda y: [y], "a list of 1 items"),
        (lambda y: {"logits": y}, "a dict"),
        (lambda y: None, "NoneType"),
    ],
)
def test_a_network_that_returns_no_tensor(result, message):
    with pytest.raises(InputError, match=message):
        forward(Broken(result), batches()[0][0])


def test_gradients_write_to_no_grad_and_fill_in_zeros():
    net = network()
    inputs = torch.randn(2, *SHAPE)
    lonely = torch.ones(3, requires_grad=True)
    found = gradients(net(inputs), [*net.parameters(), lonely])
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(found[-1], torch.zeros(3))
    net(inputs).sum().backward()
    for parameter, gradient in zip(net.parameters(), found, strict=False):
        torch.testing.assert_close(gradient, parameter.grad)


def test_gradients_of_what_needs_none():
    constant = torch.ones(4)
    (zeros,) = gradients(constant, [torch.ones(2, CLASSES)])
    assert torch.equal(zeros, torch.zeros(2, CLASSES))
    assert gradients(constant, []) == []


def test_gradients_keep_or_free_the_graph():
    x = torch.ones(2, requires_grad=True)
    y = x**3
    (first,) = gradients(y, [x], create_graph=True)
    (second,) = gradients(first, [x])
    assert second.tolist() == [6, 6]
    assert gradients(y, [x])[0].tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="second time"):
        gradients(y, [x])


class _Overwriting(nn.Module):
    """The same network with its activation in place or not; the sum overwrites the second batch norm."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.conv, self.classifier, self.in_place = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), in_place

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x), inplace=self.in_place)
        return self.classifier(y.mean((2, 3)))


def test_a_network_that_overwrites_outputs_runs_once_more():
    torch.manual_seed(0)
    pairs = [(torch.randn(4, 3, 8, 8), torch.arange(4))]
    plain, overwriting = _Overwriting(False), _Overwriting(True)
    overwriting.load_state_dict(plain.state_dict())
    wanted = score(plain, pairs, ["grad_norm", "fisher"], init="keep")
    found = score(overwriting, pairs, ["grad_norm", "fisher"], init="keep")
    assert found["grad_norm"] == wanted["grad_norm"] and wanted["fisher"] > 0
    assert found["fisher"] == pytest.approx(wanted["fisher"], rel=1e-6)
    assert found.passes == {"keep": {"forward": 2, "backward": 1}}  # the second keeps copies

"""How networks are laid out and copied for the passes: fast, and plain as a reference in tests.

Both give the same scores within the rounding of single precision; they differ in time only.

* `fast`: activations and weights with the channels last, for which PyTorch's convolutions, batch norms and
  above all average pools are quicker; one copy of the network for all initialisations, whose tensors are put
  back between them (copying two hundred modules takes as long as a forward of eight images); and formulas
  evaluated over several layers of equal shapes at once, on views that cost no copy (`zcp.formulas.views`).
* `plain`: PyTorch's default layout, a new copy for each initialisation, one layer after the other, and all in
  the order of dimensions.

With the channels last PyTorch adds up the statistics of a batch norm in single precision, in its default
layout in double: the mean of 65,536 values is wrong by 5e-6 of their deviation instead of 4e-8. This shows in
networks that multiply rounding errors, and nowhere else.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zcp.errors import InputError


@dataclass(frozen=True)
class Engine:
    """A way to run networks.

    Attributes:
        name: key of `ENGINES`.
        memory_format: of weights and activations with four dimensions.
        copies_once: whether one copy of the network serves all initialisations.
        together: elements of one statistic, over all layers, that formulas work on at once, on a CPU (more
            would leave its cache) and on other devices.
        views: whether formulas read features in the way that costs least.
    """

    name: str
    memory_format: torch.memory_format
    copies_once: bool
    together: tuple[int, int]
    views: bool

    def lay_out(self, tensor: Tensor) -> Tensor:
        """Return a tensor of any shape in this engine's layout; the values are the same."""
        return tensor.contiguous(memory_format=self.memory_format) if tensor.ndim == 4 else tensor


ENGINES = {
    "fast": Engine("fast", torch.channels_last, copies_once=True, together=(2**19, 2**24), views=True),
    "plain": Engine("plain", torch.contiguous_format, copies_once=False, together=(0, 0), views=False),
}


def get_engine(name: str | Engine) -> Engine:
    """Return the engine called `name`; one of your own is returned as it is.

    Raises:
        InputError: if there is none.
    """
    if isinstance(name, Engine):
        return name
    if name not in ENGINES:
        raise InputError(f"unknown engine {name!r}; choose one of {', '.join(ENGINES)}")
    return ENGINES[name]


class Workspace:
    """Copies of a user's network for proxies to run on; the network itself is never touched.

    Args:
        network: what to copy.
        engine: how often to.

    Raises:
        InputError: if the network cannot be copied.
    """

    def __init__(self, network: nn.Module, engine: Engine) -> None:
        self.network, self.engine = network, engine
        self._own: nn.Module | None = None

    def fresh(self, *, apart: bool = False, strides: bool = True) -> nn.Module:
        """Return a copy with the tensors of the network as they are.

        Args:
            apart: whether it will be changed in more than its tensors, so that it cannot serve again.
            strides: whether they lie in memory as the network's do, too, which an initialisation in place
                follows; else as the last one left them, which costs less.
        """
        if apart or not self.engine.copies_once:
            return _copy(self.network)
        if self._own is None:
            self._own = _copy(self.network)
        else:
            _put_back(self._own, self.network, strides)
        return self._own


def _copy(network: nn.Module) -> nn.Module:
    try:
        own = copy.deepcopy(network)
    except Exception as error:
        raise InputError(
            f"the network cannot be copied ({type(error).__name__}: {error}); zcp works on copies, so remove "
            "attributes such as open files or tensors that are part of a graph"
        ) from error
    for module in own.modules():
        # The value is the same, but the tensors before an in-place activation would be lost.
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    for parameter in own.parameters():
        parameter.requires_grad_()
        parameter.grad = None
    return own


def _put_back(own: nn.Module, network: nn.Module, strides: bool) -> None:
    """Give a copy the tensors of its original again."""
    mine: list[Tensor] = [*own.parameters()]
    theirs: list[Tensor] = [*network.parameters()]
    for parameter, original in zip(mine, theirs, strict=True):
        parameter.grad = None
        if strides:
            parameter.data = torch.empty_like(original)
    if mine:
        with torch.no_grad():
            torch._foreach_copy_(mine, theirs)
    for module, source in zip(own.modules(), network.modules(), strict=True):
        for name, buffer in source.named_buffers(recurse=False):
            setattr(module, name, buffer.detach().clone())
        module.training = source.training

"""How networks are laid out and copied for the passes: fast, and plain as a reference in tests.

Both give the same scores within the rounding of single precision; they differ in time only.

* `fast`: on a CPU activations and weights with the channels last, for which PyTorch's convolutions, batch
  norms and above all average pools are quicker; one copy of the network for all initialisations, whose
  tensors are put back between them (copying two hundred modules takes as long as a forward of eight images);
  and formulas evaluated over several layers of equal shapes at once, on views that cost no copy
  (`zcp.formulas.views`).
* `plain`: PyTorch's default layout, a new copy for each initialisation, one layer after the other, and all in
  the order of dimensions.

With the channels last PyTorch adds up the statistics of a batch norm in single precision, in its default
layout in double: the mean of 65,536 values is wrong by 5e-6 of their deviation instead of 4e-8. This shows in
networks that multiply rounding errors, and nowhere else.

On a GPU both use the default order: with the channels last PyTorch's gradient of an average pool with padding
is wrong there (pytorch/pytorch#188344, of June 2026; seen with torch 2.11 on an H100, where most networks of
NATS-Bench's topology space have such a pool). A network that permutes its own activations into that order
before such a pool still meets it.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, is_lazy
from torch.utils._pytree import tree_leaves

from zcp.errors import InputError


@dataclass(frozen=True)
class Engine:
    """A way to run networks.

    Attributes:
        name: key of `ENGINES`.
        memory_format: of weights and activations with four dimensions, on a CPU.
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

    def on(self, device: torch.device) -> Self:
        """Return this engine with the layout that it has on a device."""
        return self if device.type == "cpu" else replace(self, memory_format=torch.contiguous_format)

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
    if not isinstance(name, str) or name not in ENGINES:
        raise InputError(f"unknown engine {name!r}; choose one of {', '.join(ENGINES)}")
    return ENGINES[name]


class Workspace:
    """Copies of a user's network for proxies to run on; the network itself is never touched.

    Args:
        network: what to copy.
        engine: how often to.
        device: where the copies are; where the network is if None.

    Raises:
        InputError: if the network cannot be copied.
    """

    def __init__(self, network: nn.Module, engine: Engine, device: torch.device | None = None) -> None:
        self.network, self.engine, self.device = network, engine, device
        self._own: nn.Module | None = None

    def fresh(self, *, apart: bool = False, strides: bool = True) -> nn.Module:
        """Return a copy with the tensors of the network as they are.

        Args:
            apart: whether it will be changed in more than its tensors, so that it cannot serve again.
            strides: whether they lie in memory as the network's do, too, which an initialisation in place
                follows; else as the last one left them, which costs less.
        """
        if apart or not self.engine.copies_once:
            return own_copy(self.network, self.device)
        if self._own is None:
            self._own = own_copy(self.network, self.device)
        else:
            _put_back(self._own, self.network, strides)
        return self._own

    def discard(self) -> None:
        """Forget the copy that serves again, because someone changed it."""
        self._own = None


def lay_out(network: nn.Module, engine: Engine) -> nn.Module:
    """Give every tensor of a network with four dimensions the engine's layout, in place, and return it."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=engine.memory_format)
    return network


def duplicate(network: nn.Module) -> nn.Module:
    """Return a copy of a network; activations that it stored are copied without their graph."""
    try:
        return copy.deepcopy(network)
    except RuntimeError:
        # Only what has a graph cannot be copied; to look for it first takes half as long as a copy.
        pass
    stored = (leaf for module in network.modules() for leaf in tree_leaves(list(vars(module).values())))
    tensors = [each for each in stored if isinstance(each, Tensor) and not each.is_leaf]
    return copy.deepcopy(network, {id(each): each.detach().clone() for each in tensors})


def own_copy(network: nn.Module, device: torch.device | None = None) -> nn.Module:
    """Return a copy of a network that runs nothing of its owner's: no hooks, no wrappers, nothing in place.

    Raises:
        InputError: if it cannot be copied.
    """
    try:
        own = duplicate(network)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"the network cannot be copied ({type(error).__name__}: {error}); zcp works on copies, so remove "
            "attributes such as open files, locks or generators"
        ) from error
    for module in own.modules():
        _silence(module)
        # The value is the same, but the tensors before an in-place activation would be lost.
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
        for name, child in module._modules.items():
            module._modules[name] = child and unwrapped(child)
    for parameter in own.parameters():
        parameter.requires_grad_()
        parameter.grad = None
    return own if device is None else own.to(device)


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside wrappers: several devices, or a compiler."""
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif isinstance(inner := network._modules.get("_orig_mod"), nn.Module):
            network = inner
        else:
            return network


def _silence(module: nn.Module) -> None:
    """Remove the hooks of a module but those that it works by: the older `weight_norm`, or marked so."""
    module._compiled_call_impl = None
    for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
        hooks: dict[int, Any] = getattr(module, kind)
        for number, hook in list(hooks.items()):
            own = getattr(hook, "part_of_network", False)
            if not own and not str(getattr(hook, "__module__", "")).startswith("torch.nn."):
                del hooks[number]
                for extra in (f"{kind}_with_kwargs", f"{kind}_always_called"):
                    getattr(module, extra, {}).pop(number, None)


def materialised(network: nn.Module, arguments: Sequence[Any], keywords: dict[str, Any]) -> nn.Module:
    """Return a network whose lazy modules have weights: a copy that ran once, or itself if there are none.

    Raises:
        InputError: if a lazy module did not run.
    """
    if not any(is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers())):
        return network
    try:
        memo: dict[int, Any] = {}
        for each in filter(is_lazy, network.buffers()):
            memo[id(each)] = UninitializedBuffer(False, each.device, each.dtype)  # type: ignore[arg-type]
        own = copy.deepcopy(network, memo)
        own.eval()
        for module in own.modules():
            _silence(module)
        with torch.no_grad():
            own(*arguments, **keywords)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"the network has lazy modules, and the forward that would give them weights fails "
            f"({type(error).__name__}: {error}); run it once on inputs of its own"
        ) from error
    left = [name for name, p in own.named_parameters() if is_lazy(p)]
    if left:
        raise InputError(f"the lazy modules of {', '.join(left)} did not run, so they have no weights")
    return own.train(network.training)


def _put_back(own: nn.Module, network: nn.Module, strides: bool) -> None:
    """Give a copy the tensors of its original again."""
    mine: list[Tensor] = [*own.parameters()]
    theirs: list[Tensor] = [*network.parameters()]
    for parameter, original in zip(mine, theirs, strict=True):
        parameter.grad = None
        if strides:
            parameter.data = torch.empty_like(original, device=parameter.device)
    if mine:
        with torch.no_grad():
            torch._foreach_copy_(mine, theirs)
    for module, source in zip(_bare(own, set()), _bare(network, set()), strict=True):
        for name, buffer in source._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.detach().clone().to(getattr(module, name).device)
        module.training = source.training


def _bare(network: nn.Module, seen: set[nn.Module]) -> Iterator[nn.Module]:
    """Yield each module of a network once, without the wrappers that its copies lack."""
    network = unwrapped(network)
    if network not in seen:
        seen.add(network)
        yield network
        for child in network.children():
            yield from _bare(child, seen)

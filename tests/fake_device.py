"""A device that computes shapes and no values, on which whoever waits for a value fails.

PyTorch's fake tensors know their device, refuse to meet those of another one, and have no values to look at.
Of the kind `cuda` they can be differentiated only where PyTorch was built with CUDA; one for CPUs ends the
process. So they are of a kind that no build has, and what is particular to `cuda` (events, pinned memory,
generators) is tested for itself.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

KIND, NUMBER = "maia", 8
DEVICE = torch.device(KIND, 0)
#: What PyTorch documents to make the host wait for a GPU, and fake tensors do not refuse.
WAITING = {
    "_linalg_eigh", "_linalg_svd", "linalg_eig", "_linalg_eigvals", "linalg_lu_factor", "linalg_inv_ex",
    "_linalg_solve_ex", "linalg_cholesky_ex", "unique_dim", "_unique2", "nonzero", "masked_select", "equal",
    "_local_scalar_dense",
}  # fmt: skip


class Waited(Exception):
    """Somebody looked at a value."""


class _Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.copies_to_host = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        before = [t for t in args if isinstance(t, Tensor)]
        if any(t.device == DEVICE for t in before):
            if func.overloadpacket.__name__ in WAITING:
                raise Waited(str(func))
            if isinstance(found, Tensor) and found.device.type == "cpu":
                self.copies_to_host += 1
        return found


@contextmanager
def fake_device() -> Iterator[_Watch]:
    """Let fake tensors be on `DEVICE` in the block; yields what counts their copies to the host."""
    core = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * 22).in_dll(core, "_ZN3c104impl26device_guard_impl_registryE")
    before, guards[NUMBER] = guards[NUMBER], guards[0]
    try:
        mode = FakeTensorMode()
        # A copy of a tensor would have a copy of its mode.
        mode.__deepcopy__ = lambda _memo: mode
        laid_out = mock.patch.object(nn.Module, "to", _laid_out)
        # There is no thread for this device, and leaving inference mode would bring them back.
        one_thread = torch.autograd.set_multithreading_enabled(False)
        no_other = mock.patch.object(torch, "inference_mode", lambda _mode: nullcontext())
        with mode, laid_out, one_thread, no_other, _Watch() as watch:
            yield watch
    finally:
        guards[NUMBER] = before


def put(network: nn.Module) -> nn.Module:
    """Put a network of fake tensors on `DEVICE`."""
    return _converted(network, lambda tensor: tensor.to(DEVICE))


def _converted(network: nn.Module, change: Callable[[Tensor], Tensor]) -> nn.Module:
    """Do as `nn.Module.to`, which cannot swap fake parameters."""
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(change(parameter.detach()))
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else change(buffer)
    return network


def _laid_out(network: nn.Module, memory_format: torch.memory_format) -> nn.Module:
    return _converted(
        network, lambda t: t.contiguous(memory_format=memory_format) if t.ndim == 4 else t.clone()
    )

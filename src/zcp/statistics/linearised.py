"""The linearised network of synflow: absolute tensors, double precision, nothing random.

Norms are bypassed by the pass that runs it (`zcp.statistics.recorder`), where they are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import _Orthogonal
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode

from zcp.statistics.recurrent import current_weights
from zcp.statistics.runner import Runner
from zcp.statistics.spellings import named

#: Largest value of what masks attention by being added to it: less than any activation that counts.
MASKED = -1e4
_LOW = (torch.float32, torch.float16, torch.bfloat16)
_CASTS: dict[Callable[..., Any], Callable[..., Any]] = dict.fromkeys(
    named("float", "half", "bfloat16"), Tensor.double
)
_DROPOUTS = named(
    *("dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "alpha_dropout_"),
    *("feature_dropout", "feature_dropout_", "feature_alpha_dropout", "feature_alpha_dropout_"),
)
#: Functions that drop, or take running statistics -> an argument, its place, and the value that it gets.
_ARGUMENTS: dict[Callable[..., Any], tuple[str, int, Any]] = {
    F.scaled_dot_product_attention: ("dropout_p", 4, 0.0),
    F.multi_head_attention_forward: ("dropout_p", 10, 0.0),
    F.batch_norm: ("training", 5, True),
    torch.batch_norm: ("training", 5, True),
    F.instance_norm: ("use_input_stats", 5, True),
    torch.instance_norm: ("use_input_stats", 5, True),
}


class Linearised(nn.Module):
    """A network that runs with the absolute values of its parameters and buffers, in double precision.

    A buffer that masks attention stays as it is: it holds nothing but zeros and values of -1e4 or less, down
    to minus infinity; its absolute values would make of what is masked all that is seen.

    An orthogonal weight is folded: absolute is what comes of it, since it is not positive where the matrix
    that it is turned from is, and the gradient is with respect to it, as that matrix is most often zero.

    The network runs in evaluation mode, in which its own modules drop nothing (dropout, stochastic depth);
    the functions of dropout hand on their input in any mode, and batch and instance norms take the statistics
    of the batch. What the network creates or casts in single precision is of double precision.

    Args:
        network: any module; its mode is put back after each forward.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._leaves: dict[Tensor, Tensor] = {
            p: nn.Parameter(p.detach().abs().double()) for p in network.parameters()
        }
        self._folded = {chain: _fold(chain) for chain in network.modules() if _is_orthogonal(chain)}
        self._leaves |= {chain.original: weight for chain, weight in self._folded.items()}
        buffers = {buffer: _absolute(buffer) for buffer in network.buffers()}
        # Each module once: one of two names would keep what `functional_call` gave it.
        self._bound = {
            f"{prefix}.{name}" if prefix else name: tensors[own]
            for prefix, module in network.named_modules()
            for held, tensors in ((module._parameters, self._leaves), (module._buffers, buffers))
            for name, own in held.items()
            if own is not None
        }

    def leaf(self, parameter: Tensor) -> Tensor:
        """Return the tensor in the place of a parameter; gradients are with respect to it."""
        return self._leaves[parameter]

    def forward(self, inputs: Tensor) -> Tensor:
        modes = [(module, module.training) for module in self.network.modules()]
        default = torch.get_default_dtype()
        try:
            self.network.eval()
            torch.set_default_dtype(torch.float64)
            with current_weights(self.network), _giving(self._folded), _DoubleWithoutDropout():
                output: Tensor = functional_call(self.network, self._bound, (inputs,), tie_weights=False)
        finally:
            torch.set_default_dtype(default)
            for module, training in modes:
                module.training = training
        return output


def _is_orthogonal(module: nn.Module) -> TypeGuard[ParametrizationList]:
    return isinstance(module, ParametrizationList) and isinstance(module[0], _Orthogonal)


@torch.no_grad()
def _fold(chain: ParametrizationList) -> nn.Parameter:
    return nn.Parameter(chain().abs().double())


@contextmanager
def _giving(weights: dict[ParametrizationList, nn.Parameter]) -> Iterator[None]:
    """Let parametrisations give these weights."""
    for chain, weight in weights.items():
        chain.__dict__["forward"] = lambda weight=weight: weight
    try:
        yield
    finally:
        for chain in weights:
            del chain.__dict__["forward"]


def _absolute(buffer: Tensor) -> Tensor:
    if not buffer.is_floating_point():
        return buffer.clone()
    return torch.where(_is_mask(buffer), buffer, buffer.abs()).double()


def _is_mask(buffer: Tensor) -> Tensor:
    """Return whether it is one, on its device: nothing waits for the answer."""
    masked = buffer <= MASKED
    return masked.any() & ((buffer == 0) | masked).all()


class _DoubleWithoutDropout(TorchFunctionMode):
    """Runs the functions of PyTorch in double precision, and those of dropout not at all."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run a function on doubles."""
        args = tuple(map(_double, args))
        kwargs = {name: _double(each) for name, each in kwargs.items()} if kwargs else {}
        if func in _DROPOUTS:
            return args[0] if args else kwargs["input"]
        if func in _ARGUMENTS:
            name, place, value = _ARGUMENTS[func]
            if len(args) > place:
                args = (*args[:place], value, *args[place + 1 :])
            else:
                kwargs[name] = value
        run: Callable[..., Any] = _CASTS.get(func, func)
        return run(*args, **kwargs)


def _double(given: Any) -> Any:
    """Return an argument of a function with doubles in the place of floats of lower precision."""
    if isinstance(given, Tensor):
        return given.double() if given.dtype in _LOW else given
    if isinstance(given, torch.dtype):
        return torch.float64 if given in _LOW else given
    return type(given)(map(_double, given)) if type(given) in (list, tuple) else given


def saliency(s: Runner, *, without_norms: bool) -> list[Tensor]:
    """Return |w dR/dw| for each weight, R the sum of logits of the linearised network on an image of ones.

    Args:
        s: runs the pass.
        without_norms: bypass all norms; else they take the statistics of the one image.
    """
    network = Linearised(s.network)
    weights = [network.leaf(weight) for weight in s.weights]
    ones = torch.ones(1, *s.image_shape, device=s.device, dtype=torch.float64)
    logits = s.forward(network, ones, (), without_norms=without_norms).logits
    found = s.gradients(logits, weights)
    return [(w.detach() * g).abs() for w, g in zip(weights, found, strict=True)]

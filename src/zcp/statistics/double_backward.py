"""Batch normalisation whose second derivative is cheap.

PyTorch composes the second derivative of a batch norm from some thirty element-wise operations, which took
more than half of a Hessian-vector product here. Written out, it is one more fused backward, one inner product
and one linear combination of three tensors. Values and first derivatives are PyTorch's own.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import wrap_torch_function

from zcp.statistics.operations import OPERATIONS, Operation

_FORWARD = torch.ops.aten.native_batch_norm
_BACKWARD = torch.ops.aten.native_batch_norm_backward
_ALL = [True, True, True]


class _Gradient(torch.autograd.Function):
    """The backward of a batch norm as a function of (output gradient, input, weight)."""

    @staticmethod
    def forward(
        ctx: Any, dy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, invstd: Tensor, eps: float
    ) -> Any:
        dx, dweight, dbias = _BACKWARD(dy, x, weight, None, None, mean, invstd, True, eps, _ALL)
        ctx.save_for_backward(dy, x, weight, mean, invstd, dweight, dbias)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return dx, dweight, dbias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor | None, a: Tensor | None, b: Tensor | None) -> Any:
        dy, x, weight, mean, invstd, dy_xhat, dy_sum = ctx.saved_tensors
        count = x.numel() / x.shape[1]
        zero = torch.zeros_like(mean)
        affine = a is not None or b is not None
        a, b = zero if a is None else a, zero if b is None else b
        if v is None:
            v = torch.zeros_like(x)
        ddy, v_xhat, v_sum = _BACKWARD(v, x, weight, None, None, mean, invstd, True, ctx.eps, _ALL)
        v_dy = torch.linalg.vecdot(v.flatten(2), dy.flatten(2)).sum(0)
        # xhat is the normalised input: dx = weight * invstd * (dy - mean(dy) - xhat * mean(dy * xhat)).
        dweight = invstd * (v_dy - (v_sum * dy_sum + v_xhat * dy_xhat) / count)
        k = -weight * invstd.square() / count
        of_v = k * dy_xhat
        of_dy = k * v_xhat + a * invstd
        of_xhat = k * (v_dy - (v_sum * dy_sum + 3 * v_xhat * dy_xhat) / count) - a * invstd * dy_xhat / count
        of_one = -k * (dy_xhat * v_sum + v_xhat * dy_sum) / count - a * invstd * dy_sum / count
        of_x = of_xhat * invstd
        ddx = torch.addcmul(_spread(of_one - of_x * mean), x, _spread(of_x))
        ddx.addcmul_(v, _spread(of_v)).addcmul_(dy, _spread(of_dy))
        if ctx.needs_input_grad[0] and affine:
            ddy = ddy + torch.addcmul(_spread(b - a * invstd * mean), x, _spread(a * invstd))
        return ddy, ddx, dweight, None, None, None


class _Normalise(torch.autograd.Function):
    """Training-mode batch norm of (B, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, module: nn.BatchNorm2d) -> Any:
        y, mean, invstd = _FORWARD(
            x, weight, bias, module.running_mean, module.running_var, True, module.momentum, module.eps
        )
        ctx.save_for_backward(x, weight, mean, invstd)
        ctx.eps = module.eps
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, mean, invstd = ctx.saved_tensors
        return (*_Gradient.apply(dy, x, weight, mean, invstd, ctx.eps), None)  # type: ignore[no-untyped-call]


@wrap_torch_function(lambda *args: args[:1])
def _normalise(x: Tensor, weight: Tensor, bias: Tensor, module: nn.BatchNorm2d) -> Tensor:
    y: Tensor = _Normalise.apply(x, weight, bias, module)  # type: ignore[no-untyped-call]
    return y


OPERATIONS[_normalise] = Operation("norm", weight=(1, "weight"))


def _spread(channels: Tensor) -> Tensor:
    return channels[:, None, None]


class TwiceDifferentiable(nn.BatchNorm2d):
    """A batch norm with the cheap second derivative, where it has affine parameters and a graph."""

    def forward(self, input: Tensor) -> Tensor:
        x = input
        plain = self.weight is None or self.momentum is None or x.ndim != 4
        # With one value a channel the plain one raises, as it should.
        plain = plain or x.numel() == x.shape[1]
        if plain or not (self.training and torch.is_grad_enabled()):
            return super().forward(x)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        y: Tensor = _normalise(x, self.weight, self.bias, self)
        return y


def make_twice_differentiable(network: nn.Module) -> None:
    """Turn every plain `nn.BatchNorm2d` of `network` into `TwiceDifferentiable`, in place."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = TwiceDifferentiable

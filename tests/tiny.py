"""Networks and batches small enough for loops, and what a network looks like from outside."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zcp.spaces.cells import Cell, CellNetwork, Residual
from zcp.statistics.initialisation import initialise

CLASSES = 5
SHAPE = (3, 8, 8)
OPERATIONS = ("nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1", "skip_connect", "none", "nor_conv_3x3")
DEAD = ("none",) * 6


def batches(size: int = 5, count: int = 2, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    source = torch.Generator().manual_seed(11)
    return [
        (
            torch.randn(size, *SHAPE, generator=source).to(dtype),
            torch.randint(CLASSES, (size,), generator=source),
        )
        for _ in range(count)
    ]


def nats(operations: Sequence[str] = OPERATIONS) -> nn.Module:
    """NATS-like: two cells of unequal widths around one residual block."""
    cells = [Cell(operations, 4, 4), Residual(4, 6), Cell(operations, 6, 6)]
    return CellNetwork(4, cells, 6, CLASSES)


def nats_unequal() -> nn.Module:
    """The cell of the size space, with projections between unequal widths."""
    genotype = (
        "nor_conv_3x3",
        "nor_conv_3x3",
        "nor_conv_3x3",
        "skip_connect",
        "nor_conv_3x3",
        "nor_conv_3x3",
    )
    cells = [Cell(genotype, 3, 5), Residual(5, 4), Cell(genotype, 4, 6)]
    return CellNetwork(3, cells, 6, CLASSES)


def plain() -> nn.Module:
    """Conv-BN-ReLU as textbooks order it, with convolution biases, a group and two linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, CLASSES)),
    )


class Shared(nn.Module):
    """One convolution, one batch norm and one ReLU, each used twice in a forward."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.unused = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(2):
            x = self.bn(self.conv(self.relu(x)))
        return self.head(self.pool(x).flatten(1))


NETWORKS = {
    "nats": nats,
    "nats_unequal": nats_unequal,
    "plain": plain,
    "shared": Shared,
    "dead": lambda: nats(DEAD),
}


def network(name: str = "nats", init: str = "default", dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return a network of `NETWORKS` with seeded weights."""
    return initialise(NETWORKS[name](), init, 3).to(dtype)


HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)


def fingerprint(network: nn.Module) -> dict[str, Any]:
    """Return everything about a network that scoring must leave alone."""
    seen: dict[str, Any] = {}
    for name, module in network.named_modules():
        seen[f"{name} module"] = (id(module), type(module), module.training, getattr(module, "inplace", None))
        seen[f"{name} hooks"] = [list(getattr(module, kind)) for kind in HOOKS]
    for name, parameter in network.named_parameters():
        grad = None if parameter.grad is None else (id(parameter.grad), parameter.grad.tolist())
        seen[name] = (id(parameter), parameter.data_ptr(), parameter.tolist(), parameter.requires_grad, grad)
        seen[f"{name} layout"] = (parameter.stride(), parameter.dtype, parameter._backward_hooks)
    for name, buffer in network.named_buffers():
        seen[name] = (id(buffer), buffer.data_ptr(), buffer.tolist())
    return seen

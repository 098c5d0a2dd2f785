"""What modules that run passes of their own need of the passes that all proxies share."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from zcp.statistics.calls import Call, Pass
from zcp.statistics.copies import Engine
from zcp.statistics.operations import KINDS
from zcp.statistics.transfer import Later

T = TypeVar("T")


class LossGradients(NamedTuple):
    """Gradients of the loss on the first batch.

    Attributes:
        weights: one for each of the network's weights, zeros where a weight took no part.
        calls: the executions of convolutions and linear layers.
        outputs: one for each of `calls`, with respect to its output.
        by_tensor: all of these and, where formulas ask for them, those of the inputs, outputs and weights of
            every layer, by the tensor that the gradient is with respect to.
    """

    weights: list[Tensor]
    calls: list[Call]
    outputs: list[Tensor]
    by_tensor: dict[Tensor, Tensor]


class Runner(Protocol):
    """Runs a network and counts the passes; `zcp.statistics.network.Statistics` is one, and says how."""

    network: nn.Module
    engine: Engine
    device: torch.device
    dtype: torch.dtype
    batches: list[tuple[Tensor, Tensor]]
    passes: Counter[str]

    @property
    def image_shape(self) -> tuple[int, ...]: ...
    @property
    def weights(self) -> list[Tensor]: ...
    @property
    def data(self) -> Pass: ...
    @property
    def loss_gradients_graph(self) -> LossGradients: ...
    @property
    def feature_gradients(self) -> dict[Tensor, Tensor]: ...
    def forward(
        self,
        network: nn.Module,
        inputs: Tensor,
        kinds: Sequence[str] = KINDS,
        **asked: Any,
    ) -> Pass: ...
    def gradients(
        self, outputs: Tensor, wrt: Sequence[Tensor], *, keep_graph: bool = False, create_graph: bool = False
    ) -> list[Tensor]: ...
    def gradients_of_features(self, forward: Pass, wrt: list[Tensor]) -> dict[Tensor, Tensor]: ...
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor: ...
    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor: ...
    def random_targets(self, name: str, logits: Tensor) -> Tensor: ...
    def noise(self, name: str, shape: Sequence[int]) -> Tensor: ...
    def forget(self, *names: str) -> None: ...
    def later(self, function: Callable[..., T], *given: Any) -> T | Later[T]: ...

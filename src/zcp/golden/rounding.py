"""What rounding decides: values that differ between processors however right the code is.

Two ways to tell, both computed on the network itself. A value that moves by more than its tolerance when
every layer's output moves by one unit in the last place, which is what another order of summation does, is
decided by rounding. And a determinant of signs that is singular is in floating point zero or some small
number of either sign, of which EZNAS's code makes 0 or 0.5: its score lies in an interval known exactly.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zcp.proxies.eznas import PROGRAMS, program_score
from zcp.statistics.network import Statistics

_DETERMINANT = "determinant(sign(inpactgrad_D))"
#: EZNAS's program where rounding makes the determinant of every singular map negative: 0.5 for each.
_NEGATIVE = (
    f"frobenius_norm(max(sigmoid(signed_log({_DETERMINANT})), element_wise_product("
    f"sigmoid(zeros_like({_DETERMINANT})), equal({_DETERMINANT}, zeros_like({_DETERMINANT})))))"
)


def jittered(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a network whose layers give outputs one unit in the last place up or down, at random.

    Gradients pass unchanged. The copy may be copied again.
    """
    own, source = copy.deepcopy(network), torch.Generator().manual_seed(seed)

    def move(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        up = (torch.rand(output.shape, generator=source) < 0.5).to(output.device)
        moved = torch.nextafter(output.detach(), torch.where(up, math.inf, -math.inf).to(output.dtype))
        # A zero stays: no rounding makes a dead unit fire.
        return output + torch.where(output.detach() == 0, 0.0, moved - output.detach())

    move.part_of_network = True  # type: ignore[attr-defined]
    for module in own.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.AdaptiveAvgPool2d):
            module.register_forward_hook(move)
    return own


def eznas_interval(network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return the least and the greatest `eznas` that a singular map of 0 or 0.5 each can give.

    Args:
        network: as it is to be scored, on the CPU; it is copied.
        batches: as for `zcp.score`.
    """
    s = Statistics(copy.deepcopy(network), batches)
    least, most = (program_score(s, text) for text in (PROGRAMS["darts"], _NEGATIVE))
    return least, most  # type: ignore[return-value]  # on the CPU nothing is left for later

"""Twin of zico: mean of |g| over the population deviation of g, weight by weight."""

import math

from torch import nn
from torch.func import grad

from reference.functional import loss_of, weights


def zico(network: nn.Module, batches, draw) -> float:
    current = weights(network)
    gradients = [grad(loss_of(network, batch))(current) for batch in batches]
    score = 0.0
    for name in current:
        total = 0.0
        for values in zip(*(gradient[name].flatten().tolist() for gradient in gradients), strict=True):
            mean = sum(values) / len(values)
            deviation = math.sqrt(sum((g - mean) ** 2 for g in values) / len(values))
            if deviation != 0:
                total += sum(map(abs, values)) / len(values) / deviation
        if total > 0:
            score += math.log(total)
    return score


TWINS = {"zico": zico}

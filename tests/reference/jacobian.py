"""Twin of jacob_cov: the input Jacobian, numpy's correlation and eigenvalues."""

import numpy as np
from torch import nn
from torch.func import grad

from reference.functional import forget_running_statistics


def jacob_cov(network: nn.Module, batches, draw) -> float:
    network.train()
    forget_running_statistics(network)
    jacobian = grad(lambda x: network(x).sum())(batches[0][0])
    rows = np.stack([row.flatten().numpy() for row in jacobian.detach()])
    if any(np.ptp(row) == 0 for row in rows):
        return float("nan")
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(rows))
    return -sum(float(np.log(value + 1e-5) + 1 / (value + 1e-5)) for value in eigenvalues)


TWINS = {"jacob_cov": jacob_cov}

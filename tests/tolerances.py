"""How far a score may be from the same score of another engine or device, by proxy and precision."""

import torch

from zcp.golden import ABSOLUTE32, FLOAT32, FLOAT64, PROXY

#: Our names of the golden keys.
SINGLE = {PROXY.get(key, key): value for key, value in FLOAT32.items()}
#: Means of comparisons and of cancelling sums in single precision; a comparison of nearly equal values may
#: change sides, and in H one such side decides a layer.
GREENMACHINE = {**dict.fromkeys("abcdefgij", 1e-3), "h": 0.1}
#: C is a mean of coincidences, of which one more or less counts.
COINCIDENCE = 0.05


def tolerance(name, dtype, otherwise=1e-4):
    """Return (relative, absolute); in single precision `otherwise` where nothing is known of a proxy."""
    double = dtype == torch.float64
    if name.startswith("greenmachine"):
        relative = 1e-9 if double and not name.endswith("h") else GREENMACHINE[name[-1]]
        return relative, COINCIDENCE if name.endswith("c") and not double else 1e-12
    if double:
        return FLOAT64.get(name, 1e-9), 1e-12
    return SINGLE.get(name, otherwise), ABSOLUTE32.get(name, 0.0)

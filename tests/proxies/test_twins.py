"""Every proxy equals its slow twin on several tiny networks, in float64."""

import copy
import math

import pytest
import reference
import torch
from tiny import NETWORKS, batches, network

from zcp import list_proxies, score
from zcp.statistics.network import SeededDraw

TWINS = reference.collect("TWINS")
TOLERANCES = {"zico": 1e-7} | reference.collect("TOLERANCES")


@pytest.mark.parametrize("name", list_proxies())
def test_every_proxy_has_a_twin(name):
    assert name in TWINS, f"write a slow twin of {name} in tests/reference, see its __init__.py"


@pytest.mark.parametrize("name", TWINS)
def test_every_twin_has_a_proxy(name):
    assert name in list_proxies()


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", [name for name in list_proxies() if name in TWINS])
def test_equals_its_twin(name, kind):
    tiny = network(kind, "kaiming_fan_in", torch.float64)
    data = batches(dtype=torch.float64)
    draw = SeededDraw(4)
    # Gradients that are zero but for rounding, such as through a final batch norm, depend on the layout.
    found = score(tiny, data, [name], init="keep", draw=draw, engine="plain")
    expected = TWINS[name](copy.deepcopy(tiny), data, draw)
    if math.isfinite(expected):
        assert found[name] == pytest.approx(expected, rel=TOLERANCES.get(name, 1e-9), abs=1e-12), (
            found.reasons
        )
    else:
        assert str(found[name]) == str(expected)
        assert found.reasons[name]

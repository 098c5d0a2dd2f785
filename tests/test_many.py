"""Several networks, one table."""

import pytest
from any_networks import ResNet, batches, norms, seeded
from torch.utils.data import DataLoader

from zcp import InputError, score, score_many
from zcp.proxies import population

PROXIES = ["params", "flops", "ntk_cond", "synflow", "jacob_cov", "snip", "expressivity", "progressivity"]
PROXIES += ["trainability", "linear_regions"]
DATA = batches()


def small():
    return seeded(lambda: norms("batch"))


def large():
    return seeded(lambda: ResNet(blocks=3))


def broken():
    raise RuntimeError("no such network")


def networks():
    return {"small": small, "large": large(), "broken": broken, "again": small, "five": 5}


def test_scores_ranks_and_reasons():
    table = score_many(networks(), DATA, proxies=PROXIES)
    assert [*table.index] == ["small", "large", "broken", "again", "five"]
    assert "neither a network nor a function" in table.attrs["reasons"]["five"][""]
    assert dict(table["score"].loc["large", PROXIES]) == score(large(), DATA, PROXIES)
    assert table.loc[["broken", "five"]].isna().all(axis=None)
    assert table.attrs["reasons"]["broken"] == {
        "": "the function that builds the network fails (RuntimeError: no such network)"
    }
    ranks = table["rank"]
    assert ranks["params"].tolist()[:2] == [2, 1]
    # Of condition numbers the smaller is the better.
    order = table["score"]["ntk_cond"].rank(method="min")
    assert ranks["ntk_cond"].equals(order)
    # Who failed is no member of the population.
    expected = population.az_nas(table["score"][PROXIES].drop(["broken", "five"]))
    assert table["score"]["az_nas"].drop(["broken", "five"]).equals(expected)
    assert {"az_nas", "vote", "te_nas_rank"} <= {*table["rank"].columns}


def test_processes_give_the_same():
    given = {name: network for name, network in networks().items() if name != "again"}
    alone = score_many(given, DATA, proxies=["params", "naswot"])
    together = score_many(given, DATA, proxies=["params", "naswot"], workers=2)
    assert together.equals(alone)
    assert together.attrs["reasons"] == alone.attrs["reasons"]
    assert "az_nas" not in together["score"]


def test_batches_by_network():
    other = batches(size=3)
    table = score_many({"a": small, "b": small}, {"a": DATA, "b": other}, proxies=["naswot"])
    assert table["score"]["naswot"].tolist() == [score(small(), x, "naswot")["naswot"] for x in (DATA, other)]
    with pytest.raises(InputError, match="no batches for the network 'b'"):
        score_many({"a": small, "b": small}, {"a": DATA})


def test_a_loader_is_drawn_from_once():
    data = [(x, y) for part in batches(count=6) for x, y in zip(*part, strict=True)]
    loader = DataLoader(data, batch_size=5, shuffle=True)
    table = score_many({"a": small, "b": small}, loader, proxies=["zico", "naswot"])
    assert table.loc["a"].equals(table.loc["b"])


def test_bad_requests():
    with pytest.raises(InputError, match="one network or more"):
        score_many({}, DATA)
    with pytest.raises(InputError, match="'local' cannot be given to another process"):
        score_many({"local": lambda: small()}, DATA, workers=2)

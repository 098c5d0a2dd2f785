"""Scores of populations: ranks by hand, ties, populations apart."""

import math

import numpy as np
import pandas as pd
import pytest

from zcp import InputError
from zcp.proxies.population import az_nas, te_nas_rank, vote


def parts(**columns) -> pd.DataFrame:
    return pd.DataFrame(
        {"expressivity": 1.0, "progressivity": 1.0, "trainability": 1.0, "flops": 1.0} | columns
    )


def test_az_nas_by_hand():
    table = parts(
        expressivity=[3.0, 1, 2],
        progressivity=[-0.3, -0.2, -0.1],
        trainability=[-1.0, -1.0, -5.0],
        flops=[10.0, 10, 10],
    )
    ranks = [(3, 1, 2.5, 2), (1, 2, 2.5, 2), (2, 3, 1, 2)]
    expected = [sum(math.log(rank / 3) for rank in row) for row in ranks]
    found = az_nas(table)
    assert list(found) == pytest.approx(expected)
    assert found.attrs["N"] == 3
    assert found.name == "az_nas"


def test_az_nas_best_in_every_part_is_zero():
    table = parts(expressivity=[1, 2], progressivity=[1, 2], trainability=[1, 2], flops=[1, 2])
    assert list(az_nas(table)) == pytest.approx([4 * math.log(0.5), 0])


def test_undefined_and_infinite_parts_tie_for_the_worst():
    table = parts(expressivity=[math.nan, -math.inf, 1.0, 2.0])
    found = az_nas(table)
    assert found[0] == found[1] < found[2] < found[3]
    assert found[0] - found[3] == pytest.approx(math.log(1.5 / 4))


def test_populations_are_apart():
    one = parts(expressivity=[1.0, 2.0]).assign(space="tss", dataset="cifar10")
    two = parts(expressivity=[9.0, 8.0, 7.0]).assign(space="sss", dataset="cifar10")
    both = pd.concat([one, two], ignore_index=True).sample(frac=1, random_state=0)
    found = az_nas(both)
    assert found.index.equals(both.index)
    assert list(found[[0, 1]]) == pytest.approx(list(az_nas(one)))
    assert list(found[[2, 3, 4]]) == pytest.approx(list(az_nas(two)))
    assert found.attrs["N"] == {("tss", "cifar10"): 2, ("sss", "cifar10"): 3}


def test_repeated_index_labels_are_rows_of_their_own():
    table = parts(expressivity=[1.0, 2.0, 3.0])
    table.index = [7, 7, 7]
    assert az_nas(table).is_monotonic_increasing


def test_te_nas_rank():
    table = pd.DataFrame({"ntk_cond": [2.0, 50.0, math.nan, math.inf], "linear_regions": [16.0, 16, 1, 16]})
    assert list(te_nas_rank(table)) == [4 + 3, 3 + 3, 1.5 + 1, 1.5 + 3]
    assert table["ntk_cond"][0] == 2.0  # untouched


def test_vote_is_a_majority_of_pairs():
    table = pd.DataFrame({"synflow": [3.0, 2, 1], "jacob_cov": [-1.0, -3, -2], "snip": [1.0, 5, 9]})
    # 0 beats 1 (synflow, jacob_cov) and 2 (the same two); 2 beats 1 (jacob_cov, snip).
    assert list(vote(table)) == [1.0, 0.0, 0.5]


def test_vote_equals_a_loop_and_takes_the_logarithm():
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(30, 3)), columns=["log_synflow", "jacob_cov", "snip"])
    table.loc[4, "jacob_cov"] = math.nan
    rows = table.fillna(-math.inf).to_numpy().tolist()
    expected = [
        sum(sum(p > q for p, q in zip(a, b, strict=True)) >= 2 for b in rows) / (len(rows) - 1) for a in rows
    ]
    assert list(vote(table)) == pytest.approx(expected)


def test_a_population_of_one():
    assert list(az_nas(parts(expressivity=[1.0]))) == [0]
    table = pd.DataFrame({"synflow": [3.0], "jacob_cov": [-1.0], "snip": [1.0]})
    assert vote(table).isna().all()


@pytest.mark.parametrize(
    ("function", "column"), [(az_nas, "flops"), (te_nas_rank, "ntk_cond"), (vote, "snip")]
)
def test_missing_columns_are_named(function, column):
    table = parts(flops=[1.0]).assign(ntk_cond=1.0, linear_regions=1.0, synflow=1.0, jacob_cov=1.0, snip=1.0)
    with pytest.raises(InputError, match=column):
        function(table.drop(columns=column))


def test_empty_table():
    with pytest.raises(InputError, match="no rows"):
        az_nas(parts(expressivity=[]))

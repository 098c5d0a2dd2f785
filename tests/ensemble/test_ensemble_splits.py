import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples

from zcp.ensemble.splits import SCHEMES, oversample, split
from zcp.errors import InputError


@pytest.fixture(scope="module")
def rows():
    return make_examples(100)


def test_random_rows_are_70_15_15(rows):
    parts = split(rows, "random", 0)
    assert [len(part) for part in parts] == [420, 90, 90]
    assert sorted(np.concatenate(parts)) == list(range(600))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_seed_decides(rows, scheme):
    one, same, other = (split(rows, scheme, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert set(one.test) != set(other.test)


def test_grouped_keeps_architectures_together(rows):
    parts = split(rows, "grouped", 0)
    names = [set(rows.architectures.iloc[part]) for part in parts]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    assert [len(n) for n in names] == [140, 30, 30]
    assert [len(part) for part in parts] == [420, 90, 90]


def test_random_does_not(rows):
    parts = split(rows, "random", 0)
    assert set(rows.architectures.iloc[parts.train]) & set(rows.architectures.iloc[parts.test])


def test_over_sampling_before_the_split_leaks_and_after_does_not(rows):
    before, after = split(rows, "stratified", 0), split(rows, "stratified_after", 0)
    assert set(before.train) & set(before.test)
    assert not (set(after.train) & set(after.test) or set(after.train) & set(after.validation))


def test_over_sampled_bins_are_of_one_size():
    accuracy = pd.Series([10.0] * 3 + [50.0] * 10 + [89.0, 90.0])
    drawn = oversample(accuracy, np.random.default_rng(0))
    assert set(drawn) == set(range(15))
    bins = pd.cut(accuracy.iloc[drawn], [0, 26, 42, 58, 74, 90]).value_counts()
    assert sorted(bins) == [0, 0, 10, 10, 10]
    assert sorted(drawn[(drawn > 2) & (drawn < 13)]) == list(range(3, 13))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_too_few_rows_are_named(rows, scheme):
    few = rows.take(np.array([0, 1, 2, 3]))
    with pytest.raises(InputError, match="too few"):
        split(few, scheme, 0)


def test_unknown_scheme_is_named(rows):
    with pytest.raises(InputError, match=r"unknown scheme 'folds'.*grouped"):
        split(rows, "folds", 0)

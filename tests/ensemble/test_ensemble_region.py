import numpy as np
import pandas as pd
import pytest

from zcp.ensemble.region import KEPT, KNOTS, SHARE, measure


def cell(features, space="sss"):
    labels = pd.DataFrame(
        {"space": space, "dataset": "cifar10", "index": range(len(features))}, features.index
    )
    return measure(features, labels)[f"{space} cifar10"]


def distance(region, features):
    return float(region.distances(pd.DataFrame([features]))[0])


@pytest.fixture
def rows():
    """A thousand rows on a curve: each feature follows one hidden value, on scales far apart."""
    rng = np.random.default_rng(0)
    hidden = rng.uniform(size=1000)
    noisy = [hidden + 0.02 * rng.normal(size=1000) for _ in range(6)]
    return pd.DataFrame({f"f{k}": np.exp(k * values) for k, values in enumerate(noisy, start=1)})


def test_rows_of_the_same_kind_are_inside_and_others_are_not(rows):
    region = cell(rows.iloc[:500])
    assert len(region.rows) == KEPT and region.missing == []
    inside = [region.why_outside(row) == "" for row in rows.iloc[500:].to_dict("records")]
    assert np.mean(inside) == pytest.approx(SHARE, abs=0.02)
    turned = rows.assign(**{name: rows[name].to_numpy()[::-1] for name in ("f1", "f2", "f3")})
    outside = [region.why_outside(row) for row in turned.iloc[:200].to_dict("records")]
    assert np.mean([why.startswith("it is far") for why in outside]) > 0.8


def test_the_distance_is_the_mean_difference_of_ranks():
    grid = pd.DataFrame({"a": np.arange(101.0), "b": np.arange(101.0) ** 3})
    region = cell(grid)
    assert distance(region, {"a": 50.0, "b": 50.0**3}) == 0
    # some half of the range apart in one of two features, and the nearest row lies between; the rows that are
    # kept are drawn, so that 50 is not quite their middle
    knots = np.array(region.knots["a"])
    least, middle = (((knots < value).mean() + (knots <= value).mean()) / 2 for value in (knots[0], 50))
    assert 0.4 < middle - least < 0.6
    apart = distance(region, {"a": knots[0], "b": 50.0**3})
    assert apart == pytest.approx((middle - least) / 2, abs=0.01)
    # a range beyond all fitted values, and not a step more
    for beyond in (1e9, np.inf):
        assert distance(region, {"a": beyond, "b": 100.0**3}) == pytest.approx(0.5, abs=0.01)
    for below in (-1e9, -np.inf, np.nan):
        assert distance(region, {"a": below, "b": 0.0}) == pytest.approx(0.5, abs=0.01)


def test_what_failed_for_no_fitted_row_is_named(rows):
    with_holes = rows.assign(f2=rows["f2"].where(rows.index % 10 > 0), f3=np.nan)
    region = cell(with_holes)
    assert region.missing == ["f2", "f3"] and region.knots["f3"] == [0.0]
    row = rows.iloc[1].to_dict() | {"f3": np.nan}
    assert region.why_outside(row) == ""
    assert region.why_outside(row | {"f1": np.inf, "f4": np.nan}).startswith("f1, f4 failed, which no fitted")
    assert np.array(region.rows).min() == -2 * KNOTS


def test_every_cell_has_its_own_region_and_the_dataset_is_no_feature(rows):
    features = rows.assign(**{"dataset=cifar10": 1.0})
    labels = pd.DataFrame(
        {"space": np.where(rows.index < 400, "tss", "sss"), "dataset": "cifar10", "index": rows.index}
    )
    found = measure(features, labels)
    assert set(found) == {"tss cifar10", "sss cifar10"} and list(found["tss cifar10"].knots) == list(rows)

"""Costs in units, and how ranks move with the batch."""

import pandas as pd
import pytest

from zcp.collect import choose_settings
from zcp.study.cost import throughput, units
from zcp.study.cost.stability import batch_stability
from zcp.study.results import Deposit, DisagreementError

CHEAP = ["params", "snip", "greenmachine_f"]


@pytest.fixture(scope="module")
def costs():
    return units.cost_in_units([("sss", 0), ("sss", 1)], CHEAP, 2)


def test_costs_of_networks(costs):
    assert costs[["space", "index"]].to_numpy().tolist() == [["sss", 0], ["sss", 1]]
    assert (costs[["unit", "fast", "plain", "apart"]] > 0).all(axis=None)


def test_units_are_ratios_of_sums():
    costs = pd.DataFrame(
        {
            "space": ["tss", "sss"],
            "index": [0, 0],
            "unit": [1.0, 3.0],
            "fast": [5.0, 9.0],
            "apart": [8.0, 8.0],
        }
    )
    found = units.total_units(costs).set_index("networks")
    assert found["fast"].to_dict() == {"tss": 5.0, "sss": 3.0, "all": 3.5}
    assert found.loc["all", ["n", "unit", "apart"]].tolist() == [2, 2.0, 4.0]


def test_random_networks_are_seeded_and_of_both_spaces():
    found = units.random_networks(3)
    assert found == units.random_networks(3) and len(set(found)) == 6
    assert [space for space, _ in found] == ["tss"] * 3 + ["sss"] * 3


def test_roofline_counts_the_operations_of_a_forward_and_backward():
    """Two operations a multiply-accumulate in the forward; snip needs a forward and a backward."""
    found = units.roofline([("sss", 0)], ["snip"], 2).iloc[0]
    forward = 2 * 2 * 4.481114e6 / 1e9
    assert 2 * forward < found["operations"] < 3.5 * forward
    assert found["fraction"] == pytest.approx(found["rate"] / found["peak"])


def test_growth_measures_what_it_says():
    found = units.growth(["params"], [2], [1])
    assert found[["what", "value"]].to_numpy().tolist() == [["batch", 2], ["width", 8], ["depth", 1]]


def test_ablation_adds_one_part_after_the_other():
    found = units.ablation([("sss", 0)], CHEAP, [2])
    assert found["engine"].tolist() == [
        "plain",
        "one copy",
        "channels last",
        "equal layers together",
        "views",
    ]


def test_drift_records_every_network():
    found = throughput.drift(3, 2, ["params"])
    assert len(found) == 3 and (found["memory"] > 10).all()


def test_tenths_are_summarised():
    found = pd.DataFrame({"number": range(20), "seconds": [1.0, 3.0] * 10, "memory": range(20)})
    tenths = throughput.by_tenth(found)
    assert len(tenths) == 10 and (tenths["seconds"] == 2).all()
    assert tenths.iloc[[0, -1]][["networks", "memory"]].to_numpy().tolist() == [[2, 1], [20, 19]]


def test_workers_score_all_networks():
    settings = choose_settings([], CHEAP, batch=2, inputs="gaussian")
    found = throughput.worker_scaling(1, [1], settings)
    assert found[["workers", "networks"]].to_numpy().tolist() == [[1, 2]] and (found["rate"] > 0).all()


def test_whole_benchmark_by_hand():
    scores = pd.DataFrame(
        {"space": ["sss"] * 2, "dataset": ["cifar10"] * 2, "seconds_a": [1.0, 3.0], "seconds_b": [0.5, 0.5]}
    )
    (row,) = throughput.whole_benchmark(scores, 2.0, workers=2, watts=10).to_dict("records")
    assert row["seconds"] == 2.5 and row["networks"] == 32768
    assert row["hours"] == pytest.approx(32768 * 2.5 * 2 / 3600 / 2)
    assert row["kWh"] == pytest.approx(32768 * 2.5 * 2 / 3600 * 10 / 1000)


def test_check(costs):
    deposit = Deposit("throughput-cpu", {}, {"costs": costs})
    assert len(throughput.check(costs, deposit)) == 2
    slower = throughput.check(costs.assign(fast=5 * costs["fast"]), deposit)
    assert (slower["fast"] == 5 * slower["fast_deposited"]).all()
    with pytest.raises(DisagreementError, match="1 of 2 live networks"):
        throughput.check(costs.assign(index=[0, 7]), deposit)
    with pytest.raises(DisagreementError, match="no time"):
        throughput.check(costs.assign(fast=0.0), deposit)


def test_stability_compares_ranks():
    table = pd.DataFrame({"space": "tss", "index": range(5), "dataset": "cifar10", "snip": [1.0, 2, 3, 4, 5]})
    scores = {8: table.assign(snip=[1.0, 2, 3, 5, 4]), 64: table, 16: table.iloc[:4]}
    found = batch_stability(scores, 64).set_index("batch")
    assert found.loc[8, ["proxy", "n"]].tolist() == ["snip", 5]
    assert found["spearman"].to_dict() == pytest.approx({8: 0.9, 16: 1.0})

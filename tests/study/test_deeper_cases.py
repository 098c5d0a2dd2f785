"""Combinations, predictor, search, biases, Amdahl's law and perturbation, on made-up or small input."""

import numpy as np
import pandas as pd
import pytest
import torch

from zcp.ensemble.examples import Examples
from zcp.errors import InputError
from zcp.spaces import get_space
from zcp.spaces.cells import OPERATIONS, Cell
from zcp.spaces.tss import parse_cell
from zcp.study.deeper_look import amdahl, biases, combination, perturbation, predictor, search

N = 300


@pytest.fixture(scope="module")
def rows() -> Examples:
    """Accuracy follows the number of convolutions and a hidden quality that `jacob_cov` half knows."""
    rng = np.random.default_rng(0)
    indices = np.arange(N)
    cells = [parse_cell(get_space("tss").arch(i)) for i in indices]
    convolutions = np.array([sum("conv" in name for name in cell) for cell in cells], dtype=float)
    hidden = rng.normal(size=N)
    accuracy = pd.Series(50 + 5 * convolutions + 10 * hidden)
    scores = pd.DataFrame({"params": convolutions, "flops": convolutions, "snip": rng.normal(size=N)})
    scores["jacob_cov"] = hidden + rng.normal(0, 0.3, N)
    scores["synflow"] = convolutions + rng.normal(0, 0.5, N)
    scores.loc[:3, "jacob_cov"] = [np.nan, -np.inf, -1e8, np.inf]
    labels = pd.DataFrame({"space": "tss", "index": indices, "dataset": "cifar10"})
    return Examples(scores, accuracy, labels, "test", {"scores": "none"})


def test_vote_counts_majorities():
    ranks = pd.DataFrame({"a": [1, 2, 3, 4], "b": [1, 3, 2, 4], "c": [4, 3, 2, 1]})
    # 0 loses to all by two to one; 1 and 2 are split: a says 2, b and c say 1.
    assert combination.vote(ranks).tolist() == [0.5, 2.5, 1.5, 3.5]
    assert combination.vote(pd.DataFrame({"a": [1.0, 1.0]})).tolist() == [1.0, 1.0]


def test_a_pair_of_two_kinds_beats_each(rows):
    every, halves = combination.correlate(rows, [0, 1])
    found = every.set_index(["kind", "name"])
    assert found["n"].eq(N - 4).all() and found["left_out"].eq(4).all()
    pair = found.loc[("with params", "jacob_cov + params"), "spearman"]
    assert pair > found.loc["single", "spearman"].max() + 0.1
    assert set(every["kind"]) == {"single", "pair", "with params", "with flops", "vote", "all"}
    measured = halves.groupby("kind")["spearman"].mean()
    assert measured["pair"] > measured["single"] and set(halves["seed"]) == {0, 1}
    deposit = combination.study(rows, [0])
    found = combination.check(rows, deposit)
    assert len(found["all"]) == len(every) and len(found["halves"]) == every["kind"].nunique()


def test_a_proxy_helps_a_predictor_that_cannot_see_what_it_sees(rows):
    deposit = predictor.study(rows, [0, 1])
    gains = deposit.tables["gains"].set_index(["features", "size"])
    assert gains.loc[("+ jacob_cov", 20), "gain"] > 20 and gains.loc[("encoding", 20), "gain"] == 0
    assert set(gains.index.get_level_values("size")) == {10, 20, 50, 100, 200}  # 400 leaves too few
    assert deposit.tables["runs"]["n"].eq(100).all()
    assert len(predictor.check(rows, deposit, "cifar10")) == 25
    with pytest.raises(InputError, match="too few"):
        predictor.evaluate(rows.take(np.arange(40)), "cifar10", 0)


def test_encoding_names_the_operation_of_each_edge():
    found = predictor.encode_cells([1462, 1651])
    assert found.shape == (2, 30) and (found.sum(axis=1) == 6).all()
    assert found.loc[0, [f"{edge}=nor_conv_3x3" for edge in range(6)]].eq(1).all()


@pytest.fixture(scope="module")
def toy():
    """An accuracy that is the number of 3x3 convolutions, and scores that follow it or its opposite."""
    space = get_space("tss")
    accuracy = np.array([parse_cell(space.arch(i)).count("nor_conv_3x3") for i in range(space.size)], float)
    accuracy += np.random.default_rng(0).uniform(0, 0.1, len(accuracy))
    return accuracy, pd.Series(accuracy), pd.Series(-accuracy)


def test_a_search_counts_queries_to_the_goal(toy):
    accuracy, good, bad = toy
    assert (accuracy >= search.goal(accuracy)).sum() == 16
    assert search.search(accuracy, search.Strategy("pool", "x"), good, 0, 50) == (1, accuracy.max())
    assert search.search(accuracy, search.Strategy("pool", "x"), bad, 0, 50)[0] == 51
    # Half of the space is the pool, so one of its best ten is almost certainly among the 16.
    assert search.search(accuracy, search.Strategy("warm", "x"), good, 0, 300)[0] <= 10
    # A warm start with the worst ten costs ten queries at least.
    wrong = search.search(accuracy, search.Strategy("warm", "x"), bad, 0, 300)
    assert wrong[0] > 10 and wrong == search.search(accuracy, search.Strategy("warm", "x"), bad, 0, 300)
    assert search.search(accuracy, search.Strategy("random"), None, 0, 20)[0] == 21


def test_a_filter_proposes_cells_of_more_flops(toy):
    flat = toy[0] * 0 + np.random.default_rng(1).uniform(size=len(toy[0]))
    means = {}
    for name in ("warm", "filter"):
        proposals = search._proposals(flat, search.Strategy(name, "x"), toy[2], 0)
        means[name] = np.mean([search._flops(next(proposals)) for _ in range(60)][search.WARM :])
    assert means["filter"] > 1.1 * means["warm"]


def test_searches_are_summarised_with_those_that_failed(monkeypatch, rows, toy):
    monkeypatch.setattr(search, "accuracies", lambda dataset, target: toy[0])
    strategies = [search.Strategy("random"), search.Strategy("pool", "flops")]
    runs = search.run(rows, "cifar10", range(3), 5, strategies)
    assert runs["queries"].max() == 6 and not runs["reached"].all()
    made_up = runs.assign(queries=[1, 6, 2, 6, 3, 6], reached=[True, False] * 3)
    found = search.summarise(made_up, 5).set_index("strategy")
    assert found["median"]["random"] == 2 and np.isnan(found["median"]["pool"])
    assert found["reached"].to_dict() == {"random": 3, "pool": 0} and found["seeds"].eq(3).all()
    assert len(search.proxy_scores(rows, "cifar10", "jacob_cov")) == N - 4
    assert len(search.proxy_scores(rows, "cifar10", "vote")) == N - 4
    with pytest.raises(InputError, match="no proxy zico"):
        search.proxy_scores(rows, "cifar10", "zico")


def test_depth_and_width_of_cells():
    arch = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    assert biases.depth(arch) == 2 and biases.cell_width(arch) == 2
    dead = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|"
    assert biases.depth(dead) == 0 and biases.cell_width(dead) == 0
    assert biases.depth(get_space("tss").arch(1462)) == 3


def test_biases_say_that_a_constant_has_none():
    archs = ["8:8:8:8:8", "16:8:8:8:8", "16:16:8:8:8", "64:64:64:64:64"]
    table = pd.DataFrame({"space": "sss", "index": range(4), "arch": archs, "dataset": "cifar10"})
    table = table.assign(params=[1.0, 2.0, 3.0, 4.0], snip=[1.0, 2.0, 3.0, -1e8])
    found = biases.correlate(table).set_index(["proxy", "property"])
    assert found.loc[("snip", "width"), ["spearman", "n", "left_out"]].tolist() == [1.0, 3, 1]
    assert np.isnan(found.loc[("params", "depth"), "spearman"])
    assert list(biases.arrange(found.reset_index(), "cifar10")) == ["sss params", "sss width"]


def test_amdahls_law_is_the_posts():
    law = amdahl.speedups([0.05, 0.0])
    assert law["faster_search"].tolist() == [pytest.approx(6), np.inf]
    assert law["faster_pipeline"].tolist() == pytest.approx([1.2, 1.25])
    for bad in (-1.0, float("nan")):
        with pytest.raises(InputError, match="costs must be finite"):
            amdahl.speedups([bad])


def test_a_supernet_of_one_operation_an_edge_is_the_cell():
    operations = ("nor_conv_3x3", "skip_connect", "avg_pool_3x3", "none", "nor_conv_1x1", "skip_connect")
    mixed = perturbation.mixed_cell(tuple((name,) for name in operations), 8)
    cell = Cell(operations, 8, 8)
    cell.load_state_dict({f"edges.{k[6]}.{k[10:]}": v for k, v in mixed.state_dict().items()})
    images = torch.randn(2, 8, 4, 4)
    assert torch.allclose(mixed(images), cell(images), atol=1e-6)


def test_selection_keeps_the_operation_whose_removal_costs_most(monkeypatch):
    def size(network, batches, proxies, init):
        return {proxies[0]: float(sum(p.numel() for p in network.parameters()))}

    monkeypatch.setattr(perturbation, "score", size)
    assert get_space("tss").arch(perturbation.select("naswot", 0)).count("nor_conv_3x3") == 6
    monkeypatch.setattr(perturbation, "OPERATIONS", OPERATIONS[:3])
    assert get_space("tss").arch(perturbation.select("naswot", 0)).count("nor_conv_1x1") == 6

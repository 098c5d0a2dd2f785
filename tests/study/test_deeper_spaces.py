"""The chapters on single spaces: published numbers, correlations that leave failures out, and deposits."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from zcp import InputError
from zcp.benchmarks import tasks
from zcp.benchmarks.tasks import TASKS, accuracy, get_task
from zcp.paths import data_folder
from zcp.study.deeper_look import collected, published, spaces
from zcp.study.results import DisagreementError

needs_data = pytest.mark.skipif(data_folder() is None, reason="needs the data folder (set ZCP_DATA)")


def test_post_tables_are_whole():
    tables = published.post_tables()
    assert len(tables) == 96 and tables.notna().all().all()
    assert tables.groupby("space")["task"].nunique().to_dict() == {"tss": 3, "darts": 5, "transnas": 4}
    first = published.post_tables("tss").set_index(["task", "proxy"])["spearman"]
    assert first["cifar100", "synflow"] == 0.7938 and first["scifar100", "jacob_cov"] == -0.2512


def test_what_was_not_published_is_refused():
    with pytest.raises(InputError, match="no table of space 'sss'"):
        published.post_tables("sss")
    with pytest.raises(InputError, match="no scores were published for space 'tss'"):
        published.published_scores("tss", "cifar10")
    with pytest.raises(InputError, match="no ground truth for tss on 'synthetic_cifar10'"):
        get_task("tss", "synthetic_cifar10")
    with pytest.raises(InputError, match="no scores of space 'sss' here"):
        collected.collections_of("sss")


def test_without_a_data_folder_the_message_says_what_to_set(monkeypatch):
    monkeypatch.setenv("ZCP_DATA", "")
    tasks.read_table.cache_clear()
    with pytest.raises(InputError, match="set ZCP_DATA"):
        accuracy("darts", "ninapro")
    tasks.read_table.cache_clear()


@needs_data
def test_sizes_of_the_ground_truth():
    sizes = {key: len(accuracy(*key)) for key in TASKS}
    assert {n for (space, _), n in sizes.items() if space == "transnas"} == {4096}
    assert [sizes["darts", task] for task in ("cifar10", "ninapro", "scifar100", "svhn")] == [
        725,
        199,
        199,
        199,
    ]
    assert sizes["tss", "darcy"] == sizes["tss", "ninapro"] == 15_625 and sizes["tss", "scifar100"] == 199
    assert sum("surrogate" in get_task(*key).measure for key in TASKS) == 1


@needs_data
def test_failed_measures_are_counted_and_never_scores():
    found = published.published_scores("transnas", "class_scene")
    table, failures = published.score_table(found)
    assert not (table == published.FAILED).any().any()
    assert failures["jacob_cov"] == 20 and failures["zen"] == 169 and failures["fisher"] == 0
    assert table["jacob_cov"].notna().sum() == 691 and table["accuracy"].notna().all()
    assert (found.groupby("proxy")["source"].nunique() == 1).all()


def test_correlations_leave_out_what_failed():
    index = pd.RangeIndex(40)
    measured = pd.Series(np.random.default_rng(0).normal(size=40), index)
    good = measured + np.random.default_rng(1).normal(size=40)
    scores = pd.DataFrame({"good": good, "constant": 1.0, "failing": good})
    scores.loc[[3, 5], "failing"] = [np.nan, -1e8]
    scores.loc[7, "failing"] = -np.inf
    found = spaces.correlate(scores, measured, "seed").set_index("proxy")
    assert found["n"].to_dict() == {"good": 40, "constant": 40, "failing": 37}
    assert found["left_out"].to_dict() == {"good": 0, "constant": 0, "failing": 3}
    kept = index.difference([3, 5, 7])
    assert found.loc["failing", "spearman"] == pytest.approx(spearmanr(good[kept], measured[kept]).statistic)
    assert found.loc["good", "low"] < found.loc["good", "spearman"] < found.loc["good", "high"]
    assert found.loc["constant", ["spearman", "low", "high"]].isna().all()
    again = spaces.correlate(scores, measured, "seed").set_index("proxy")
    pd.testing.assert_frame_equal(found, again)


def test_networks_without_accuracies_are_refused():
    with pytest.raises(InputError, match="none of the scored architectures"):
        spaces.correlate(pd.DataFrame({"a": [1.0]}, index=[1]), pd.Series([1.0], [2]), "seed")


def test_table_beside_the_post():
    row = {"origin": "ours", "scores": "x", "task": "cifar100", "proxy": "synflow", "n": 99}
    row |= {"left_out": 0, "spearman": 0.81, "low": 0.7, "high": 0.9}
    twin = row | {"proxy": "log_synflow", "n": 100}
    found = spaces.beside_post(pd.DataFrame([row, twin]), "tss", ["cifar100", "darcy"])
    synflow = found[found["proxy"].eq("synflow")].set_index("task")
    assert synflow.loc["cifar100", ["post", "suite", "ours", "n"]].tolist() == [
        0.7938,
        "–",
        "0.81 [0.70, 0.90]",
        "99",
    ]
    assert np.isnan(synflow.loc["darcy", "post"]) and synflow.loc["darcy", "ours"] == "–"


@pytest.mark.parametrize("space", collected.COLLECTIONS)
def test_deposits_are_those_of_the_scores(space):
    from zcp.study import results

    deposit = results.read(f"deeper_{space}")
    checked = spaces.check(space, deposit)
    compared = {name for name in ("pairs", "correlations") if len(deposit.tables[name])}
    assert set(checked) == (compared if data_folder() else compared - {"correlations"})
    for known, name in enumerate(checked):
        deposit.tables[name]["spearman"] += 1e-3
        with pytest.raises(DisagreementError, match="spearman") as caught:
            spaces.check(space, deposit)
        assert [part.table.attrs["table"] for part in caught.value.parts] == list(checked)[: known + 1]
    deposit.provenance["scores_sha256"] = dict.fromkeys(deposit.provenance["scores_sha256"], "of others")
    with pytest.raises(DisagreementError, match="was made from scores") as caught:
        spaces.check(space, deposit)
    assert len(caught.value.parts) == len(checked) + len(deposit.provenance["scores_sha256"])


@pytest.mark.parametrize(("rows", "kept"), [(19, []), (20, ["darts-scifar100-b8", "darts-cifar10-b8"])])
def test_small_collections_are_not_reported(monkeypatch, rows, kept):
    monkeypatch.setattr(collected, "our_scores", lambda _: pd.DataFrame({"params": np.arange(rows)}))
    assert [each.file for each in collected.large_enough("darts")] == kept

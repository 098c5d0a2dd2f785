import numpy as np
import pandas as pd
import pytest

from zcp.collect import Pool, Unit, choose_settings, collect, load_scores
from zcp.data.datasets import DATASETS
from zcp.study import rescoring
from zcp.study.results import DisagreementError

PROXIES = ["params", "log_synflow", "grad_norm"]


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("scores")
    settings = choose_settings(list(DATASETS), PROXIES, batch=2, inputs="gaussian")
    units = [Unit("sss", index, "ImageNet16-120") for index in (0, 1, 2)] + [Unit("tss", 1651, "cifar10")]
    return load_scores(collect(out, units, settings, Pool(1), progress=False))


def test_scores_come_out_again(scores):
    assert rescoring.choose_proxies(scores, images=False) == list(scores.attrs["settings"]["proxies"])
    rows = rescoring.choose_rows(scores, 1)
    found = rescoring.rescore(scores, rows, PROXIES)
    assert len(found) == len(rows) * len(PROXIES) == 6
    assert found["live"].eq(found["deposited"]).all()


def test_without_images_nothing_is_scored_that_reads_them_or_their_labels():
    deposited = load_scores("nats-b8")
    again = rescoring.choose_proxies(deposited, images=False)
    assert {"params", "zen", "trainability"} <= {*again}
    assert not {"grad_norm", "naswot", "greenmachine_f", "greenmachine_g"} & {*again}
    every = list(deposited.attrs["settings"]["proxies"])
    every.remove("eznas")  # of an older definition
    assert rescoring.choose_proxies(deposited, images=True) == every


def test_all_rows_are_scored_again_into_a_store(scores, tmp_path):
    store = tmp_path / "again"
    found = rescoring.rescore(scores, scores, ["params", "log_synflow"], store)
    assert len(found) == 2 * len(scores) == 2 * len(load_scores(store))
    assert found["live"].eq(found["deposited"]).all()


@pytest.mark.parametrize("wrong", [1.01, np.nan, np.inf])
def test_a_deposit_that_is_not_ours_is_noticed(scores, wrong):
    changed = scores.copy()
    changed.attrs = scores.attrs
    changed.loc[1, "grad_norm"] = changed.loc[1, "grad_norm"] * wrong
    with pytest.raises(DisagreementError, match="grad_norm"):
        rescoring.rescore(changed, changed.iloc[:2], PROXIES)


def test_a_larger_draw_holds_the_smaller_one():
    deposited = load_scores("nats-b8")
    few, many = (rescoring.choose_rows(deposited, count) for count in (2, 5))
    assert len(few) == 12 and len(many) == 30 and {*few.index} < {*many.index}


def test_a_spread_of_a_row_that_has_none_is_measured(scores):
    changed = scores.copy()
    changed.attrs = scores.attrs
    changed.loc[1, "grad_norm"] *= 1 + 2.0**-17
    found = rescoring.rescore(changed, changed.iloc[:2], ["log_synflow", "grad_norm"])
    moved = found[found["difference"] != 0]
    assert moved["agrees"].item() is True and "3 perturbations" in moved["basis"].item()
    assert moved["tolerance"].item() < 1e-3 * abs(moved["deposited"].item())


def test_what_rounding_decides_is_listed_and_not_compared(scores, monkeypatch):
    rows, proxies = scores.iloc[:2], ["log_synflow", "grad_norm"]
    spread = pd.DataFrame(
        {"deposit": "scores", "table": "gaussian-b2-seed0", "quantity": "score", "spread": 1e9,
         "group": [f"{s}, {i}, {d}, grad_norm" for s, i, d in rows[rescoring.KEY].to_numpy()],
         "perturbations": 3, "settings": 0}
    )  # fmt: skip
    monkeypatch.setattr(rescoring, "read_spreads", lambda: spread)
    changed = scores.copy()
    changed.attrs = scores.attrs
    changed.loc[1, "grad_norm"] *= 2
    found = rescoring.rescore(changed, changed.iloc[:2], proxies)
    listed = found[found["agrees"].isna()]
    assert set(listed["proxy"]) == {"grad_norm"} and len(listed) == 2 and len(found) == 4
    summary = rescoring.summarise(found).set_index("proxy")
    assert summary["checked"].to_dict() == {"log_synflow": True, "grad_norm": False}
    assert summary.loc["grad_norm", ["values", "compared"]].tolist() == [2, 0]
    changed.loc[1, "log_synflow"] *= 1.01
    with pytest.raises(DisagreementError, match="log_synflow") as caught:
        rescoring.rescore(changed, changed.iloc[:2], proxies)
    assert [value is False for value in caught.value.table["agrees"]].count(True) == 1
    again = rescoring.summarise([caught.value.table]).set_index("proxy")
    assert again.loc["log_synflow", ["values", "compared", "checked"]].tolist() == [2, 2, True]


def test_a_disagreement_without_a_table_has_an_empty_summary():
    assert rescoring.summarise([pd.DataFrame()]).empty

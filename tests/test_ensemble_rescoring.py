import numpy as np
import pandas as pd
import pytest

from zcp.collect import Unit, choose_settings, collect, load_scores
from zcp.collect.pool import Pool
from zcp.datasets import DATASETS
from zcp.ensemble import rescoring
from zcp.results import DisagreementError

PROXIES = ["params", "log_synflow", "grad_norm"]


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("scores") / "small.parquet"
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
    assert rescoring.choose_proxies(deposited, images=True) == list(deposited.attrs["settings"]["proxies"])


def test_all_rows_are_scored_again_into_a_store(scores, tmp_path):
    store = tmp_path / "again.parquet"
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


@pytest.mark.parametrize(("rows", "agrees"), [(5, True), (4, False)])
def test_one_network_in_five_may_stray(scores, rows, agrees):
    found = pd.DataFrame({"space": "sss", "dataset": "ImageNet16-120", "index": range(rows), "proxy": "snip"})
    found = found.assign(deposited=1.0, live=[1.01] + [1.0] * (rows - 1))
    table = scores.assign(snip=1.0)
    if agrees:
        assert len(rescoring._require_agreement(found, table, ["snip"])) == rows
    else:
        with pytest.raises(DisagreementError, match="1 scores"):
            rescoring._require_agreement(found, table, ["snip"])

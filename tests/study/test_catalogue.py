import math

import zcp
from zcp.study.catalogue import catalogue


def test_a_row_a_proxy_with_what_it_needs_and_gives():
    networks = {"live": zcp.build("sss", 0), "dead": zcp.build("tss", 1651)}
    names = ["zico", "params", "zen", "jacob_cov"]
    table = catalogue(networks, zcp.gaussian_batches("cifar10", 2), names).set_index("proxy")
    assert list(table.index) == ["params", "zen", "zico", "jacob_cov"]  # data-independent ones first
    assert list(table["group"]) == ["data-independent"] * 2 + ["data-dependent"] * 2
    assert list(table["passes"]) == ["none", "2f", "2f 2b", "1f 1b"]
    assert list(table["reads"]) == ["shape only", "shape only", "images and labels", "images"]
    assert table["live"]["params"] == 0.011714
    assert table["dead"]["zen"] == -math.inf and "gradient is zero" in table["reasons"]["jacob_cov"]

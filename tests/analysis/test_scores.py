import math

import numpy as np
import pandas as pd
import pytest

from zcp.analysis.scores import FAILED, lowest, sign_of, turn, usable
from zcp.errors import InputError

SCORES = [2.0, math.nan, math.inf, -math.inf, FAILED, -3.0]


def test_what_does_not_exist_is_named_and_ranks_below_all_else():
    assert usable(SCORES).tolist() == [True, False, False, False, False, True]
    assert lowest(SCORES).tolist() == [2.0, *[-math.inf] * 4, -3.0]


def test_scores_are_turned_by_their_definition():
    turned = turn(pd.DataFrame({"ntk_cond": [1.0, FAILED], "flops": [2.0, 3.0], "az_nas": [-1.0, -2.0]}))
    assert turned["ntk_cond"][0] == -1.0 and np.isnan(turned["ntk_cond"][1])
    assert turned["flops"].tolist() == [2.0, 3.0] and turned["az_nas"].tolist() == [-1.0, -2.0]


def test_an_unknown_proxy_has_no_direction():
    with pytest.raises(InputError, match="unknown"):
        sign_of("unknown")

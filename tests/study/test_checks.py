"""A check that a page calls notices one changed value, a shuffled column, and a model that sees nothing."""

import json
import re
from pathlib import Path
from unittest.mock import patch

import checking_ensembles  # noqa: F401 - enters its cases
import checking_proxies  # noqa: F401
import numpy as np
import pytest
from checking import CASES, FITTING, INFORMS, small

from zcp.ensemble.features import FiniteFeatures
from zcp.paths import NOTEBOOKS
from zcp.study.agreement import tabulate
from zcp.study.results import Deposit, DisagreementError

#: What is shown a wrong input elsewhere, as it compares no deposited table.
ELSEWHERE = {
    "rescoring.rescore": "test_ensemble_rescoring",
    "results.require_same_scores": "test_results",
    "throughput.check": "test_throughput",
}


@pytest.fixture(autouse=True)
def smaller():
    with small():
        yield


def called_by_pages():
    texts = [json.loads(path.read_text())["cells"] for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    code = "\n".join("".join(cell["source"]) for cells in texts for cell in cells)
    return set(re.findall(r"pages\.check\(\s*(\w+\.\w+)", code))


def test_every_check_of_a_page_is_shown_a_wrong_input():
    assert called_by_pages() == {*CASES, *ELSEWHERE}
    for name, module in ELSEWHERE.items():
        text = Path(__file__).with_name(f"{module}.py").read_text()
        assert f"{name.split('.')[1]}(" in text and "DisagreementError" in text


def compared(found) -> list[tuple[str, str, dict]]:
    """Return of each column that was compared a value that agrees: table, column, and the keys of its row."""
    frames = found.values() if isinstance(found, dict) else found if isinstance(found, list) else [found]
    places = []
    for frame in frames:
        table = tabulate(frame)
        keys = list(table)[: list(table).index("quantity")]
        last = table[table["agrees"].eq(True) & table["deposited"].notna()].groupby("quantity").tail(1)
        places += [(frame.attrs["table"], row["quantity"], row[keys].to_dict()) for _, row in last.iterrows()]
    return places


def change(deposit: Deposit, places: list[tuple[str, str, dict]]) -> Deposit:
    """Return the deposit with these values changed."""
    tables = {name: table.copy() for name, table in deposit.tables.items()}
    for name, column, keys in places:
        table = tables[name]
        is_mine = np.logical_and.reduce([table[key].eq(value).to_numpy() for key, value in keys.items()])
        assert is_mine.sum() == 1
        table[column] = table[column].astype(float).where(~is_mine, lambda values: 1.05 * values + 0.1)
    return Deposit(deposit.name, deposit.settings, tables, deposit.provenance)


# Networks are scored or trained for these.
HEAVY = ("coverage.check", "decay.retrain", "perturbation.check")
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY)) for name in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_one_changed_value_of_each_column_is_noticed(name):
    case = CASES[name]()
    places = compared(case.run(case.deposit, case.features))
    with pytest.raises(DisagreementError) as caught:
        case.run(change(case.deposit, places), case.features)
    tables = [part.table for part in caught.value.parts]
    wrong = [(t.attrs["table"], q) for t in tables for q in t["quantity"][t["agrees"].eq(False)]]
    assert sorted(wrong) == sorted((table, column) for table, column, _ in places) != []


@pytest.mark.parametrize(("name", "column"), [(name, each) for name in INFORMS for each in INFORMS[name]])
def test_a_shuffled_column_is_noticed(name, column):
    case = CASES[name]()
    order = np.random.default_rng(0).permutation(len(case.features))
    shuffled = case.features.assign(**{column: case.features[column].to_numpy()[order]})
    with pytest.raises(DisagreementError):
        case.run(case.deposit, shuffled)


@pytest.mark.parametrize("name", FITTING)
def test_a_model_that_sees_nothing_is_noticed(name):
    case = CASES[name]()
    blind = patch.object(FiniteFeatures, "transform", lambda self, X: np.zeros(np.shape(X)))
    with blind, pytest.raises(DisagreementError):
        case.run(case.deposit, case.features)

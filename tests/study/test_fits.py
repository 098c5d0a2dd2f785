"""What a kept fit depends on: rows, settings and code, and nothing else."""

import pytest
from ensembles import make_examples
from joblib import Memory

from zcp.study.greenfactory import fits

CALLS = []


def work(examples, name, number):
    CALLS.append(number)
    if number < 0:
        raise KeyboardInterrupt
    return {"name": name, "rows": len(examples), "number": number}


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    monkeypatch.setattr(fits, "MEMORY", Memory(tmp_path, verbose=0))
    monkeypatch.setattr(fits, "source_digest", lambda module: "code")
    CALLS.clear()


def test_a_killed_plan_goes_on():
    rows = make_examples(5)
    with pytest.raises(KeyboardInterrupt):
        fits.run_plan(work, rows, [("a", 1), ("a", 2), ("a", -1), ("a", 3)])
    found = fits.run_plan(work, rows, [("a", 3), ("a", 2), ("a", 1)])
    assert CALLS == [1, 2, -1, 3]
    assert [each["number"] for each in found] == [3, 2, 1]


def test_other_rows_settings_or_code_are_computed_anew(monkeypatch):
    rows = make_examples(5)
    for each, plan in ((rows, ("a", 1)), (make_examples(6), ("a", 1)), (rows, ("b", 1)), (rows, ("a", 1))):
        fits.run_plan(work, each, [plan])
    assert len(CALLS) == 3
    monkeypatch.setattr(fits, "source_digest", lambda module: "other code")
    fits.run_plan(work, rows, [("a", 1)])
    assert len(CALLS) == 4


def test_a_damaged_fit_is_computed_again(tmp_path):
    rows = make_examples(5)
    first = fits.run_plan(work, rows, [("a", 1)])
    (kept,) = tmp_path.rglob("output.pkl")
    kept.write_bytes(kept.read_bytes()[:20])
    assert fits.run_plan(work, rows, [("a", 1)]) == first
    assert CALLS == [1, 1]


def test_nothing_is_kept_unasked():
    for _ in range(2):
        fits.run_plan(work, make_examples(5), [("a", 1)], keep=False)
    assert len(CALLS) == 2


def test_code_is_the_module_and_what_it_imports_but_not_the_makers_of_the_rows():
    found = fits.dependencies("zcp.study.greenfactory.choosing")
    wanted = {"study.greenfactory.choosing", "study.greenfactory.architectures", "ensemble.candidates",
              "ensemble.features", "analysis.metrics", "analysis.scores", "spaces.isomorphism"}  # fmt: skip
    assert {f"zcp.{name}" for name in wanted} <= found
    assert not {name for name in found if name.startswith(fits.MAKERS)}
    assert "zcp.study.greenfactory.tuning" not in found


def test_comments_and_docstrings_are_no_code():
    plain = "def f(x):\n    return x + 1\n"
    told = '"""A module."""\n\n\ndef f(x):\n    """Add one."""\n    return x + 1  # one\n'
    assert fits._code(plain) == fits._code(told) != fits._code(plain.replace("1", "2"))

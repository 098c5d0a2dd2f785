import json
import sys

import pytest

from zcp import cli
from zcp.study import StudyError


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line and give (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["zcp", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return (stopped.value.code or 0, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "99"], "the study has no section '99'"),
        (["run", "02", "-p", "seeds"], "every parameter needs -p NAME VALUE"),
        (["study", "--profile", "fast"], "unknown profile 'fast'"),
        (["score", "tss", "99999"], "99999"),
        (["score", "dss", "0"], "unknown search space 'dss'"),
        (["score", "tss", "0", "--dataset", "mnist"], "unknown dataset 'mnist'"),
        (["score", "sss", "8:8:8:8:8", "--proxy", "synflw"], "unknown proxy 'synflw'; did you mean"),
        (["proxies", "nothing*"], "no proxy matches 'nothing*'"),
        (["golden", "/nonexistent.json"], "cannot read the golden file"),
        (["download", "mnist"], "mnist"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2 and out == ""
    assert err.startswith("zcp: ") and message in err and err.count("\n") == 1


def test_unknown_command_is_a_usage_error(run):
    code, _, err = run("frobnicate")
    assert code == 2 and "frobnicate" in err


def test_failed_section_exits_1_with_its_error(run, monkeypatch):
    def fail(*arguments):
        raise StudyError("ValueError: the slice disagrees")

    monkeypatch.setattr("zcp.study.run_section", fail)
    code, _, err = run("run", "02")
    assert code == 1 and "the slice disagrees" in err and "Traceback" not in err


def test_run_hands_every_parameter_on(run, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("zcp.study.run_section", lambda *arguments: calls.append(arguments))
    code, _, _ = run(
        "run", "02", "-p", "seeds", "3", "-p", "rate", "-0.5", "--output", str(tmp_path / "o.ipynb")
    )
    assert code == 0
    assert calls == [("02", {"seeds": "3", "rate": "-0.5"}, tmp_path / "o.ipynb")]


def test_study_runs_sections_then_builds_and_names_the_page(run, monkeypatch):
    done = []
    monkeypatch.setattr("zcp.study.run_study", lambda profile: done.append(profile))
    monkeypatch.setattr("zcp.book.build", lambda: done.append("book") or "/page.html")
    code, out, _ = run("study", "--profile", "paper")
    assert code == 0 and done == ["paper", "book"]
    assert out.splitlines()[-1] == "Open this page: /page.html"


def test_proxies_lists_names_with_their_definition(run):
    code, out, _ = run("proxies", "param*")
    assert code == 0 and out.startswith("params") and "Number of parameters" in out


def test_score_prints_a_line_a_proxy(run):
    code, out, _ = run(
        "score", "sss", "8:8:8:8:8", "--proxy", "params", "--proxy", "snip", "--batch-size", "4"
    )
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["params", "snip"]
    assert float(out.splitlines()[0].split()[1]) == pytest.approx(0.011714)


def test_score_takes_a_formula_and_points_at_its_fault(run):
    form = "frobenius_norm(greater_than(pass_noise_bwd_input, {}))"
    given = ("score", "sss", "8:8:8:8:8", "--batch-size", "4", "--formula")
    code, out, _ = run(*given, form.format("pass_noise_fwd_output"), "--proxy", "greenmachine_f")
    values = [line.split()[1] for line in out.splitlines()]
    assert code == 0 and len(values) == 2 and values[0] == values[1]
    code, _, err = run(*given, form.format("pass_noise_fwd_outptu"))
    assert code == 2 and "^" in err and "pass_noise_fwd_output" in err


@pytest.mark.parametrize(("value", "code"), [(0.011714, 0), (0.02, 1)])
def test_golden_exits_1_on_a_miss(run, tmp_path, value, code):
    file = tmp_path / "golden.json"
    content = {
        "archs": {"a": {"space": "sss", "spec": "8:8:8:8:8"}},
        "values": {"a": {"params": {"float64": value}}},
    }
    file.write_text(json.dumps(content))
    found, out, _ = run("golden", str(file))
    assert found == code
    assert out.count("\n") == 2 and ("MISS" in out) == bool(code)


def test_collect_is_registered_with_its_options(run):
    code, out, _ = run("collect", "--help")
    assert code == 0 and "--shard" in out

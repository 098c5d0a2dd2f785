import json
import subprocess
import sys

import pytest

import zcp
from zcp import cli
from zcp.errors import LONGEST
from zcp.study.outcomes import Outcome


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
        (["score", "sss", "8:8:8:8:8", "--proxies", "synflw"], "unknown proxy 'synflw'; did you mean"),
        (["score", "sss", "0", "--proxies", "params,,snip"], "there is an empty name in 'params,,snip'"),
        (
            ["score", "sss", "0", "--inputs", "noise"],
            "unknown inputs 'noise'; choose one of images, gaussian",
        ),
        (["proxies", "nothing*"], "no proxy matches 'nothing*'"),
        (["golden", "/nonexistent.json"], "cannot read the golden file"),
        (["download", "mnist"], "mnist"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2 and out == ""
    assert err.startswith("zcp: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'; see `zcp --help`"),
        (["score", "tss"], "Missing argument 'ARCH'; see `zcp score --help`"),
        (["score", "tss", "0", "--batch", "0"], "Invalid value for '--batch': "),
        (["collect", "--out", "x", "--seed", "9" * 5000], "Invalid value for '--seed': "),
        (["golden", "--what"], "No such option: --what"),
    ],
)
def test_a_usage_error_is_one_line_as_any_other(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("zcp: ") and message in err and err.endswith(" --help`\n")


@pytest.mark.parametrize("given", [["x" * 100_000], ["golden", "--" + "x" * 100_000]])
def test_what_is_quoted_loses_its_middle(run, given):
    code, out, err = run(*given)
    assert code == 2 and out == "" and err.count("\n") == 1 and len(err) < LONGEST + 100
    assert "xxx ... xxx" in err and err.endswith(" --help`\n")


def test_version(run):
    assert run("--version") == (0, f"zcp {zcp.__version__}\n", "")


@pytest.mark.parametrize(("space", "last"), [("tss", 15624), ("sss", 32767)])
def test_a_malformed_architecture_is_told_with_a_good_one(run, space, last):
    code, _, err = run("score", space, "1e3")
    example = zcp.get_space(space).arch(0)
    assert code == 2 and f"an index from 0 to {last}, or a string such as {example!r}" in err


@pytest.mark.parametrize("file", ["good.py", "folder/good.py"])
def test_a_network_that_is_named_by_its_file_is_told_by_its_module(run, file):
    code, _, err = run("predict", "--network", f"{file}:vgg")
    assert code == 2 and "write good:vgg, in the folder of good.py" in err


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "/a/b"), OSError(36, "File name too long", "/a/b")]
)
def test_what_the_disk_refuses_is_one_line(run, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr("zcp.doctor.report", fail)
    code, out, err = run("doctor")
    assert (
        code == 2
        and out == ""
        and err == (f"zcp: /a/b: {error.strerror}; correct its permissions, or name another\n")
    )


def test_an_unknown_target_is_told_with_those_that_there_are(run):
    code, _, err = run("predict", "--space", "tss", "--arch", "0", "--target", "nope")
    assert code == 2 and err.endswith("of GreenFactory; choose test, valid\n")
    assert "zcp run" not in err


def outcome(name, message="", crash=""):
    return Outcome(name, {}, [{"check": "a.check", "values": 3, "message": message}], crash)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (outcome("02_b"), ""),
        (outcome("02_b", "x is 1 live but 2 in the deposit"), "02_b: a.check: x is 1 live but 2 in the"),
        (outcome("02_b", crash="ValueError: y"), "02_b: stopped by an error: ValueError: y"),
    ],
)
def test_run_names_the_copy_and_exits_1_where_it_does_not_agree(run, monkeypatch, tmp_path, found, message):
    calls = []
    monkeypatch.setattr("zcp.study.runner.run_section", lambda *arguments: calls.append(arguments) or "copy")
    monkeypatch.setattr("zcp.study.outcomes.read_outcome", lambda copy: found)
    given = ("-p", "seeds", "3", "-p", "rate", "-0.5", "--output", str(tmp_path / "o.ipynb"))
    code, out, err = run("run", "02", *given)
    assert calls == [("02", {"seeds": "3", "rate": "-0.5"}, tmp_path / "o.ipynb")]
    assert code == bool(message) and "executed: copy" in out and message in err and "Traceback" not in err


@pytest.mark.parametrize("command", ["study", "book"])
@pytest.mark.parametrize(("message", "code"), [("", 0), ("x is 1 live", 1)])
def test_book_is_built_and_named_whatever_disagrees(run, monkeypatch, command, message, code):
    done = []
    monkeypatch.setattr("zcp.study.runner.run_study", lambda profile: done.append(profile))
    monkeypatch.setattr(
        "zcp.study.book.build", lambda: ("/page.html", [outcome("01_a"), outcome("02_b", message)])
    )
    found, out, err = run(command, *(["--profile", "paper"] if command == "study" else []))
    assert found == code and done == (["paper"] if command == "study" else [])
    assert out.splitlines()[-1] == "Open this page: /page.html"
    assert ("02_b: a.check: x is 1 live" in err) == bool(code) and "01_a" not in err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["scheme", "grouped"], "is read by the profile paper only"),
        (["scheme", "grupped"], "is one of random, grouped, stratified, stratified_after; not 'grupped'"),
        (["profile", "fast"], "is one of quick, paper; not 'fast'"),
    ],
)
def test_parameter_that_would_change_nothing_is_refused(run, given, message):
    code, _, err = run("run", "03", "-p", *given)
    assert code == 2 and message in err and err.count("\n") == 1


def test_proxies_lists_names_with_their_definition(run):
    code, out, _ = run("proxies", "param*")
    assert code == 0 and out.startswith("params") and "Number of parameters" in out


def test_definitions_of_proxies_begin_in_one_column(run):
    _, out, _ = run("proxies")
    lines = out.splitlines()
    start = max(len(line.split()[0]) for line in lines) + 2
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines)


def test_score_prints_a_line_a_proxy(run):
    code, out, _ = run("score", "sss", "8:8:8:8:8", "--proxies", "params,snip", "--batch", "4")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["params", "snip"]
    assert float(out.splitlines()[0].split()[1]) == pytest.approx(0.011714)


def test_score_compares_several_with_directions_and_ranks(run):
    code, out, _ = run("score", "sss", "0", "8:8:8:8:16", "--proxies", "params,ntk_cond", "--batch", "4")
    head, params, condition = (line.split() for line in out.splitlines())
    assert code == 0 and head == ["proxy", "better", "0", "(rank)", "8:8:8:8:16", "(rank)"]
    assert params[:4] == ["params", "larger", "0.011714", "(2)"] and params[5] == "(1)"
    better = 2 if float(condition[2]) < float(condition[4]) else 4
    assert condition[1] == "smaller" and condition[better + 1] == "(1)"


@pytest.mark.parametrize("inputs", [[], ["--inputs", "gaussian"]])
def test_score_is_on_noise_unless_images_are_asked_for(run, monkeypatch, inputs):
    given = ("score", "sss", "0", "--proxies", "snip", "--batch", "4")
    monkeypatch.setattr("zcp.data.batches.image_batches", zcp.gaussian_batches)
    _, noise, _ = run(*given, *inputs)
    assert float(noise.split()[1]) > 0
    monkeypatch.setattr("zcp.data.batches.gaussian_batches", None)
    assert run(*given, "--inputs", "images")[1] == noise


@pytest.mark.parametrize("command", ["score", "collect", "merge", "predict", "run", "download"])
def test_help_comes_where_nothing_is_given(run, command):
    code, out, err = run(command)
    assert code == 2 and f"Usage: zcp {command} [OPTIONS]" in out + err and "--help" in out + err


def test_the_package_is_the_command(capsys):
    found = subprocess.run([sys.executable, "-m", "zcp", "proxies", "snip"], capture_output=True, text=True)
    assert found.stdout.startswith("snip ") and found.returncode == 0


@pytest.mark.parametrize(
    ("module", "extra"),
    [("skops", "predict"), ("sklearn", "predict"), ("papermill", "study"), ("dask", "cluster")],
)
def test_a_missing_extra_is_one_line_with_the_command_that_brings_it(run, monkeypatch, module, extra):
    def fail():
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("zcp.doctor.report", fail)
    code, out, err = run("doctor")
    assert (code, out) == (2, "")
    assert err == f"zcp: the package {module} is not installed; run: pip install 'zcp-nas[{extra}]'\n"


def test_a_fault_of_our_own_is_not_taken_for_a_missing_extra(monkeypatch):
    def fail():
        raise ModuleNotFoundError("No module named 'zcp.nothing'", name="zcp.nothing")

    monkeypatch.setattr("zcp.doctor.report", fail)
    monkeypatch.setattr(sys, "argv", ["zcp", "doctor"])
    with pytest.raises(ModuleNotFoundError):
        cli.main()


@pytest.mark.parametrize("command", [["run", "02"], ["study"], ["book"], ["portable"]])
def test_without_a_checkout_the_study_is_not_there(run, monkeypatch, tmp_path, command):
    monkeypatch.setattr("zcp.paths.BOOK", tmp_path)
    code, out, err = run(*command)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith(f"zcp: zcp {command[0]} works on the study") and "clone the repository" in err


def test_score_takes_a_formula_and_points_at_its_fault(run):
    form = "frobenius_norm(greater_than(pass_noise_bwd_input, {}))"
    given = ("score", "sss", "8:8:8:8:8", "--batch", "4", "--formula")
    code, out, _ = run(*given, form.format("pass_noise_fwd_output"), "--proxies", "greenmachine_f")
    values = [line.split()[1] for line in out.splitlines()]
    assert code == 0 and len(values) == 2 and values[0] == values[1]
    code, _, err = run(*given, form.format("pass_noise_fwd_outptu"))
    assert code == 2 and "did you mean pass_noise_fwd_output" in err and ", after 'frobenius_norm(" in err
    assert err.count("\n") == 1


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
    assert out.count("\n") == 3 and ("MISS" in out) == bool(code)
    agree = 0 if code else 2
    assert out.endswith(f"{agree} values agree, 0 are decided by rounding, {2 - agree} miss\n")


def test_golden_without_a_file_checks_the_values_that_come_with_zcp(run):
    code, out, _ = run("golden", "--arch", "sss-0")
    assert code == 0 and out.count("sss-0") > 40 and out.endswith(", 0 miss\n")
    code, _, err = run("golden", "--arch", "sss-99")
    assert code == 2 and "golden.json has no architecture 'sss-99'; it has " in err


def test_golden_exits_2_on_a_key_that_names_no_proxy(run, tmp_path):
    file = tmp_path / "golden.json"
    content = {
        "archs": {"a": {"space": "sss", "spec": "8:8:8:8:8"}},
        "values": {"a": {"params": {"float64": 0.011714}, "moon_phase": {"float64": 1.0}}},
    }
    file.write_text(json.dumps(content))
    code, out, err = run("golden", str(file))
    assert code == 2 and out.count("\n") == 4
    assert err.startswith("zcp: ") and err.endswith("nothing was compared: moon_phase\n")


@pytest.mark.parametrize("inside", ["", "x"])
def test_collect_says_nothing_where_it_cannot_write(run, tmp_path, inside):
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / inside)
    code, told, err = run("collect", "--out", f"{out}/", "--count", "1", "--inputs", "gaussian")
    assert code == 2 and told == "" and err.count("\n") == 1 and "file" in err


def test_collect_is_registered_with_its_options(run):
    code, out, _ = run("collect", "--help")
    assert code == 0 and "--shard" in out

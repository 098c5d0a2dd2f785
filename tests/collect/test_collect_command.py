import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from zcp.collect.command_line import collect_command, merge_command
from zcp.collect.parts import load_scores
from zcp.errors import InputError
from zcp.paths import data_folder

app = typer.Typer()
app.command("collect")(collect_command)
app.command("merge")(merge_command)

CHEAP = ["--proxies", "params,flops", "--inputs", "gaussian", "--batch", "4", "--workers", "1"]


def invoke(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(result.exception, InputError):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collect")
    for name, shard in (("whole", "1/1"), ("one", "1/2"), ("two", "2/2")):
        out = folder / name
        result = invoke("collect", "--out", out, "--count", 2, "--shard", shard, *CHEAP)
        assert result.exit_code == 0, result.output
        assert f"written: {out}" in result.output
    return folder


def test_all_cells_are_filled(whole):
    frame = load_scores(whole / "whole")
    assert dict(frame.groupby(["space", "dataset"]).size()) == {
        (space, dataset): 2
        for space in ("tss", "sss")
        for dataset in ("cifar10", "cifar100", "ImageNet16-120")
    }


def test_shards_merge_into_the_whole(whole):
    result = invoke("merge", whole / "all", whole / "one", whole / "two")
    assert result.exit_code == 0, result.output
    assert "tss cifar10: 2 of 15625; of the first 2 in the order of seed 0 none is missing" in result.output
    columns = ["space", "index", "arch", "dataset", "params", "flops", "reason"]
    merged, expected = (load_scores(whole / name)[columns] for name in ("all", "whole"))
    assert merged.equals(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", 2, "--batch", 8, *CHEAP[:4]], "batch: 4 against 8"),
        ([*CHEAP], "say which architectures"),
        (["--count", 2, "--indices", "x", *CHEAP], "say which architectures"),
        (["--count", 0, *CHEAP], "--count must be 1 or more"),
        (["--count", 2, "--space", "nds", *CHEAP], "unknown search space 'nds'"),
        (["--count", 2, "--dataset", "mnist", *CHEAP], "unknown dataset 'mnist'"),
        (["--count", 2, "--proxies", "sinflow"], "unknown proxy 'sinflow'"),
        (["--count", 2, "--shard", "3/2", *CHEAP], "--shard must be k/n"),
        (["--count", 2, *CHEAP, "--workers", 0], "--workers must be 1 or more"),
        (["--count", 2, *CHEAP, "--cluster", ""], "--cluster is empty"),
        (["--count", 2, "--device", "tpu9", *CHEAP], "unknown device 'tpu9'"),
        (["--count", 2, "--device", "cpu:7", *CHEAP], "unknown device 'cpu:7'"),
        (["--count", 2, "--device", "cuda:99", *CHEAP], "there is no device 'cuda:99' here"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(whole, arguments, message):
    path = whole / "whole"
    before = {part: part.read_bytes() for part in path.iterdir()}
    with pytest.raises(InputError, match=message):
        invoke("collect", "--out", path, *arguments)
    assert {part: part.read_bytes() for part in path.iterdir()} == before


def test_images_are_asked_for_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("ZCP_DATA", "")
    monkeypatch.setenv("ZCP_HOME", str(tmp_path))
    assert data_folder() is None
    with pytest.raises(InputError, match="no ImageNet16-120 images"):
        invoke("collect", "--out", tmp_path / "a", "--count", 1, "--dataset", "ImageNet16-120")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--indices", "/dev/null"], "/dev/null names no architecture; write a line"),
        (["--count", 2, "--shard", "3/3"], "--shard 3/3 holds no architecture; its first number can be 2"),
    ],
)
def test_nothing_to_collect_makes_nothing(tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        invoke("collect", "--out", tmp_path / "a", *more, *CHEAP)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("out", "cause"),
    [
        ("file", "file is a file"), ("file/below", "file is a file"), ("link", "link is a broken link"),
        ("link/below", "link is a broken link"), ("/dev/null", "/dev/null is no folder"),
    ],
)  # fmt: skip
def test_what_is_in_the_way_of_a_collection_is_named(tmp_path, out, cause):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    message = rf"cannot write .*{cause}; nothing was changed\. Choose another folder$"
    with pytest.raises(InputError, match=message):
        invoke("collect", "--out", tmp_path / out, "--count", 1, *CHEAP)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_nothing_is_left_behind_that_python_warns_of(tmp_path):
    command = [sys.executable, "-m", "zcp", "collect", "--out", f"{tmp_path}/a", "--count", "1", *CHEAP]
    found = subprocess.run(
        [*command, "--space", "tss", "--dataset", "cifar10"], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert "1/1" in found.stderr and "resource_tracker" not in found.stderr

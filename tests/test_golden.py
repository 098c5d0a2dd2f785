"""Agreement with the reference implementations, and what becomes of files that do not agree."""

import copy
import json
import math

import pytest
import torch

from zcp import InputError
from zcp.golden import check
from zcp.golden.rounding import jittered
from zcp.paths import GOLDEN

FILE = GOLDEN / "golden.json"
CONTENT = json.loads(FILE.read_text())


def write(folder, content):
    path = folder / "golden.json"
    path.write_text(json.dumps(content))
    return path


def only(arch: str, *keys: str) -> dict:
    values = CONTENT["values"][arch]
    return copy.deepcopy({**CONTENT, "values": {arch: {key: values[key] for key in keys or values}}})


@pytest.mark.parametrize(
    "arch",
    [arch if arch == "sss-0" else pytest.param(arch, marks=pytest.mark.slow) for arch in CONTENT["values"]],
)
def test_no_value_misses(arch):
    lines = list(check(FILE, [arch]))
    assert [str(line) for line in lines if line.ok is False] == []
    assert sum(line.ok is True for line in lines) >= 27
    assert {line.key for line in lines} == {*CONTENT["values"][arch]}


@pytest.mark.parametrize("key", ["grad_norm", "naswot", "l2_norm", "zen_fixed", "log_synflow"])
def test_a_changed_value_is_a_miss(tmp_path, key):
    content = only("sss-0", key)
    content["values"]["sss-0"][key]["float64"] *= 1.01
    lines = list(check(write(tmp_path, content)))
    assert [line.ok for line in lines] == [False, False]
    assert all("MISS" in str(line) and key in str(line) for line in lines)


@pytest.mark.parametrize(
    ("key", "factor"), [("eznas", 0.98), ("eznas", 2.5), ("plain", 1.1), ("synflow_bn", 1.1)]
)
def test_what_rounding_may_decide_can_miss(tmp_path, key, factor):
    content = only("sss-0", key)
    assert False not in {line.ok for line in check(write(tmp_path, content))}
    content["values"]["sss-0"][key]["float64"] *= factor
    assert {line.ok for line in check(write(tmp_path, content))} == {False}


def test_what_rounding_decides_is_neither_right_nor_a_miss(tmp_path, monkeypatch):
    """A sum that cancels to nothing but its rounding errors."""

    def noisy(network, *_args, **_more):
        moved = any(module._forward_hooks for module in network.modules())
        return {"plain": 0.25 if moved else 0.3}

    monkeypatch.setattr("zcp.golden.score", noisy)
    single, _ = check(write(tmp_path, only("sss-0", "plain")))
    assert single.ok is True
    content = only("sss-0", "plain")
    content["values"]["sss-0"]["plain"]["float64"] = 0.26
    single, double = check(write(tmp_path, content))
    assert single.ok is None
    assert "decided by rounding" in str(single)
    assert double.ok is False


def test_jittered_layers_move_by_a_unit_in_the_last_place():
    layer = torch.nn.Linear(3, 50)
    x = torch.ones(2, 3)
    before, after = layer(x), jittered(layer, 1)(x)
    assert (before != after).all()
    assert torch.allclose(before, after, rtol=2e-7, atol=0)
    assert torch.equal(jittered(torch.nn.Linear(3, 5, bias=False), 1)(0 * x), torch.zeros(2, 5))


def test_a_changed_mean_is_a_miss(tmp_path):
    content = only("sss-0", "zen")
    content["values"]["sss-0"]["zen"]["mean"] += 4
    content["values"]["sss-0"]["zen"]["seeds"] = 4
    (line,) = check(write(tmp_path, content))
    assert line.ok is False


def test_a_finite_value_in_place_of_a_non_finite_one_is_a_miss(tmp_path):
    content = only("tss-1651", "naswot", "jacob_cov")
    assert {line.ok for line in check(write(tmp_path, content))} == {True}
    for key in ("naswot", "jacob_cov"):
        content["values"]["tss-1651"][key]["float64"] = -1e8
    assert {line.ok for line in check(write(tmp_path, content))} == {False}


def test_a_key_without_a_proxy_is_reported(tmp_path):
    content = only("sss-0", "l2_norm")
    content["values"]["sss-0"]["moon_phase"] = {"float64": 1.0}
    *_, line = check(write(tmp_path, content))
    assert line.ok is None
    assert math.isnan(line.found)
    assert "no such proxy" in str(line)


def test_unknown_architecture():
    with pytest.raises(InputError, match=r"no architecture 'tss-5'.*tss-0"):
        list(check(FILE, ["tss-5"]))


def without_layout():
    content = only("sss-0", "l2_norm")
    del content["archs"]["sss-0"]
    return content


def with_text_value():
    content = only("sss-0", "l2_norm")
    content["values"]["sss-0"]["l2_norm"]["float64"] = "much"
    return content


def random(**changes):
    content = only("sss-0", "l2_norm")
    content["values"]["sss-0"] = {"zen": {"mean": 1.0, "std": 1.0, "seeds": 2} | changes}
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *[
            (random(seeds=seeds), "seeds must be a whole number")
            for seeds in ("nan", True, 0, -1, 10**9, 2.5)
        ],
        (random(mean=True), "mean must be a number"),
        (random(std=10**400), "std must be a number"),
        ([], "not a golden file"),
        ({"values": {}}, "archs"),
        ({"values": [1], "archs": {}}, "not a golden file"),
        ({"values": {"a": 3}, "archs": {"a": {"space": "sss", "spec": "8:8:8:8:8"}}}, "not a golden file"),
        ({"values": {"a": {}}, "archs": {"a": {"space": "nowhere", "spec": "x"}}}, "unknown search space"),
        ({"values": {"a": {}}, "archs": {"a": {"space": "sss", "spec": "8:8"}}}, "malformed sizes"),
        (without_layout(), "sss-0"),
        (with_text_value(), "much"),
    ],
)
def test_malformed_content(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        list(check(write(tmp_path, content)))


def test_unreadable_files(tmp_path):
    path = tmp_path / "golden.json"
    with pytest.raises(InputError, match="cannot read"):
        list(check(path))
    path.write_text(FILE.read_text()[:1000])
    with pytest.raises(InputError, match="is no JSON"):
        list(check(path))
    for content in (b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no JSON"):
            list(check(path))

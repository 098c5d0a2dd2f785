from dataclasses import replace

import pandas as pd
import pytest
from collecting import SETTINGS

from zcp.collect import score_row
from zcp.collect.settings import Origin, choose_settings, environment, outdated
from zcp.errors import InputError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch", 8), ("batches", 1), ("seed", 1), ("inputs", "images"), ("init", "keep"),
        ("dtype", "float64"), ("proxies", ("params",)),
    ],
)  # fmt: skip
def test_every_setting_that_differs_is_named(field, value):
    other = replace(SETTINGS, **{field: value})
    assert SETTINGS.differences(SETTINGS) == []
    (line,) = SETTINGS.differences(other)
    assert line.startswith(field)
    with pytest.raises(InputError, match=f"a.parquet and this run .* not mixed.* {field}"):
        Origin(SETTINGS).joined(Origin(other), ("a.parquet", "this run"))


def test_files_of_another_release_are_continued():
    assert SETTINGS.differences(replace(SETTINGS, zcp="0.0.0")) == []


def test_proxies_are_compared_by_name():
    other = replace(SETTINGS, proxies=("params", "zen"))
    assert SETTINGS.differences(other) == ["proxies (those in one only): synflow against zen"]


def test_versions_of_definitions_are_recorded_and_never_mixed():
    settings = choose_settings(["cifar10"], ["eznas", "params"], inputs="gaussian")
    assert settings.versions == {"eznas": 2}
    old = replace(settings, versions={})
    assert settings.differences(old) == ["version of eznas: 2 against 1"]
    with pytest.raises(InputError, match=r"not mixed.* version of eznas: 1 against 2"):
        Origin(old).joined(Origin(settings), ("a.parquet", "this run"))
    with pytest.raises(InputError, match="version 1 of the proxy eznas"):
        score_row("sss", 0, "cifar10", old)
    assert settings.of(["params"]).versions == {}


def test_settings_without_versions_are_those_of_the_first():
    data = Origin(replace(SETTINGS, proxies=("params", "eznas", "moon_phase"))).to_json()
    del data["versions"]
    assert Origin.from_json(data).settings.versions == {}
    table = pd.DataFrame()
    table.attrs["settings"] = data
    assert outdated(table) == {"eznas": (1, 2), "moon_phase": (1, None)}
    assert outdated(pd.DataFrame()) == {}


def test_images_are_compared_where_both_know_the_dataset():
    a = replace(SETTINGS, images={"cifar10": "aa", "cifar100": "bb"})
    assert a.differences(replace(a, images={"cifar10": "aa", "ImageNet16-120": "cc"})) == []
    assert a.differences(replace(a, images={"cifar10": "xx"})) == ["images of cifar10: aa against xx"]


def test_joined_origins_hold_what_both_hold():
    one = Origin(replace(SETTINGS, images={"cifar10": "a"}), [{"device": "cpu"}], {"params": ["init"]})
    two = Origin(
        replace(SETTINGS, images={"cifar100": "b"}),
        [{"device": "cuda"}, {"device": "cpu"}],
        {"params": ["x"]},
    )
    both = one.joined(two, ("one", "two"))
    assert both.settings.images == {"cifar10": "a", "cifar100": "b"}
    assert list(both.environments) == [{"device": "cpu"}, {"device": "cuda"}]
    assert both.steps == {"params": ["init", "x"]}
    assert two.joined(one, ("two", "one")) == both
    assert Origin.from_json(both.to_json()) == both


def test_unknown_settings_are_named():
    data = Origin(SETTINGS).to_json()
    data["augmentation"] = data.pop("batch")
    with pytest.raises(InputError, match="augmentation, batch"):
        Origin.from_json(data)


def test_proxies_are_put_in_the_order_of_the_registry():
    settings = choose_settings(["cifar10"], ["synflow", "params"], inputs="gaussian")
    assert settings.proxies == ("params", "synflow")
    assert not settings.images
    assert len(choose_settings(["cifar10"], inputs="gaussian").proxies) > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"proxies": ["sinflow"]}, "unknown proxy 'sinflow'; did you mean synflow"),
        ({"proxies": []}, "no proxies were chosen"),
        ({"batch": 1}, "--batch must be 2 or more"),
        ({"inputs": "noise"}, "unknown inputs 'noise'"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        choose_settings(["cifar10"], **{"inputs": "gaussian"} | arguments)


def test_environment_names_versions_and_device():
    assert {"torch", "numpy", "python"} < set(environment("cpu"))
    assert environment("cpu")["device"] == "cpu"

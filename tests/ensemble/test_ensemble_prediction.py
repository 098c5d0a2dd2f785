"""What is predicted for a network, and what is said about it."""

import dataclasses
import re
import sys

import numpy as np
import pandas as pd
import pytest
from ensembles import FEATURES, ORIGIN, SETTINGS, make_artefact, make_rows
from torch import nn

import zcp
from zcp.collect import Settings, score_row
from zcp.ensemble import artefacts, cards, prediction
from zcp.ensemble.artefacts import read, write
from zcp.ensemble.estimators import GreenFactory
from zcp.ensemble.features import ONE_HOT
from zcp.ensemble.own_network import load_network
from zcp.errors import InputError
from zcp.spaces.isomorphism import name_classes

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr("zcp.ensemble.candidates.TREES", 10)


def test_an_architecture_is_predicted_from_its_scores(rows):
    made = make_artefact(rows)
    found = prediction.predict_architecture(made, "tss", ARCH, "cifar10")
    assert list(found.features) == made.features and found.features["dataset=cifar10"] == 1
    assert found.features["params"] == sum(p.numel() for p in zcp.build("tss", ARCH).parameters()) / 1e6
    assert found.notes == () and found.dataset == "cifar10"
    assert ARCH in found.network and "tss" in found.network
    table = pd.DataFrame([found.features])
    assert found.accuracy == made.estimator.predict(table)[0]
    index = zcp.spaces.get_space("tss").index(ARCH)
    assert prediction.predict_architecture(made, "tss", index, "cifar10") == found
    assert any("accuracy" in line for line in found.lines())
    assert found.covered.startswith("90% promised; held 90.0% of unseen networks of tss cifar10")
    assert "Kendall 0.80" in found.measured and "best proxy 0.60" in found.measured


def test_scores_are_those_of_a_collection(rows):
    index = zcp.spaces.get_space("tss").index(ARCH)
    settings = Settings(("params", "flops", "naswot"), batch=4, seed=0, inputs="gaussian")
    collected = score_row("tss", index, "cifar100", settings)
    found = prediction.predict_architecture(make_artefact(rows), "tss", ARCH, "cifar100").features
    assert {p: collected[p] for p in settings.proxies} == {p: found[p] for p in settings.proxies}


def test_noise_is_announced_where_images_are_missing(rows, monkeypatch):
    monkeypatch.setenv("ZCP_DATA", "")
    made = make_artefact(rows)
    made.scores["scores_settings"] = {**ORIGIN["scores_settings"], "inputs": "images"}
    found = prediction.predict_architecture(made, "tss", ARCH, "cifar10")
    made.scores["scores_settings"] = ORIGIN["scores_settings"]
    assert found.notes == (prediction.NOISE_NOTE,)
    assert found.why == prediction.ON_NOISE and np.isnan([found.low, found.high]).all()


def predicted(made, features, monkeypatch, **settings):
    """Predict as if the proxies of a network had these values."""
    monkeypatch.setattr(prediction, "_score", lambda *_: dict(features))
    monkeypatch.setattr(prediction, "examine", lambda *_: {})
    return prediction.predict_network(made, nn.Identity(), "cifar10", **settings)


def row(rows, at=0, **changes):
    cell = (rows.labels["space"] == "tss") & (rows.labels["dataset"] == "cifar10")
    return {name: float(rows.features[cell].iloc[at][name]) for name in sorted(FEATURES)} | changes


def test_an_interval_is_given_where_coverage_was_measured(rows, monkeypatch):
    made = make_artefact(rows)
    found = predicted(made, row(rows, naswot=0.1), monkeypatch)
    assert found.why == "" and 0 <= found.low < found.accuracy < found.high <= 100
    assert found.seen.startswith("not known") and "like the fitted networks" in found.seen
    assert prediction.UNMEASURED in "".join(found.lines()) and "90%" not in "".join(found.lines())
    none = {
        "flops failed, which no fitted network's did": row(rows, flops=np.nan),
        "it is far from all fitted networks": row(rows, params=1e9, flops=-1e9, naswot=-1e9),
    }
    for why, features in none.items():
        found = predicted(made, features, monkeypatch)
        assert why in found.why and np.isnan([found.low, found.high]).all() and np.isfinite(found.accuracy)
        assert found.seen == "not known: it is given as code"  # nothing that the distance contradicts
        assert f"none: {found.why}" in "\n".join(found.lines()) and "promised" not in "".join(found.lines())
    # naswot fails for some fitted networks, too: that is nothing new
    assert "naswot" not in predicted(made, row(rows, naswot=-np.inf), monkeypatch).why
    other = zcp.gaussian_batches("cifar10", 4)
    assert predicted(made, row(rows), monkeypatch, batches=other).why == prediction.ON_OTHERS


def test_images_that_are_not_those_of_the_fit_give_no_interval(rows, monkeypatch):
    made = make_artefact(rows)
    made = dataclasses.replace(made, scores={**ORIGIN, "scores_settings": {**SETTINGS, "inputs": "images"}})
    monkeypatch.setattr(prediction, "image_batches", lambda *_, **__: [])
    monkeypatch.setattr(prediction, "image_digests", lambda _: {"cifar10": "1" * 64})
    assert predicted(made, row(rows), monkeypatch).why == prediction.ON_OTHERS
    made.scores["scores_settings"]["images"] = {"cifar10": "1" * 64}
    assert predicted(made, row(rows), monkeypatch).why == ""


def test_it_is_told_whether_this_very_network_was_fitted(rows):
    made, space = make_artefact(rows), zcp.spaces.get_space("tss")
    same = pd.DataFrame({"space": "tss", "index": range(500)})
    classes = name_classes(same)
    twin, other = classes[classes == classes[classes.duplicated()].iloc[0]].index[:2]

    def seen(index):
        artefact = dataclasses.replace(made, fitted={"tss cifar10": [int(twin)]})
        return prediction.predict_architecture(artefact, "tss", space.arch(index), "cifar10").seen

    assert seen(twin) == "yes: the model was told its accuracy"
    assert seen(other) == f"yes, by another name: tss {twin} is the same network"
    assert seen(classes[classes != classes[twin]].index[0]) == "no"


def test_a_model_that_cannot_tell_datasets_apart_says_so(rows):
    made = make_artefact(rows)
    features = [name for name in made.features if name not in ("dataset=cifar100", "dataset=ImageNet16-120")]
    estimator = GreenFactory(features=features).fit(rows.features, rows.accuracy)
    blind = dataclasses.replace(made, estimator=estimator)
    assert prediction.predict_architecture(blind, "tss", ARCH, "cifar100").notes == (
        "GreenFactory cannot tell cifar100 and ImageNet16-120 apart",
    )
    assert prediction.predict_architecture(blind, "tss", ARCH, "cifar10").notes == ()


MODULE = """
import sys
import torch
from torch import nn

def build(classes=10):
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(8, classes))

def hundred():
    return build(100)

network = build()
number = 3

def fails():
    raise RuntimeError("no luck")

def colour():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))

def unfit():
    return nn.Linear(7, 10)

def recurrent():
    return nn.LSTM(3, 4)

def five():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))

def map_of_features():
    return nn.Conv2d(3, 10, 1)

class Single(nn.Sequential):
    def forward(self, x):
        if (x == 1).all():
            raise ValueError("not on ones")
        return super().forward(x)

class Head(nn.Module):
    def __init__(self, change, classes=10):
        super().__init__()
        first = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU()
        self.layers = nn.Sequential(*first, nn.Conv2d(8, 8, 3, 2))
        self.head, self.change = nn.Linear(8, classes), change

    def forward(self, x):
        return self.change(self.head(self.layers(x).relu().mean((2, 3))))

def plain():
    return Head(lambda x: x)

def nan():
    return Head(lambda x: x * float("nan"))

def one_infinite():
    return Head(lambda x: x / torch.tensor([0.0] + 9 * [1.0]))

def constant():
    return Head(lambda x: x * 0)

def detached():
    return Head(lambda x: torch.ones(len(x), 10))

def ends():
    return Head(lambda x: sys.exit(0))

def two_outputs():
    return Head(lambda x: (x + 1, x + 2))

def spoilt_weights():
    network = plain()
    nn.init.constant_(network.head.weight, torch.nan)
    return network

def random():
    return Head(lambda x: x + torch.randn_like(x))

def thousand():
    return Head(lambda x: x, 1000)

def random_thousand():
    return Head(lambda x: x + torch.randn_like(x), 1000)

def dropout():
    return Head(nn.Dropout(0.5))

def steps():
    return Head(lambda x: (x > x.mean(0)).float())

def zero_head():
    network = plain()
    nn.init.zeros_(network.head.weight)
    return network

def single():
    return Single(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10), nn.ReLU())
"""
FAILS = r"cannot be used on the 3x32x32 inputs of cifar10: the network's forward fails"
UNFIT = {
    "unfit": FAILS, "recurrent": FAILS, "five": "the network has 5 classes, and cifar10 has 10",
    "map_of_features": r"cannot be used on the 3x32x32 .*the network gives \(4, 10, 32, 32\)",
    "nan": "its logits are NaN or infinite; correct", "one_infinite": "its logits are NaN or infinite",
    "constant": "its logits do not depend on them; correct", "detached": "its logits do not depend on them",
    "ends": rf"{FAILS} \(SystemExit: 0\)", "spoilt_weights": "its parameters or buffers hold NaN",
    "two_outputs": r"a tuple of \(4, 10\), .* be told; let its forward return the logits alone$",
}  # fmt: skip


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "module_of_a_test.py").write_text(MODULE)
    yield "module_of_a_test"
    sys.modules.pop("module_of_a_test", None)


def test_a_network_is_named_as_module_and_function(own_module):
    for name in ("build", "network"):
        assert isinstance(load_network(f"{own_module}:{name}"), nn.Sequential)
    for spec, fault in {
        "build": "is named as module:function", f"{own_module}:": "is named as module:function",
        "no_such_module:build": "gives no network: ModuleNotFoundError", "..:x": "gives no network",
        f"{own_module}:absent": "gives no network: AttributeError", f"{own_module}:number": "TypeError",
        f"{own_module}:fails": "RuntimeError: no luck", f"{own_module}:print": "gives no network",
        "builtins:dict": "gives a dict; it must give a torch.nn.Module",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=fault):
            load_network(spec)


def test_what_is_unlike_every_fitted_network_gets_no_interval(rows, own_module):
    """A linear layer on mean colour, and a CNN without a ReLU that can be seen, against the shipped model."""
    shipped = read("GreenFactory")
    batches = zcp.gaussian_batches("cifar10", 8)
    for name in ("colour", "build"):
        network = load_network(f"{own_module}:{name}")
        features = prediction._score(shipped, network, "tss", "cifar10", batches, 0, [])
        why = shipped.regions["tss cifar10"].why_outside(features)
        assert "far from all fitted" in why or "failed" in why
    found = prediction.predict_network(make_artefact(rows), network)
    assert found.seen.startswith("not known: it is given as code")
    only = make_artefact(rows, ["naswot"])
    for name, fault in UNFIT.items():
        with pytest.raises(InputError, match=fault) as caught:
            prediction.predict_network(only, load_network(f"{own_module}:{name}"))
        assert "\n" not in str(caught.value)


def test_networks_without_the_promise_of_an_interval(rows, own_module, monkeypatch):
    """Beside those that keep it: dropout is off in evaluation, steps have no gradient, weights are drawn."""
    monkeypatch.setattr("zcp.ensemble.region.Region.why_outside", lambda *_: "")
    made = make_artefact(rows, ["naswot", *ONE_HOT])
    notes = {
        "random": ["two forwards on the same inputs in evaluation mode differ"],
        "thousand": ["the network has 1000 logits, and cifar10 has 10 classes; narrow the head to 10"],
    }
    notes["random_thousand"] = [*notes["random"], *notes["thousand"]]
    for name, told in notes.items():
        found = prediction.predict_network(made, load_network(f"{own_module}:{name}"))
        assert found.why and np.isnan([found.low, found.high]).all() and np.isfinite(found.accuracy)
        assert len(found.notes) == len(told) and all(map(str.startswith, found.notes, told))
        assert "like the fitted" not in found.seen
    for name in ("plain", "dropout", "steps", "zero_head"):
        found = prediction.predict_network(made, load_network(f"{own_module}:{name}"))
        assert found.why == "" and found.notes == () and found.low < found.high, name


def test_the_population_of_the_comparison_is_named(rows, own_module):
    made, network = make_artefact(rows, [*FEATURES, "az_nas"]), load_network(f"{own_module}:hundred")
    for settings, space in (({}, "tss"), ({"population": "sss"}, "sss")):
        lines = list(prediction.predict_network(made, network, "cifar100", **settings).lines())
        assert f"compared with   the fitted networks of {space} cifar100" in lines


def test_an_architecture_that_was_fitted_is_never_refused(rows):
    """Zeros between all nodes: its logits do not depend on the inputs, and its accuracy was measured."""
    nothing = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    made = make_artefact(rows)
    assert np.isfinite(prediction.predict_architecture(made, "tss", nothing).accuracy)
    with pytest.raises(InputError, match="do not depend"):
        prediction.predict_network(made, zcp.build("tss", nothing))


def test_code_that_ends_the_program_is_code_that_fails(own_module):
    network = load_network(f"{own_module}:ends")
    batches = zcp.gaussian_batches("cifar10", 4)
    assert "SystemExit: 0" in zcp.score(network, batches, ["grad_norm"]).reasons["grad_norm"]
    with pytest.raises(InputError, match="SystemExit: 0"):
        zcp.flops(network, batches[0][0])
    network.change = interrupted
    for run in (
        lambda: zcp.score(network, batches, ["grad_norm"]),
        lambda: zcp.flops(network, batches[0][0]),
    ):
        with pytest.raises(KeyboardInterrupt):
            run()


def interrupted(_):
    raise KeyboardInterrupt


def test_a_network_that_fails_where_the_model_reads_it(own_module):
    network, batches = load_network(f"{own_module}:single"), zcp.gaussian_batches("cifar10", 4)
    with pytest.raises(
        InputError, match=r"GreenFactory needs \w+, but the network's forward fails \(ValueErr"
    ):
        prediction._score(read("GreenFactory"), network, "tss", "cifar10", batches, 0, [])


def test_a_network_of_one_s_own_is_ranked_in_the_population(rows, own_module):
    made = make_artefact(rows, [*FEATURES, "az_nas"])
    network = load_network(f"{own_module}:build")
    found = prediction.predict_network(made, network, "cifar10", population="sss")
    assert found.features["az_nas"] < 0 and np.isfinite(found.accuracy)
    with pytest.raises(InputError, match="not fitted on darts cifar10; choose"):
        prediction.predict_network(made, network, population="darts")
    with pytest.raises(InputError, match="batches must be a list of one or more"):
        prediction.predict_network(made, network, batches=[])
    with pytest.raises(InputError, match="a prediction needs an artefact"):
        prediction.predict_network("GreenFactory", network)


def test_bad_requests_are_named(rows):
    made = make_artefact(rows)
    with pytest.raises(InputError, match="unknown dataset 'mnist'"):
        prediction.predict_architecture(made, "tss", ARCH, "mnist")
    with pytest.raises(InputError, match=r"no interval at 0\.5"):
        prediction.predict_architecture(made, "tss", ARCH, "cifar10", 0.5)
    with pytest.raises(InputError, match="malformed cell"):
        prediction.predict_architecture(made, "tss", "|none|", "cifar10")
    with pytest.raises(InputError, match="lack the feature zen"):
        make_artefact(rows, ["zen"])
    with pytest.raises(InputError, match="unknown ensemble"):
        make_artefact(rows, name="Green")


@pytest.mark.parametrize("given", ["--arch 0", "--space tss", "--arch 0 --network a:b"])
def test_which_network_must_be_said(given, monkeypatch, capsys):
    from zcp import cli

    monkeypatch.setattr(sys, "argv", ["zcp", "predict", *given.split()])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2 and "say which network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("--space tss --arch x", "malformed"),
        ("--space tss --arch 15625", "index 15625 is out of range"),
        ("--space nds --arch 0", "unknown search space 'nds'"),
        ("--space darts --arch 0", "not fitted on darts cifar10; choose"),
        (
            "--space tss --arch 0 --dataset mnist",
            "'mnist'; choose one of ImageNet16-120, cifar10, cifar100$",
        ),
        ("--space tss --arch 0 --level 0.5", "no interval at 0.5; choose of its levels: 0.8, 0.9, 0.95"),
        ("--space tss --arch 0 --target loss", "unknown target 'loss' of GreenFactory; choose test, valid$"),
        ("--network x", "is named as module:function"),
        ("--network x:y --level 2", "no interval at 2.0; choose"),
        ("--network no_such_module:x", "gives no network: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(monkeypatch, given, fault):
    from typer.testing import CliRunner

    from zcp.cli import app

    def load(*_):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(artefacts, "read", load)
    found = CliRunner().invoke(app, ["predict", *given.split()])
    assert isinstance(found.exception, InputError) and re.search(fault, str(found.exception))


def test_command_line(rows, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from zcp.cli import app

    write(make_artefact(rows, name="GreenFactory-Fast"), tmp_path)
    for reader in (artefacts.read, cards.find_card):
        monkeypatch.setattr(reader, "__defaults__", ("test", tmp_path))
    call = ["predict", "--space", "tss", "--arch", ARCH, "--dataset", "cifar10", "--fast"]
    found = CliRunner().invoke(app, call)
    assert found.exit_code == 0, found.output
    told = dict(line.split(maxsplit=1) for line in found.output.splitlines() if ":" not in line[:12])
    assert ARCH in told["network"] and told["dataset"] == "cifar10" and "test accuracy" in told["target"]
    assert "GreenFactoryFast (extra trees), fitted on 120 rows of made-up" in told["model"]
    assert {"accuracy", "interval", "fitted", "params", "naswot"} <= set(told)
    (tmp_path / "module_of_a_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    own = ["predict", "--network", "module_of_a_test:build", "--dataset", "cifar10", "--fast"]
    found = CliRunner().invoke(app, own)
    assert found.exit_code == 0 and "network         module_of_a_test:build" in found.output
    own[2] = "module_of_a_test:ends"
    found = CliRunner().invoke(app, own)
    assert isinstance(found.exception, InputError) and found.output == ""  # status 2 by `zcp.cli.main`

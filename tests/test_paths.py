"""Where a bare name lies: in ZCP_HOME, else in the checkout, else in the working folder."""

from pathlib import Path

import pytest

from zcp import paths
from zcp.collect.parts import scores_path
from zcp.data.downloads import downloads
from zcp.errors import InputError


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """As if the code lay in an environment, with folders there that an old version may have made."""
    root = tmp_path / "lib"
    (root / "data/scores/mine").mkdir(parents=True)
    monkeypatch.setattr(paths, "BOOK", root / "book")
    monkeypatch.setattr("zcp.collect.parts.PROJECT", root)
    monkeypatch.delenv("ZCP_HOME", raising=False)
    monkeypatch.delenv("ZCP_DATA", raising=False)


def test_in_a_checkout_it_is_the_checkout(monkeypatch):
    monkeypatch.delenv("ZCP_HOME", raising=False)
    assert paths.home() == paths.PROJECT and paths.is_checkout()
    assert scores_path("nats-b8") == paths.PROJECT / "data/scores/nats-b8"
    assert downloads() == paths.PROJECT / "data/downloads"


def test_an_installation_is_never_written_into(installed):
    assert scores_path("mine") == Path("data/scores/mine") and downloads() == Path("data/downloads")
    assert paths.data_folder() is None


def test_the_home_that_is_named_comes_first_and_deposits_are_found(monkeypatch, tmp_path):
    monkeypatch.setenv("ZCP_HOME", str(tmp_path))
    own = tmp_path / "data/scores"
    assert scores_path("mine") == own / "mine" and downloads() == tmp_path / "data/downloads"
    assert scores_path("nats-b8") == paths.PROJECT / "data/scores/nats-b8"
    (own / "nats-b8").mkdir(parents=True)
    assert scores_path("nats-b8") == own / "nats-b8"


@pytest.mark.parametrize("path", [".", "..", "./mine", "a/b", Path("mine")])
def test_a_path_is_a_path(monkeypatch, tmp_path, path):
    monkeypatch.setenv("ZCP_HOME", str(tmp_path))
    assert scores_path(path) == Path(path)


def test_an_empty_name_is_refused():
    with pytest.raises(InputError, match="a collection needs a name, or the path of a folder"):
        scores_path("")


@pytest.mark.parametrize("named", [__file__, "/nowhere/at/all", "~nobody_of_this_name/x", "x" * 5000])
def test_a_home_that_is_no_folder_is_refused(monkeypatch, named):
    monkeypatch.setenv("ZCP_HOME", named)
    with pytest.raises(InputError, match=r"ZCP_HOME names .* which is not a folder; correct it or unset it"):
        paths.home()


@pytest.mark.parametrize("name", ["x" * 5000, "x\0y", "é" * 300])
def test_no_name_is_too_long_to_be_looked_for(monkeypatch, tmp_path, name):
    monkeypatch.setenv("ZCP_HOME", str(tmp_path))
    path = scores_path(name)
    assert not paths.is_folder(path) and not paths.is_file(path)


def test_how_a_model_comes_back_fits_the_installation(installed):
    assert "pip install" in paths.refit() and "zcp run" not in paths.refit()


def test_the_study_needs_a_checkout(installed):
    with pytest.raises(InputError, match=r"zcp run works on the study, .* clone the repository"):
        paths.require_checkout("zcp run")

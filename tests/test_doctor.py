import pytest

from zcp import doctor, optional
from zcp.errors import InputError


def test_it_fits_on_a_screen_and_names_everything():
    lines = list(doctor.report())
    names = [line[:19].strip() for line in lines]
    assert len(lines) <= 24 and names == [*doctor.FACTS, "", *doctor.NEEDS]
    assert all(line[19:].strip() for line in lines if line)


def test_what_is_missing_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setattr(optional, "find_spec", lambda name: None)
    assert doctor.lack("score, collect") == ""
    assert doctor.lack("predict") == "lacks pydantic, sklearn, skops; run: pip install 'zcp-nas[predict]'"
    assert doctor.lack("download") == "lacks pooch; run: pip install 'pooch'"
    assert doctor.lack("run, study, book").endswith("run: pip install 'zcp-nas[study]'")


def test_without_a_checkout_the_study_needs_one(monkeypatch):
    monkeypatch.setattr(doctor, "is_checkout", lambda: False)
    assert doctor.lack("run, study, book").startswith("a clone of the repository is needed")


@pytest.mark.parametrize("variable", ["ZCP_HOME", "ZCP_DATA"])
def test_a_wrong_setting_is_a_line_and_not_an_error(monkeypatch, variable):
    monkeypatch.setenv(variable, __file__)
    assert any(f"{variable} names" in line for line in doctor.report())


def test_damaged_images_are_told(monkeypatch):
    def load(dataset):
        raise InputError(f"/x/{dataset}.npz is damaged or another version: its SHA-256 is 0")

    monkeypatch.setattr(doctor, "load_images", load)
    assert "/x/cifar100.npz is damaged or another version;" in "\n".join(doctor.report())

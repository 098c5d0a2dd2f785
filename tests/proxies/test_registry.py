import pytest

from zcp import InputError, get_proxy, list_proxies, proxy
from zcp.proxies.registry import REGISTRY
from zcp.statistics.initialisation import INITIALISATIONS


@pytest.mark.parametrize("name", list_proxies())
def test_facts_of_every_proxy(name):
    entry = get_proxy(name)
    assert entry.name == name == entry.function.__name__
    assert name == name.lower() or name.startswith("GreenMachine")
    assert entry.init in {"none", *INITIALISATIONS}
    assert entry.source
    assert entry.summary.rstrip().endswith((".", "`", "$")) or len(entry.summary) > 20
    assert entry.function.__doc__


def test_patterns():
    assert "grad_norm" in list_proxies("grad*")
    assert list_proxies("grad_nor?") == ["grad_norm"]
    assert list_proxies("GRAD_NORM") == []
    assert list_proxies("nothing*") == []
    assert list_proxies() == [*REGISTRY]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("grad_nrom", "did you mean grad_norm"),
        ("sinflow", "synflow"),
        ("zicco", "zico"),
        ("xyzzy", "choose of"),
    ],
)
def test_unknown_proxy_lists_the_near_ones(name, near):
    with pytest.raises(InputError, match=f"unknown proxy '{name}'.*{near}"):
        get_proxy(name)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'params' is registered already"):

        @proxy(init="none", source="x", data=False, labels=False)
        def params(s):
            return 0.0


def test_a_decorator_without_parentheses_is_told():
    with pytest.raises(InputError, match=r"write @zcp.proxy\(\)"):

        @proxy
        def bare(s):
            return 0.0


def test_registering_adds_a_row_and_returns_the_function():
    try:

        @proxy(init="default", source="someone2026", data=True, labels=False, larger_is_better=False)
        def brand_new(s):
            """Twice the number of samples."""
            return 2.0 * len(s.batches[0][0])

        entry = get_proxy("brand_new")
        assert entry.function is brand_new
        assert (entry.summary, entry.larger_is_better, entry.second_order) == (
            "Twice the number of samples.",
            False,
            False,
        )
    finally:
        REGISTRY.pop("brand_new", None)

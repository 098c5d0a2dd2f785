"""Everything that reads what a user typed or wrote: it refuses in one line, or succeeds."""

import json
from pathlib import Path

import pytest
from ensembles import make_artefact, make_rows
from hostile import answer, changed, damaged, numbers, texts, values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zcp import golden
from zcp.collect.order import parse_shard, read_indices
from zcp.collect.settings import Origin, Settings, choose_settings
from zcp.data.batches import gaussian_batches
from zcp.data.checksums import verify
from zcp.ensemble.artefacts import write
from zcp.ensemble.cards import check_card
from zcp.formulas import Program, parse, read_formulas
from zcp.paths import NOTEBOOKS, named_folder
from zcp.spaces import ALL_SPACES, get_space
from zcp.spaces.base import index_or_string
from zcp.statistics.formula_layers import FEATURES
from zcp.study.parameters import check_parameters

in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
BUILT_IN = ("tss", "sss", "transnas", "darts")
FORMULAS = [*read_formulas("greenmachine").values(), "normalize(normalize(pass_wt))", "logdet(random_grad)"]
SETTINGS = Origin(Settings(("params", "zen"), images={"cifar10": "0" * 64}, versions={"zen": 2})).to_json()


@pytest.mark.parametrize("space", BUILT_IN)
@given(st.data())
def test_architectures(space, data):
    facts = ALL_SPACES[space]
    valid = st.integers(0, facts.size - 1).map(facts.arch)
    text = data.draw(st.one_of(texts, damaged(valid)))
    index = answer(facts.index, text)
    if index is not None:
        assert facts.index(facts.arch(index)) == index
    answer(facts.resolve, index_or_string(text))


@given(st.one_of(texts, damaged(st.sampled_from(FORMULAS))))
def test_formulas(text):
    tree = answer(parse, text, FEATURES)
    if tree is not None:
        shapes = dict.fromkeys(tree.features, (4, 8, 6, 6))
        answer(Program([tree]).plan, shapes)


@given(st.one_of(texts, damaged(st.just("2/8"))))
def test_shards(text):
    found = answer(parse_shard, text)
    assert found is None or 1 <= found[0] <= found[1]


@in_a_folder
@given(st.lists(st.one_of(texts, damaged(st.sampled_from(["sss 3", "tss 8", "sss 8:8:8:8:8"]))), max_size=4))
def test_lists_of_architectures(tmp_path, lines):
    file = tmp_path / "indices.txt"
    file.write_bytes("\n".join(lines).encode(errors="surrogatepass"))
    found = answer(read_indices, file, ["sss", "tss"]) or {}
    assert all(0 <= index < get_space(space).size for space, indices in found.items() for index in indices)


@given(texts)
def test_folders(text):
    found = answer(named_folder, text, "ZCP_DATA")
    assert found is None or found.is_dir()


@in_a_folder
@given(st.one_of(texts, damaged(st.just(f"{'0' * 64}  file\n{'1' * 64} *other\n"))))
def test_lists_of_checksums(tmp_path, text):
    (tmp_path / "file").write_text("x")
    (tmp_path / "SHA256SUMS").write_bytes(text.encode(errors="surrogatepass"))
    assert answer(verify, tmp_path, "file") is None


@given(st.sampled_from(["cifar10", "ninapro"]), numbers, numbers)
def test_sizes_of_batches(dataset, size, count):
    small = [value for value in (size, count) if isinstance(value, int)]
    if len(small) == 2 and 0 < size * count < 10**6:
        size, count = size % 8, count % 4
    answer(gaussian_batches, dataset, size, count=count)


@given(st.one_of(st.integers(), st.sampled_from([1, 2, 10**12])), st.integers(), texts)
def test_settings_of_a_collection(batch, seed, inputs):
    answer(choose_settings, ["cifar10"], ["params"], batch, seed, "gaussian")
    answer(choose_settings, ["cifar10"], [inputs], 4, seed, inputs)


@given(st.one_of(values, changed(SETTINGS)))
def test_settings_that_were_written(told):
    origin = answer(Origin.from_json, told)
    if origin is not None:
        assert origin.settings.batch >= 2 and origin.settings.proxies
        answer(origin.joined, Origin.from_json(SETTINGS), ("one", "other"))


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zcp.ensemble.candidates.TREES", 10)
        path = write(make_artefact(make_rows()), tmp_path_factory.mktemp("models"))
    return json.loads(path.read_text())


@settings(max_examples=300)
@given(st.data())
def test_cards(card, data):
    told = data.draw(st.one_of(values, changed(card)))
    found = answer(check_card, told, Path("card.json"))
    assert found is None or told == card


@given(
    st.dictionaries(st.sampled_from(["profile", "target", "seeds", "scores", "x"]), st.one_of(texts, values))
)
def test_parameters_of_sections(given_values):
    answer(check_parameters, NOTEBOOKS / "11_prediction.ipynb", given_values)


GOLDEN = {"archs": {"a": {"space": "sss", "spec": "8:8:8:8:8"}}, "values": {"a": {"moon": {"float64": 1.0}}}}


@in_a_folder
@given(st.one_of(values, changed(GOLDEN)))
def test_golden_files(tmp_path, content):
    file = tmp_path / "golden.json"
    file.write_text(json.dumps(content))
    answer(lambda: list(golden.check(file)))

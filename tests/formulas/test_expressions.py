"""The expression language: parsing, errors that show the place, operators, sharing."""

import functools
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.greenmachine import OPERATORS as PLAIN

from zcp import InputError
from zcp.formulas import OPERATORS, Evaluation, Expression, Program, parse, read_formulas
from zcp.formulas.evaluator import joined, leading
from zcp.formulas.identities import simplified
from zcp.formulas.program import check_work
from zcp.formulas.views import rewrite
from zcp.statistics.eznas_triples import FEATURES as TRIPLE_FEATURES
from zcp.statistics.formula_layers import FEATURES

NAMES = {"a", "b", "c"}


def evaluate(texts, **features):
    """Return the means of formulas over tensors, and the evaluation."""
    program = Program([parse(text, NAMES) for text in texts])
    shapes = {name: tuple(value.shape) for name, value in features.items()}
    run = Evaluation(
        program, shapes, torch.empty(0, dtype=torch.float64), lambda _, shape: torch.zeros(shape)
    )
    for name, value in features.items():
        run.offer(name, value)
    return run.results, run


@pytest.mark.parametrize("label", read_formulas("greenmachine"))
def test_reads_the_printed_formulas(label):
    tree = parse(read_formulas("greenmachine")[label], FEATURES)
    assert parse(str(tree), FEATURES) == tree
    assert tree.features <= set(FEATURES)


def test_the_printed_formulas_are_ten():
    assert [label[-1] for label in read_formulas("greenmachine")] == list("ABCDEFGHIJ")


@pytest.mark.parametrize("text", read_formulas("eznas").values())
def test_reads_the_programs_of_eznas(text):
    parse(text, TRIPLE_FEATURES)


def test_brackets_and_blanks_do_not_matter():
    assert parse("((sum( (a),\n b)))", NAMES) == parse("sum(a,b)", NAMES)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "found the end", 0),
        ("sum(a", "found the end", 5),
        ("sum(a, b", "',' among the arguments of 'sum'", 8),
        ("sum(a b)", "found 'b'", 6),
        ("sum(a,, b)", "found ','", 6),
        ("sum(a, b))", "nothing may follow", 9),
        ("sum(a)", "takes 2 argument(s), not 1", 0),
        ("abs(a, b)", "takes 1 argument(s), not 2", 0),
        ("abs()", "found ')'", 4),
        ("(a", "to close a group", 2),
        ("abs(3)", "found '3'", 4),
        ("abs(d)", "unknown feature 'd'", 4),
        ("abs", "needs its arguments in brackets", 0),
        ("a(b)", "is a feature", 0),
        ("absolute(a)", "unknown operator 'absolute'", 0),
        ("sum(a, sofmax(b))", "did you mean softmax", 7),
        ("sum(a, é)", "found 'é'", 7),
    ],
)
def test_errors_point_at_the_place(text, message, column):
    with pytest.raises(InputError) as caught:
        parse(text, NAMES)
    told, _, place = str(caught.value).rpartition("; ")
    assert message in told
    assert place == f"at character {column + 1}, after {text[:column].strip()!r}"


def test_errors_are_one_line_whatever_the_formula():
    with pytest.raises(InputError, match=r"^unknown feature 'd'; .*; at character 9, after 'sum\( b,'$"):
        parse("sum(\nb, d)", NAMES)


def test_unknown_feature_lists_the_near_ones():
    with pytest.raises(InputError, match=r"did you mean .*pass_noise_grad"):
        parse("abs(pas_noise_grad)", FEATURES)


def test_too_deep():
    with pytest.raises(InputError, match="nested 100 deep"):
        parse("abs(" * 500 + "a" + ")" * 500, NAMES)


def nested(operator, depth, inner="a"):
    return f"{operator}(" * depth + inner + ")" * depth


def test_what_a_formula_repeats_is_shared_and_costs_once():
    """Today's limit of depth, at three copies a level, would be 3 ** 100 nodes."""
    tree = parse(nested("normalize", 100), NAMES)
    assert sum(1 for _ in tree.walk()) == 301 and len(Program([tree]).nodes) == 301
    assert tree is parse(nested("normalize", 100), NAMES) and pickle.loads(pickle.dumps(tree)) is tree  # noqa: S301
    assert len(tree.text) < 2100 and tree.text != parse(nested("normalize", 99), NAMES).text
    (deep, shallow), run = evaluate(
        [f"l1_norm({nested('normalize', n)})" for n in (99, 1)], a=torch.arange(9.0)
    )
    assert deep == pytest.approx(shallow) and not run._values
    (view,) = rewrite(Program([tree]), {"a": (2, 3, 4, 4)})
    assert view.features == {"a@rows"}


def test_too_many_parts():
    chains = [nested(name, 90) for name in ("abs", "exp", "log", "relu", "sign", "round", "sigmoid", "power")]
    text = functools.reduce(lambda left, right: f"sum({left}, {right})", chains)
    assert len(list(parse(text, NAMES).walk())) == 8 * 90 + 8
    both = f"sum({text}, {text.replace('a)', 'b)')})"
    with pytest.raises(InputError, match="may have 1000 different parts at most, not 1457"):
        parse(both, NAMES)


@pytest.mark.parametrize("text", ["a" * 10**7, "abs(" + "é" * 9000 + ")", "sum(a, " * 300, "(" * 9999])
def test_the_length_of_a_formula_and_of_what_is_said_about_it_are_limited(text):
    with pytest.raises(InputError) as caught:
        parse(text, NAMES)
    assert len(str(caught.value)) < 500


def test_what_needs_too_much_memory_is_refused_before_it_is_made():
    wide = "mat_mul(transpose(mat_mul(a, a)), mat_mul(a, a))"
    for text in (f"abs({wide})", "eigenvalue_ratio(transpose(mat_mul(a, a)))"):
        program = Program([parse(text, NAMES)])
        assert program.plan({"a": (8, 8, 16, 16)})
        with pytest.raises(InputError, match=r"need \d+ elements for one layer, at most 67108864 are"):
            program.plan({"a": (64, 64, 32, 32)})
    # What is no larger than a feature may be as large as that is.
    assert Program([parse("normalize(a)", NAMES)]).plan({"a": (512, 64, 112, 112)})


def test_what_takes_too_long_is_refused_before_it_is_computed():
    square = "mat_mul(transpose(mat_mul(a, a)), mat_mul(a, a))"
    shapes = {"a": (32, 4, 16, 16)}
    for text in (f"logdet({square})", f"general_eigenvalue_ratio({square})"):
        program = Program([parse(text, NAMES)])
        plan = program.plan(shapes)
        with pytest.raises(InputError, match=r"costs \d+ element operations in one layer, .* allowed:"):
            check_work(plan, program.operators, program.nodes, 32 * 4 * 16 * 16, 1)
    for text in (nested("normalize", 100), "logdet(a)", "eigenvalue_ratio(a)", "mat_mul(a, transpose(a))"):
        program = Program([parse(text, NAMES)])
        check_work(program.plan(shapes), program.operators, program.nodes, 32 * 4 * 16 * 16, 1)


def test_what_is_shared_is_simplified_once():
    """Without sharing these were 3 ** 99 calls."""
    tree = simplified(parse(f"frobenius_norm({nested('normalize', 99)})", NAMES))
    assert tree.name == "standardised_norm" and len(list(tree.walk())) == 3 * 98 + 1 + 2


def test_not_text():
    with pytest.raises(InputError, match="must be text"):
        parse(None, NAMES)  # type: ignore[arg-type]


SHAPES = [(), (7,), (3, 4), (2, 3, 4), (2, 3, 4, 4), (3, 2, 2, 5)]


def tensors(shape, seed):
    """Random values of a few levels, so that comparisons meet equal ones."""
    source = torch.Generator().manual_seed(seed)
    return torch.randint(-4, 5, shape, generator=source).double() / 2 + 0.01 * (seed % 2)


@pytest.mark.parametrize("name", PLAIN)
def test_operators_equal_the_plain_ones(name):
    """On all shapes, whole and cut to the first elements that a comparison with a short tensor needs."""
    short = tensors((5,), 9)
    for x in SHAPES:
        for y in SHAPES if name in OPERATORS and OPERATORS[name].arity == 2 else [None]:
            a, b = tensors(x, 1), None if y is None else tensors(y, 4)
            text = f"{name}(a)" if b is None else f"{name}(a, b)"
            expected = PLAIN[name](a) if b is None else PLAIN[name](a, b)
            cut = PLAIN["max"](expected, short)
            given_ = {"a": a} if b is None else {"a": a, "b": b}
            (whole, first), _ = evaluate([text, f"max({text}, c)"], **given_, c=short)
            (alone,), _ = evaluate([f"max({text}, c)"], **given_, c=short)
            for found, wanted in ((whole, expected), (first, cut), (alone, cut)):
                wanted = float(wanted.mean())
                assert found == pytest.approx(wanted, rel=1e-12, nan_ok=True), (x, y)


def test_operators_of_eznas_alone():
    a = torch.tensor([[-1.0, 0.0], [2.0, 3.0]], dtype=torch.float64)
    texts = ["abslog(relu(a))", "signed_log(a)", "logdet(a)", "hamming_distance(a, b)", "exp(zeros_like(a))"]
    (abslog, signed, logdet, hamming, one), _ = evaluate(texts, a=a, b=-a)
    assert abslog == pytest.approx((math.log(2) + math.log(3)) / 4)
    assert signed == -math.inf
    assert logdet == 0.0
    assert hamming == 3
    assert one == 1.0
    (ratio, general, raw), _ = evaluate(
        ["eigenvalue_ratio(a)", "general_eigenvalue_ratio(a)", "kl_div_raw(a, abs(a))"], a=a
    )
    values = torch.linalg.eigvalsh(2 * a @ a.T)
    assert ratio == pytest.approx(float(values[1] / values[0]))
    assert general == pytest.approx(ratio)
    b = a.abs()
    assert raw == pytest.approx(float((torch.xlogy(b, b) - b * a).sum() / 2))


@pytest.mark.parametrize("operator", ["eigenvalue_ratio", "general_eigenvalue_ratio"])
def test_layers_that_overflow_have_no_eigenvalues(operator):
    layers = tensors((2, 12), 1)
    layers[0, 5] = 1e300
    compute = OPERATORS[operator].compute
    found = compute([layers], [(3, 4)], 1, None)
    assert math.isnan(found[0])
    assert torch.equal(found[1:], compute([layers[1:]], [(3, 4)], 1, None))


def test_singular_matrices_of_whole_numbers_have_determinant_zero():
    source = torch.Generator().manual_seed(5)
    signs = torch.randn(50, 32, 32, generator=source, dtype=torch.float64).sign()
    signs[:, -1] = signs[:, 0]
    (found, literal), _ = evaluate(
        ["sigmoid(logdet(a))", "sigmoid(signed_log(determinant_literal(a)))"], a=signs
    )
    assert found == 0.0
    assert literal >= 0.0


def test_determinants_of_whole_and_other_matrices_side_by_side():
    a = torch.stack([torch.ones(3, 3), torch.eye(3) / 2, torch.full((3, 3), math.nan)]).double()
    found = OPERATORS["determinant"].compute([a.reshape(1, -1)], [(3, 3, 3)], 3, None)
    assert found[0, :2].tolist() == [0.0, 0.125]
    assert math.isnan(found[0, 2])


def test_shared_expressions_are_one_node():
    trees = [parse(text, NAMES) for text in ("abs(relu(a))", "power(relu(a))", "relu(a)")]
    assert len(Program(trees).nodes) == 4


def test_reads_no_more_than_is_needed():
    program = Program([parse("frobenius_norm(max(a, b))", NAMES), parse("numel(c)", NAMES)])
    run = Evaluation(
        program, {"a": (64, 4), "b": (3,), "c": (5,)}, torch.empty(0), lambda _, s: torch.zeros(s)
    )
    assert [run.needs(name) for name in "abc"] == [3, 3, 0]
    assert run.results[1] == 5.0


def test_lets_go_of_what_nobody_reads():
    program = Program([parse("sum(frobenius_norm(a), frobenius_norm(min(a, sum(b, c))))", NAMES)])
    run = Evaluation(
        program, {"a": (64, 4), "b": (3,), "c": (3,)}, torch.empty(0), lambda _, s: torch.zeros(s)
    )
    run.offer("a", torch.ones(64, 4))
    assert sorted(value.shape[1] for value in run._values.values()) == [1, 3]
    assert sorted(value.untyped_storage().nbytes() for value in run._values.values()) == [4, 12]
    run.offer("b", torch.ones(3))
    run.offer("c", torch.ones(3))
    assert not run._values
    assert run.results == [pytest.approx(16 + math.sqrt(3))]


def test_missing_feature_gives_nan():
    (missing, there), _ = evaluate(["abs(a)", "abs(b)"], b=torch.ones(2))
    assert math.isnan(missing)
    assert there == 1.0


def test_gaussian_init_depends_on_its_text_alone():
    drawn = []

    def normal(text, shape):
        drawn.append((text, shape))
        return torch.ones(shape)

    program = Program([parse("sum(gaussian_init(abs(a)), gaussian_init(abs(a)))", NAMES)])
    run = Evaluation(program, {"a": (2, 3)}, torch.empty(0), normal)
    assert run.results == [2.0]
    assert drawn == [("gaussian_init(abs(a))", (2, 3))]


names = st.sampled_from(sorted(NAMES))
trees = st.recursive(
    names.map(Expression),
    lambda inner: st.sampled_from(sorted(OPERATORS)).flatmap(
        lambda name: st.tuples(*[inner] * OPERATORS[name].arity).map(lambda args: Expression(name, args))
    ),
    max_leaves=8,
)


@given(trees)
def test_what_is_printed_is_read_back(tree):
    assert parse(str(tree), NAMES) == tree


@given(trees, st.lists(st.sampled_from(SHAPES), min_size=3, max_size=3))
def test_any_formula_on_any_shapes_gives_a_number(tree, shapes):
    features = {
        name: tensors(shape, seed) for seed, (name, shape) in enumerate(zip("abc", shapes, strict=True))
    }
    (value,), run = evaluate([str(tree)], **features)
    assert isinstance(value, float)
    assert not run._values


@pytest.mark.parametrize("label", read_formulas("greenmachine"))
def test_layers_apart_are_those_that_come_together(label, monkeypatch):
    program = Program([parse(read_formulas("greenmachine")[label], FEATURES)])
    kinds = {"wt": (4, 4, 3, 3), "grad": (4, 4, 3, 3)}
    shapes = {name: kinds.get(FEATURES[name][1], (6, 4, 5, 5)) for name in program.features}

    def means(smallest):
        monkeypatch.setattr("zcp.formulas.evaluator.APART", smallest)
        normals = [lambda _, shape: torch.ones(shape)] * 2
        run = Evaluation(program, shapes, torch.empty(0, dtype=torch.float64), *normals)
        for seed, name in enumerate(sorted(name for name in shapes if run.needs(name))):
            layers = [tensors(shapes[name], seed + 100 * layer) for layer in range(2)]
            run.take(name, joined([leading(each, run.needs(name))[None] for each in layers]))
        assert not run._values
        return [value for (value,) in run.by_layer()]

    together = means(math.inf)
    for smallest in (1, 50):
        assert means(smallest) == pytest.approx(together, rel=1e-9)


def test_what_only_the_host_computes_is_held_until_then(monkeypatch):
    """Determinants on a GPU: the rest goes on, and the host begins where it stopped."""
    texts = ["frobenius_norm(sigmoid(logdet(sign(a))))", "sum(determinant(a), eigenvalue_ratio(b))", "abs(b)"]
    program = Program([parse(text, {"a", "b"}) for text in texts])
    a, b = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 3, 5).double()
    shapes = {"a": (3, 4, 4), "b": (3, 5)}

    def run():
        found = Evaluation(program, shapes, torch.empty(0, dtype=torch.float64), *[None] * 2)
        found.offer("a", *a)
        found.offer("b", *b)
        return found

    expected = run().by_layer()
    monkeypatch.setattr(Evaluation, "_waits", lambda self, index: _is_held(self, index))
    found = run()
    assert len(found._means) == 1
    assert len(found._held) == 3
    pending = [tensor.clone() for tensor in found.pending]
    monkeypatch.setattr(Evaluation, "_waits", lambda self, index: False)
    assert found.resume(pending).by_layer() == expected
    assert not found._values


def _is_held(evaluation, index):
    operator = evaluation.program.operators[index]
    return operator is not None and OPERATORS[operator].host

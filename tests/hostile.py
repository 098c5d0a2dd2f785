"""Input as it should not be: what is wrong with it is told in one line, or it is used as it is."""

import copy

from hypothesis import strategies as st

from zcp.errors import LONGEST, InputError


def answer(function, *arguments, **named):
    """Return what a function gives, or None where it refuses its input as it should."""
    try:
        return function(*arguments, **named)
    except InputError as error:
        assert len(str(error)) <= LONGEST + 5 and "\n" not in str(error), str(error)
        return None


CHARACTERS = "²٣()[]{},:|+#/é'\"\\_~\x00\n\ud800"
WORDS = [
    "-1",
    "1e400",
    "nan",
    "inf",
    "0x10",
    "None",
    "True",
    "~nouser",
    "../..",
    "  ",
    "9" * 5000,
    "a" * 5000,
]
odd_words = st.sampled_from([*CHARACTERS, *WORDS])
texts = st.one_of(st.text(max_size=50), odd_words, st.lists(odd_words, max_size=5).map("".join))


@st.composite
def damaged(draw, valid):
    """A text that is nearly valid: parts are taken out, put in, doubled or moved."""
    text = draw(valid)
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.integers(0, len(text))) for _ in range(2))
        middle = draw(
            st.one_of(st.just(""), st.just(text[start:end] * 2), texts, st.just(text[start:end][::-1]))
        )
        text = text[:start] + middle + text[end:]
    return text


numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([10**30, -1, 0, 2**63, 1e400, 99_999_999_999])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)


def places(content, path=()):
    """Return the path of every value within a JSON document."""
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def with_value(content, path, value):
    """Return a JSON document with another value at a path."""
    if not path:
        return value
    changed = copy.deepcopy(content)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@st.composite
def changed(draw, content):
    """A JSON document in which one value is another, or is not there, or one is there that should not be."""
    path = draw(st.sampled_from(places(content)))
    document = with_value(content, path, draw(values))
    if isinstance(document, dict) and draw(st.booleans()):
        document = dict(document)
        document.pop(draw(st.sampled_from(sorted(map(str, document)))), None) if document else None
        document |= draw(st.dictionaries(texts, values, max_size=1))
    return document

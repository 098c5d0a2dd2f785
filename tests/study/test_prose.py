"""Numbers in prose come from deposits: they are glued, or guarded by `pages.claim`, and never typed.

What may be typed is listed here: names, references, definitions of a protocol, and what a cited work says, in
the clause that cites it.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from zcp.paths import NOTEBOOKS, PROJECT

PAGES = [*sorted(NOTEBOOKS.glob("*.ipynb")), *sorted((PROJECT / "book").glob("*.md")), PROJECT / "README.md"]
cases = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
#: What is no prose, and what stands for it; the order matters.
SKIPPED = {
    r"(?ms)^ *(`{3,})(\w+|\{math\}) *\n.*?^ *\1": "",  # listings and formulas
    r"(?s)<!-- from (\w+) -->.*?<!-- end -->": "",  # written by code, see `test_marks`
    r"(?m)^ *(`{3,}|:{3,})(\{[\w:]+\})?": "",  # fences of directives
    r"(?m)^ *:\w+: .*$": "",  # and their options
    r"\{:[^}]*\}": "",  # formats
    r"\{cite\}`[^`]*`": "¤",
    r"\{[\w:]+\}`[^`]*`": "",  # glue, references
    r"`[^`]*`": "",
    r"\$\$.*?\$\$|\$[^$]*\$": "",
    r"\]\([^)]*\)": "]",
    r"(?m)^#+ \d+\. |^\d+\. ": "",  # numbered headings and lists
}
NAMES = [
    "CIFAR-100?", "ImageNet16-120", r"(Trans)?NAS-Bench-\d0[01]", "NAS-Bench-360", "ResNet-18",
    "H100", "A6000", r"TSS \d+", r"SSS [\d:]+\d", r"Python 3\.\d+(, 3\.\d+)*( (or|and) 3\.\d+)?",
    r"(Table|Figure|[Ss]ection)s? \d+[a-z]?((, | and | to )\d+)*",
]  # fmt: skip
#: Definitions and settings of a protocol: they say what was done, not what was found.
SETTINGS = [
    r"9[05] percent( bootstrap)? intervals?", "12 epochs", "three datasets", "six cells", "six edges",
    "five operations", r"float\d\d", r"(epoch|seed) [01]",
]  # fmt: skip
WORDS = (
    "three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundreds? thousands? millions? "
    "dozens?"
)
NUMBER = re.compile(rf"(?<!\w)[-+−±]?\.?\d[\d.,]*\w*|\b(?:{'|'.join(WORDS.split())})\b", re.IGNORECASE)
CLAUSE = re.compile(r"[;(|]|[:,](?!\d)|\)|[.?!](?= |$)")
SEEN = re.compile(r"\bSee (that|how|which)\b")


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where, and a text of the page: Markdown, and the words that its code puts on it."""
    if path.suffix == ".md":
        yield path.name, path.read_text(encoding="utf-8")
        return
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield cell["id"], source
        else:
            yield from ((cell["id"], text) for text in written(source))


def written(source: str) -> Iterator[str]:
    """Yield the literal texts that a cell gives to `pages.claim` and `pages.show_text`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pages.claim", "pages.show_text"):
            for argument in node.args[1:]:
                forms = {id(c) for f in ast.walk(argument) if isinstance(f, ast.FormattedValue)
                         for c in ast.walk(f)}  # fmt: skip
                for part in ast.walk(argument):
                    literal = isinstance(part, ast.Constant) and isinstance(part.value, str)
                    if literal and id(part) not in forms:
                        yield part.value


def numbers(text: str) -> list[str]:
    """Return the numbers that somebody typed into a text, each with its clause."""
    for pattern, instead in SKIPPED.items():
        text = re.sub(pattern, instead, text)
    found = []
    for paragraph in (" ".join(part.split()) for part in text.split("\n\n")):
        for pattern in [*NAMES, *SETTINGS]:
            paragraph = re.sub(rf"\b{pattern}\b", "", paragraph)
        clauses = [clause for clause in CLAUSE.split(paragraph) if "¤" not in clause]
        found += [f"{number} in: {clause}" for clause in clauses for number in NUMBER.findall(clause)]
    return found


@cases
def test_no_number_is_typed_into_prose(path):
    typed = [f"{where}: {number}" for where, text in texts(path) for number in numbers(text)]
    told = "\n  ".join(typed)
    assert not typed, f"{path.name}: glue these numbers, or allow a definition in {__file__}:\n  {told}"


@cases
def test_captions_say_what_to_look_at_and_not_what_is_seen(path):
    seen = [where for where, text in texts(path) if SEEN.search(text)]
    assert not seen, f"{path.name}: captions that say what is seen, in {', '.join(seen)}"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_claim_hangs_on_a_condition(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "pages.claim":
                    assert not isinstance(node.args[1], ast.Constant), ast.unparse(node)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_page_ends_with_what_it_cannot_say(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    last = "".join("".join(cell["source"]) for cell in cells[-2:-1] if cell["cell_type"] == "markdown")
    assert "**What this cannot say.**" in last, f"{path.name}: no such paragraph before the provenance"


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("It reaches .82 there.", ".82"), ("a mean of 62 queries", "62"), ("ten times more", "ten"),
        ("reaches {glue:md}`x` and +.016", "+.016"), ("costs $2^3$ `4` [5](http://6)", "5"),
        ("as {cite}`a2020` has 5, ours 6", "6"), ("```{table}\n:name: t3\nn = 9\n```", "9"),
        ("**Answer.** Sixteen are", "Sixteen"), ("a share of 12 %", "12"),
    ],
)  # fmt: skip
def test_typed_numbers_are_found(text, typed):
    (found,) = numbers(text)
    assert found.startswith(f"{typed} in: ")


def test_what_may_be_typed_is_not_found():
    allowed = (
        "## 1. On CIFAR-10 and ImageNet16-120\n\nTables 1 to 3 of NAS-Bench-201 with Python 3.11, 3.12 or "
        "3.13: {glue:md}`x4`, where {cite}`a2020` has 0.5; one or two 95 percent intervals after 12 epochs.\n"
        "```bash\nhead -3\n```\n"
    )
    assert numbers(allowed) == []


def test_words_of_code_are_prose_and_formats_are_not():
    source = "pages.claim('a', x > 3, f'about {x:.2f} of 7'); pages.show_number('b', 5, '{:.1f}')"
    assert [found.split()[0] for text in written(source) for found in numbers(text)] == ["7"]

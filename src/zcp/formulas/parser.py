"""From text to tree: `formula = feature | operator(formula, ...) | (formula)`, blanks are free."""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple, NoReturn

from zcp.errors import InputError
from zcp.formulas.operators import DERIVED, OPERATORS
from zcp.formulas.tree import Expression

#: Deeper formulas are refused: they would exhaust Python's own stack.
MAX_DEPTH = 100
#: Characters of a text, and different sub-expressions of a formula; what occurs twice counts once.
MAX_LENGTH, MAX_NODES = 10_000, 1000
#: Characters that an error shows before the place.
BEFORE = 60


class Token(NamedTuple):
    """A name, a bracket, a comma, or the empty text at the end."""

    text: str
    position: int


def parse(text: str, features: Collection[str]) -> Expression:
    """Return the tree of a formula.

    Args:
        text: the formula; operators are the keys of `OPERATORS` and `DERIVED`.
        features: the names that may stand where no operator stands.

    Raises:
        InputError: if the formula is malformed; the message shows the place. Or if it is longer than
            `MAX_LENGTH`, nested deeper than `MAX_DEPTH` or has more than `MAX_NODES` sub-expressions.

    Example:
        >>> str(parse("( softmax(pass_grad) )", {"pass_grad"}))
        'softmax(pass_grad)'
    """
    if not isinstance(text, str):
        raise InputError(f"a formula must be text, not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise InputError(f"a formula may have {MAX_LENGTH} characters at most, not {len(text)}; shorten it")
    tree = _Parser(text, features).formula()
    if (count := sum(1 for _ in tree.walk())) > MAX_NODES:
        raise InputError(f"a formula may have {MAX_NODES} different parts at most, not {count}; simplify it")
    return tree


class _Parser:
    def __init__(self, text: str, features: Collection[str]) -> None:
        self.text, self.features = text, features
        self.tokens = [
            Token(match[0], match.start()) for match in re.finditer(r"[A-Za-z_]\w*|[^\s]", text, re.ASCII)
        ]
        self.tokens.append(Token("", len(text.rstrip())))
        self.next = 0

    def fail(self, message: str, token: Token) -> NoReturn:
        before = " ".join(self.text[max(token.position - BEFORE, 0) : token.position].split())
        raise InputError(f"{message}; at character {token.position + 1}, after {before!r}")

    def take(self) -> Token:
        token = self.tokens[self.next]
        self.next += token.text != ""
        return token

    def expect(self, wanted: str, after: str) -> None:
        token = self.take()
        if token.text != wanted:
            found = repr(token.text) if token.text else "the end"
            self.fail(f"malformed formula: expected {wanted!r} {after}, found {found}", token)

    def formula(self) -> Expression:
        tree = self.expression(0)
        token = self.take()
        if token.text:
            self.fail(f"malformed formula: nothing may follow its end, found {token.text!r}", token)
        return tree

    def expression(self, depth: int) -> Expression:
        token = self.take()
        if depth > MAX_DEPTH:
            self.fail(f"a formula may be nested {MAX_DEPTH} deep at most", token)
        if token.text == "(":
            inner = self.expression(depth + 1)
            self.expect(")", "to close a group")
            return inner
        if not re.match(r"[A-Za-z_]", token.text):
            found = repr(token.text) if token.text else "the end"
            self.fail(f"malformed formula: expected a feature, an operator or '(', found {found}", token)
        if self.tokens[self.next].text == "(":
            return self.application(token, depth)
        if token.text not in self.features:
            if token.text in OPERATORS or token.text in DERIVED:
                self.fail(f"operator {token.text!r} needs its arguments in brackets", token)
            self.fail(f"unknown feature {token.text!r}; {_near(token.text, self.features)}", token)
        return Expression(token.text)

    def application(self, name: Token, depth: int) -> Expression:
        known = [*OPERATORS, *DERIVED]
        if name.text not in known:
            if name.text in self.features:
                self.fail(f"{name.text!r} is a feature and takes no arguments", name)
            self.fail(f"unknown operator {name.text!r}; {_near(name.text, known)}", name)
        self.take()
        arguments = [self.expression(depth + 1)]
        while self.tokens[self.next].text == ",":
            self.take()
            arguments.append(self.expression(depth + 1))
        self.expect(")", f"or ',' among the arguments of {name.text!r}")
        arity = 1 if name.text in DERIVED else OPERATORS[name.text].arity
        if len(arguments) != arity:
            self.fail(f"operator {name.text!r} takes {arity} argument(s), not {len(arguments)}", name)
        if name.text in DERIVED:
            return DERIVED[name.text](arguments[0])
        return Expression(name.text, tuple(arguments))


def _near(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known)
    return f"did you mean {' or '.join(near)}?" if near else f"choose of {', '.join(known)}"

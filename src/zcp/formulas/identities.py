"""Formulas rewritten into others of the same value that read less."""

from zcp.formulas.tree import Expression

#: Operators that give 0 or 1, for NaN, too.
_TESTS = {"less_than", "greater_than", "equal", "heaviside", "greater_than_zero", "less_than_zero"}


def simplified(tree: Expression) -> Expression:
    """Return a formula of the same value.

    * What is 0 or 1 is nowhere below zero.
    * The norm of n values that were brought to mean 0 and deviation 1 is the root of n - 1, if they differ.
    * The deviation of values that are 0 or 1 follows from their mean.

    Example:
        >>> print(simplified(Expression("less_than_zero", (Expression("heaviside", (Expression("a"),)),))))
        zeros_like(heaviside(a))
    """
    found: dict[Expression, Expression] = {}
    for node in tree.walk():  # what is shared is rewritten once
        found[node] = _simplified(node, found)
    return found[tree]


def _simplified(node: Expression, found: dict[Expression, Expression]) -> Expression:
    # Random values are known by the text of their formula, so that it stays.
    if node.arguments is None or node.name == "gaussian_init":
        return node
    arguments = tuple(found[argument] for argument in node.arguments)
    (first, *_), name = arguments, node.name
    if name == "less_than_zero" and first.name in _TESTS:
        return Expression("zeros_like", arguments)
    if name == "deviation" and first.name in _TESTS:
        return Expression("deviation_of_tests", (first, Expression("normalized_sum", (first,))))
    if name == "frobenius_norm" and first.name == "standardise" and first.arguments:
        value, mean, deviation = first.arguments
        if (mean, deviation) == (Expression("normalized_sum", (value,)), Expression("deviation", (value,))):
            return Expression("standardised_norm", (value, Expression("range", (value,))))
    return Expression(name, arguments)

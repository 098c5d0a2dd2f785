"""Proxies that are formulas over the statistics of layers."""

import math

from zcp.errors import InputError, Undefined
from zcp.formulas import Expression, parse
from zcp.proxies.registry import REGISTRY, Function, Proxy
from zcp.statistics.formula_layers import FEATURES, Values
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later


def formula_proxy(
    name: str,
    text: str,
    *,
    init: str = "default",
    source: str = "",
    larger_is_better: bool = True,
    summary: str = "",
) -> Proxy:
    """Return a proxy that is given by a formula, without registering it.

    Its score is the mean over layers of the mean over the elements of the formula's value. Layers without a
    finite value do not count; where there is none the score is NaN.

    Args:
        name: of the proxy.
        text: over the features of `zcp.statistics.formula_layers` and the operators of
            `zcp.formulas.operators`.
        init: weight initialisation, a key of `zcp.statistics.initialisation.INITIALISATIONS`.
        source: citation key.
        larger_is_better: direction in which networks are expected to improve.
        summary: docstring; the formula if empty.

    Raises:
        InputError: if the formula is malformed, or there is a registered proxy of that name.

    Example:
        >>> formula_proxy("active", "frobenius_norm(relu(pass_noise_fwd_output))").data
        False
    """
    if name in REGISTRY:
        raise InputError(
            f"a formula cannot be called {name!r}: there is a proxy of that name; choose another"
        )
    expression = parse(text, FEATURES)
    reads = [FEATURES[feature] for feature in expression.features]
    return Proxy(
        name,
        _scorer(name, expression, summary or f"Mean over layers of {text}"),
        init,
        source,
        data=any(which in ("pass", "pass_perturbation") and kind != "wt" for which, kind in reads),
        labels=any(which != "random" and kind[:3] in ("bwd", "gra") for which, kind in reads),
        larger_is_better=larger_is_better,
        expression=expression,
    )


def _scorer(name: str, expression: Expression, docstring: str) -> Function:
    def score(s: Statistics) -> float | Later[float]:
        return s.later(mean, s.formula_values)

    def mean(found: Values) -> float:
        by_layer = found[expression]
        if isinstance(by_layer, Undefined):
            raise by_layer
        values = [value for value in by_layer if math.isfinite(value)]
        if not values:
            raise Undefined(f"the formula {name!r} has no finite value in any layer")
        return math.fsum(values) / len(values)

    score.__name__ = name
    score.__doc__ = docstring
    return score

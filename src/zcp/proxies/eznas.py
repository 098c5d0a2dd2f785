"""EZNAS: programs over layer statistics that an evolution found (Akhauri et al. 2022)."""

import math

from zcp.errors import Undefined
from zcp.formulas import parse, read_formulas
from zcp.proxies.registry import proxy
from zcp.statistics.eznas_triples import FEATURES, evaluate
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later

#: The programs of the repository, by name; `darts` is the one that its tables show, for all search spaces.
PROGRAMS = read_formulas("eznas")
_LITERAL = "frobenius_norm(sigmoid(signed_log(determinant_literal(sign(inpactgrad_D)))))"


@proxy(init="eznas", source="akhauri2022eznas", data=True, labels=False, version=2)
def eznas(s: Statistics) -> float | Later[float]:
    r"""Mean over layers of $\|\sigma(\log\det\,\mathrm{sign}\partial S/\partial x)\|_F$, S a sum of features.

    S sums the pooled features of the batch, x (B, C, H, W) is what enters a ReLU, convolution, batch norm;
    the determinants are those of its B C square maps of signs, exact: a singular map counts 0, a negative
    determinant 0.5. As in the published code a ReLU that never runs counts as a layer of value 0, and cells
    without a convolution are read in order of execution. Networks without a stem and cells are read by their
    operations (`zcp.statistics.eznas_triples`, ours). A dead network gives 0. Version 1 is
    `eznas_literal`.
    """
    return program_score(s, PROGRAMS["darts"])


@proxy(
    init="eznas",
    source="akhauri2022eznas",
    data=True,
    labels=False,
    optional="eznas as its published code computes it, where rounding decides which determinants are 0",
    older=("eznas", 1),
)
def eznas_literal(s: Statistics) -> float | Later[float]:
    """`eznas` with determinants in floating point, where rounding makes singular maps count 0 or 0.5.

    It is another number on another processor.
    """
    return program_score(s, _LITERAL)


def program_score(s: Statistics, text: str) -> float | Later[float]:
    """Return the mean over triples of a program's value; triples without a finite value do not count.

    The program is over the features of `zcp.statistics.eznas_triples`.

    Raises:
        InputError: if the program is malformed.
        Undefined: if there is no triple with a value, or a determinant is asked of maps that are not square.
    """
    expression = parse(text, FEATURES)
    if any("determinant" in node.name for node in expression.walk()):
        _check_square(s)
    return s.later(_mean, evaluate(s, [expression]))


def _mean(triples: list[list[float]]) -> float:
    values = [value for (value,) in triples if math.isfinite(value)]
    if not values:
        raise Undefined("the program has no finite value for any triple")
    return math.fsum(values) / len(values)


def _check_square(s: Statistics) -> None:
    for call in s.data.intact("activation", "convolution"):
        if call.input.ndim == 4 and call.input.shape[-1] != call.input.shape[-2]:
            shape = tuple(call.input.shape[-2:])
            raise Undefined(f"EZNAS takes determinants of feature maps, and these are not square: {shape}")

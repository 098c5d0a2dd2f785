r"""Training, validation and test rows (70-15-15), and what "stratified" means.

GreenFactory divides its data "into five bins based on test accuracy" and says no more. The reading here:
five bins of equal width over the accuracies of all cells together, each over-sampled to the size of the
largest. It is the one that fits the paper's own Tables 5 and 6: with it the Kendall correlation of the
parameter count rises in TSS from .38/.35/.30 to .42/.42/.33 (12 epochs, complete space; paper .38/.36/.29
to .40/.41/.32) and stays in SSS CIFAR-10 (paper .665 to .661), while bins made in each cell apart would
lift the latter by .16. Over-sampling before the split puts copies of one row on both sides; `stratified`
does that, as the paper's errors suggest, and `stratified_after` over-samples each part on its own.

What the paper splits, rows or networks, it does not say: its 4,915 test networks of the size space are just
15 percent of all 32,768. Both readings are here: `random` and `stratified` split rows, `grouped` and
`stratified_grouped` networks, the latter over-sampled before the split, all copies of a network together.

`isomorphic` keeps cells together that are one network under several names, too (`zcp.spaces.isomorphism`),
and tests one name of each: two names of one network differ by the noise of their trainings alone, some
networks have dozens, and with all of them in one part such pairs are far more frequent than in the space.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit

from zcp.ensemble.examples import Examples
from zcp.errors import InputError, choose
from zcp.spaces.isomorphism import name_classes
from zcp.statistics.seeding import seed_for

Positions = NDArray[np.intp]
BINS = 5
HELD_OUT = 0.15  # share of the validation rows, and of the test rows
#: Test rows for each row of training and validation, and for each of training alone.
TEST_TO_SEEN, TEST_TO_TRAINING = HELD_OUT / (1 - HELD_OUT), HELD_OUT / (1 - 2 * HELD_OUT)


class Split(NamedTuple):
    """Positions of the rows of each part; a position may repeat where rows were over-sampled."""

    train: Positions
    validation: Positions
    test: Positions


def split(examples: Examples, scheme: str, seed: int) -> Split:
    """Divide the rows 70-15-15.

    Args:
        examples: the rows.
        scheme: `random` (single rows), `grouped` (an architecture's rows stay together), `stratified`
            (over-sampled before a random split: copies leak), `stratified_after` (over-sampled in each
            part), `stratified_grouped` (over-sampled before the split, all copies of an architecture stay
            together), `isomorphic` (rows of the same network under other names stay together, too, and one
            of its names is tested) or `stratified_isomorphic` (the same, over-sampled in each part).
        seed: the same seed gives the same split.

    Raises:
        InputError: if the scheme is unknown or the rows are too few for three parts.
    """
    groups = choose(SCHEMES, scheme, "scheme")(examples)
    rng = np.random.default_rng(seed_for("split", scheme, seed))
    if scheme in COPIED_FIRST:
        rows = oversample(examples.accuracy, rng)
        copies = np.arange(len(rows)) if scheme == "stratified" else groups[rows]
        return Split(*(rows[part] for part in _by_groups(copies, rng)))
    parts = _by_groups(groups, rng)
    if SCHEMES[scheme] is _classes:
        parts = parts._replace(test=one_name(examples, parts.test, seed))
    return _oversample_parts(parts, examples.accuracy, rng) if scheme.startswith("stratified") else parts


def one_name(examples: Examples, rows: Positions, seed: int) -> Positions:
    """Return those of these rows that are, in their cell, of one name of each network, drawn at random.

    Copies stay.
    """
    own = examples.labels[["space", "dataset"]].assign(
        network=_classes(examples), name=_architectures(examples)
    )
    own = own.iloc[rows]
    drawn = own[["network", "name"]].drop_duplicates()
    drawn = drawn.sample(frac=1, random_state=np.random.default_rng(seed_for("one name", seed)))
    place = own["name"].map({name: at for at, name in enumerate(drawn["name"])})
    first = place.groupby([own["space"], own["dataset"], own["network"]]).transform("min")
    return rows[(place == first).to_numpy()]


def oversample(accuracy: pd.Series, rng: np.random.Generator) -> Positions:
    """Return positions such that five equal-width bins of the accuracy have as many rows each.

    Every row stays; rows of all bins but the largest are drawn again with replacement. Empty bins stay
    empty.
    """
    bins = pd.cut(accuracy, BINS, labels=False).to_numpy()
    members = [np.flatnonzero(bins == b) for b in np.unique(bins)]
    largest = max(map(len, members))
    drawn = [np.concatenate([m, rng.choice(m, largest - len(m))]) for m in members]
    return np.concatenate(drawn).astype(np.intp)


def _by_groups(groups: NDArray[Any], rng: np.random.Generator) -> Split:
    """Split so that rows of one group stay in one part; the shares count groups."""
    if len(np.unique(groups)) < 10:
        raise InputError(
            f"{len(np.unique(groups))} networks are too few for a 70-15-15 split; at least 10 are needed"
        )
    held = round(HELD_OUT * len(np.unique(groups)))
    rest, test = _cut(groups, held, rng)
    train, validation = _cut(groups[rest], held, rng)
    return Split(rest[train], rest[validation], test)


def _cut(groups: NDArray[Any], held: int, rng: np.random.Generator) -> tuple[Positions, Positions]:
    cutter = GroupShuffleSplit(n_splits=1, test_size=held, random_state=int(rng.integers(2**31)))
    kept, left_out = next(cutter.split(groups, groups=groups))
    return kept, left_out


def _oversample_parts(parts: Split, accuracy: pd.Series, rng: np.random.Generator) -> Split:
    return Split(*(part[oversample(accuracy.iloc[part], rng)] for part in parts))


def _rows(examples: Examples) -> NDArray[Any]:
    return np.arange(len(examples))


def _architectures(examples: Examples) -> NDArray[Any]:
    return examples.architectures.to_numpy()


def _classes(examples: Examples) -> NDArray[Any]:
    return name_classes(examples.labels).to_numpy()


#: Scheme -> the groups whose rows stay in one part.
SCHEMES: dict[str, Callable[[Examples], NDArray[Any]]] = {
    "random": _rows,
    "grouped": _architectures,
    "stratified": _rows,
    "stratified_grouped": _architectures,
    "stratified_after": _rows,
    "isomorphic": _classes,
    "stratified_isomorphic": _classes,
}
#: Those that over-sample before they split.
COPIED_FIRST = ("stratified", "stratified_grouped")

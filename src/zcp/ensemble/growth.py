r"""The error of a forest of any size, from a forest that is grown only until it is known.

The trees of a random forest are independent draws, given the rows. With $e_t$ the errors of tree $t$ on $r$
held-out rows, $g_{ts} = e_t \cdot e_s / r$, and $d$ and $o$ the means of $g$ on and off its diagonal, the
mean squared error of $n$ trees is expected to be

$$\mathrm{MSE}(n) = o + \frac{d - o}{n}$$

which $m$ trees estimate without bias; the jackknife over trees gives its standard error. So a forest is grown
in chunks, each as large as all before, until that error is below one percent of the RMSE, the forest is
clearly worse than a reference, or there are 128 trees. For $n \le m$ nothing is estimated: the first $n$
trees *are* the forest of $n$ trees of the same seed.

Settings that make the same trees share them: where a leaf holds at least $l$ rows a node of fewer than $2l$
is never split, and a depth that no tree reaches is no limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

FIRST, MOST = 16, 128  # trees of the first chunk, and of all
PRECISION = 0.01  # of the RMSE: the standard error at which a forest is not grown further
CLEARLY = 2  # standard errors, above the reference's RMSE and PRECISION of it


class Shape(NamedTuple):
    """What decides a tree besides its seed; `depth` is None where it is no limit."""

    max_features: int
    leaf: int
    split: int
    bootstrap: bool
    depth: int | None

    @classmethod
    def of(cls, hyperparameters: Mapping[str, Any], features: int) -> "Shape":
        """Return the shape that these hyperparameters mean for this number of features."""
        tried = hyperparameters["max_features"]
        named = {"sqrt": np.sqrt(features), "log2": np.log2(features)}
        limit = max(1, int(named[tried])) if isinstance(tried, str) else min(int(tried), features)
        leaf = hyperparameters["min_samples_leaf"]
        smallest = max(hyperparameters["min_samples_split"], 2 * leaf)
        return cls(limit, leaf, smallest, hyperparameters["bootstrap"], hyperparameters["max_depth"])


@dataclass(frozen=True)
class Curve:
    """The RMSE (percent) of forests of one shape.

    Attributes:
        prefix: of the first 1, 2, ... trees that were grown.
        between: mean product of the errors of two trees.
        within: mean squared error of one tree.
        depth: of the deepest tree.
    """

    prefix: NDArray[np.float64]
    between: float
    within: float
    depth: int

    def rmse(self, trees: int) -> float:
        """Return the RMSE of a forest of this size: measured if it was grown, else expected."""
        if trees <= len(self.prefix):
            return float(self.prefix[trees - 1])
        return float(np.sqrt(max(self.between + (self.within - self.between) / trees, 0.0)))


class Growth:
    """Grows forests on one split and remembers what their trees told.

    Args:
        train: features (float64, finite) and accuracies of the training rows.
        held: the same of the rows that the error is measured on.
        seed: of every forest.
        reference: hyperparameters of a good forest; what is clearly worse is not grown further.
    """

    def __init__(
        self,
        train: tuple[NDArray[Any], NDArray[Any]],
        held: tuple[NDArray[Any], NDArray[Any]],
        seed: int,
        reference: Mapping[str, Any] | None = None,
    ) -> None:
        self._train = train[0].astype(np.float32), train[1]
        self._held = held[0].astype(np.float32), held[1]
        self._seed = seed
        self._curves: dict[Shape, Curve] = {}
        self._good = np.inf
        if reference is not None:
            self._good = (1 + PRECISION) * self.rmse(reference)

    def rmse(self, hyperparameters: Mapping[str, Any]) -> float:
        """Return the RMSE on the held-out rows of a forest with these hyperparameters."""
        return self.curve(hyperparameters).rmse(hyperparameters["n_estimators"])

    def curve(self, hyperparameters: Mapping[str, Any]) -> Curve:
        """Return the curve of the forest's shape; it depends on nothing that was asked before."""
        shape = Shape.of(hyperparameters, self._train[0].shape[1])
        deep = shape._replace(depth=None)
        free = self._curves.get(deep)
        if free is not None and shape.depth is not None and free.depth <= shape.depth:
            return free
        if shape not in self._curves:
            grown = self._grow(shape)
            # No tree was cut: the same trees grow without a limit.
            reached = shape.depth is not None and grown.depth < shape.depth
            self._curves[deep if reached else shape] = grown
            return grown
        return self._curves[shape]

    def _grow(self, shape: Shape) -> Curve:
        forest = RandomForestRegressor(
            max_features=shape.max_features,
            min_samples_leaf=shape.leaf,
            min_samples_split=shape.split,
            bootstrap=shape.bootstrap,
            max_depth=shape.depth,
            random_state=self._seed,
            warm_start=True,
            n_jobs=1,
        )
        values, measured = self._held
        errors = np.empty((0, len(measured)))
        size = FIRST
        while True:
            forest.set_params(n_estimators=size).fit(*self._train)
            new = [tree.predict(values, check_input=False) for tree in forest.estimators_[len(errors) :]]
            errors = np.vstack([errors, np.array(new) - measured])
            depth = max(tree.get_depth() for tree in forest.estimators_)
            curve, uncertain = _measure(errors, depth)
            worse = curve.rmse(10**6) * (1 - CLEARLY * uncertain) > self._good
            if size >= MOST or uncertain <= PRECISION or worse:
                return curve
            size *= 2


def _measure(errors: NDArray[np.float64], depth: int) -> tuple[Curve, float]:
    """Return the curve of these trees, and the jackknife's standard error of a large forest's RMSE.

    Args:
        errors: of each tree on each row, shape (trees, rows).
        depth: of the deepest tree.

    Returns:
        The curve, and the standard error as a share of the RMSE.
    """
    trees, rows = errors.shape
    gram = errors @ errors.T / rows
    means = np.cumsum(errors, axis=0) / np.arange(1, trees + 1)[:, None]
    pairs = gram.sum(axis=1) - np.diag(gram)
    between = pairs.sum() / (trees * (trees - 1))
    without = (pairs.sum() - 2 * pairs) / ((trees - 1) * (trees - 2))
    error = np.sqrt((trees - 1) / trees * ((without - without.mean()) ** 2).sum())
    curve = Curve(np.sqrt((means**2).mean(axis=1)), float(between), float(np.trace(gram)) / trees, depth)
    return curve, float(error / (2 * between)) if between > 0 else float("inf")

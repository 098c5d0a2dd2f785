"""What ships, what it is worth and on what; and what does not ship, and why: read from the cards."""

from pathlib import Path

import pandas as pd

from zcp.ensemble.cards import Card, read_card
from zcp.ensemble.measured import DESCRIBED, TO_BEAT
from zcp.paths import MODELS, is_file
from zcp.study.greenfactory.release import ESTIMATORS, SHIPPED

#: Estimators that may ship, by name.
NAMES = tuple(kind.__name__ for kind in ESTIMATORS.values())
#: The level whose measured coverage is told.
LEVEL = 0.9
BASELINES = (*TO_BEAT, "params", DESCRIBED)


def find(name: str, target: str, folder: Path = MODELS) -> Card | str:
    """Return the card of an estimator for a target, or why none ships.

    Raises:
        InputError: if one should be there and is not, or its card is damaged.
    """
    card = folder / f"{name}-{target}.json"
    if target not in SHIPPED:
        return f"models ship for the targets {' and '.join(SHIPPED)} only"
    note = card.with_suffix(".txt")
    return note.read_text(encoding="utf-8").strip() if is_file(note) else read_card(card)


def tabulate(cards: list[Card]) -> pd.DataFrame:
    """Return what these models are worth on the outer test rows, a row a model and cell.

    Returns:
        model, space, dataset, n (test networks of a split), kendall, its interval as text, RMSE (percentage
        points) and its interval, like (share of the networks that are like the fitted ones), covered (share
        of these within the interval that promises `LEVEL`), and Kendall's correlation of `BASELINES`.
    """
    rows = []
    for card in cards:
        for cell in card.measured.cells:
            covered = {each.level: each.coverage for each in cell.coverage}
            row = {"model": card.name, "space": cell.space, "dataset": cell.dataset, "n": cell.n}
            row |= {
                "kendall": cell.kendall,
                "kendall_interval": _interval(cell.kendall_low, cell.kendall_high),
            }
            row |= {"rmse": cell.rmse, "rmse_interval": _interval(cell.rmse_low, cell.rmse_high)}
            row |= {"like": cell.inside, "covered": covered[LEVEL]}
            rows.append(row | {name: cell.baselines.get(name, float("nan")) for name in BASELINES})
    return pd.DataFrame(rows)


def _interval(low: float, high: float) -> str:
    return f"[{low:.2f}, {high:.2f}]"


def tell(name: str, found: Card | str) -> str:
    """Return what an estimator is and what it is worth, in a sentence; or why it does not ship."""
    if isinstance(found, str):
        return f"`{name}` does not ship: {found}."
    cells = found.measured.cells
    mean, least = (of([cell.kendall for cell in cells]) for of in (_mean, min))
    known = [other for other in (*TO_BEAT, DESCRIBED) if all(other in cell.baselines for cell in cells)]
    beside = [f"{other} {_mean([cell.baselines[other] for cell in cells]):.2f}" for other in known]
    spaces = " and ".join(sorted({cell.space for cell in cells}))
    sees = sum("=" not in feature for feature in found.features)
    return (
        f"`{name}` is a model of the kind {found.card.model}, sees {sees} proxies and the dataset, and was "
        f"fitted on {found.card.rows:,} rows. On networks that no choice has seen the pipeline that made it "
        f"has a Kendall correlation of {mean:.2f} on average over the {len(cells)} cells of {spaces}, "
        f"{least:.2f} in the lowest ({', '.join(beside)})."
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)

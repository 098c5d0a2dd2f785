"""Agreement of a live slice with a deposit, within tolerances that were measured, never written by hand.

`zcp portable --write` moves every input of a check by one unit in the last place, with several seeds, and
runs the check under the settings of other processors. The largest deviation of a quantity is its spread; a
tolerance is `FACTOR` times the spread and the resolution of the deposit. A quantity whose tolerance would
exceed its cap is decided by rounding: it must lie within that tolerance, which says little, so that it is
listed and does not count as compared.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zcp.paths import RESULTS
from zcp.study.results import Deposit, DisagreementError, read

#: How far beyond the largest deviation that was seen a live value may lie: seeds and settings are samples.
FACTOR = 4.0
#: Deposits keep eight decimals.
RESOLUTION = 1e-8
#: What sums of single precision lose in any case, relative: seven of their twenty-four bits.
SINGLE = 2.0**-17
#: Largest tolerance of a quantity in its own unit: a correlation or a share, and percentage points.
ABSOLUTE_CAPS = {
    "kendall": 0.005, "abs_kendall": 0.005, "spearman": 0.005, "abs_spearman": 0.005, "coverage": 0.005,
    "accuracy": 0.5,
}  # fmt: skip
#: Largest tolerance of all others, errors, widths and scores, as a share of the deposited value.
RELATIVE_CAP = 0.01
NEVER = "never deposited"
UNMEASURED = "no spread was measured: the resolution of the deposit"
PARTS = ("deposited", "difference", "tolerance", "agrees", "basis")
SPREADS = ["deposit", "table", "quantity", "group", "spread", "perturbations", "settings"]


def agree(
    live: pd.DataFrame,
    deposit: Deposit,
    table: str,
    *,
    keys: Sequence[str],
    measured: Sequence[str] = (),
    exact: Sequence[str] = (),
    by: Sequence[str] = (),
    cap: NDArray[np.float64] | None = None,
    resolution: NDArray[np.float64] | float = RESOLUTION,
    share: float = 0.0,
    spreads: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare a live slice with the deposited rows of the same keys.

    Args:
        live: the slice; every one of its rows must have been deposited.
        deposit: the deposit.
        table: name of its table.
        keys: columns that name a row, in both.
        measured: columns that are compared within the tolerance of their measured spread.
        exact: columns that must be equal: counts and choices.
        by: keys whose values have spreads of their own; the rows of a table share one otherwise.
        cap: largest tolerance of each row, in place of `largest_tolerance`.
        resolution: of the deposit, of all rows or of each.
        share: of a deposited value, that is allowed as well: `SINGLE` where networks compute it.
        spreads: measured ones, in place of the deposited; see `read_spreads`.

    Returns:
        `keys` and, for each compared column, the live value, and with the suffixes of `PARTS` the deposited
        value, the difference, the tolerance, whether they agree (None: decided by rounding, not compared) and
        where the tolerance comes from. `tabulate` turns it into one row a value. Its `attrs` name deposit,
        table and `by`.

    Raises:
        DisagreementError: if a row is missing, a difference exceeds its tolerance, or nothing can be
            compared; the message names the worst, and its `table` holds everything.
    """
    if live.empty:
        raise DisagreementError("the live slice is empty: nothing was compared")
    columns = [*keys, *measured, *exact]
    both = live[columns].merge(
        deposit.tables[table][columns],
        on=list(keys),
        how="left",
        suffixes=("", "_deposited"),
        indicator=True,
        validate="1:1",
    )
    known = both.pop("_merge").eq("both").to_numpy()
    both.attrs = {"deposit": deposit.name, "table": table, "by": list(by)}
    for column in measured:
        spread, basis = _spreads(read_spreads() if spreads is None else spreads, column, both, by)
        deposited = both[f"{column}_deposited"].to_numpy(float)
        allowed = FACTOR * spread + resolution + share * _sizes(deposited)
        most = largest_tolerance(column, deposited) if cap is None else cap
        _compare(both, column, known, allowed, allowed <= most, basis)
    for column in exact:
        _compare(both, column, known, np.zeros(len(both)), np.full(len(both), True), "exact")
    return require_agreement(both)


def largest_tolerance(quantity: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cap of each value's tolerance, shape (n,): beyond it a comparison would say nothing."""
    share = RELATIVE_CAP * _sizes(values)
    # What is almost nothing has no share: the resolution of the deposit is allowed in any case.
    return (
        np.full(len(values), ABSOLUTE_CAPS.get(quantity))
        if quantity in ABSOLUTE_CAPS
        else share.clip(min=RESOLUTION)
    )


def _sizes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return absolute values, 0 for what is not finite."""
    return np.abs(np.nan_to_num(values, posinf=0.0, neginf=0.0))


def tabulate(compared: pd.DataFrame) -> pd.DataFrame:
    """Return what `agree` returns with one row a value.

    Returns:
        The keys, quantity, live, deposited, difference, tolerance, agrees, basis.
    """
    names = [str(c).removesuffix("_agrees") for c in compared if str(c).endswith("_agrees")]
    taken = {*names, *(f"{name}_{part}" for name in names for part in PARTS)}
    keys = [column for column in compared if column not in taken]
    parts = []
    for name in names:
        renamed = {name: "live", **{f"{name}_{part}": part for part in PARTS}}
        parts.append(compared[[*keys, *renamed]].rename(columns=renamed).assign(quantity=name))
    whole = pd.concat(parts, ignore_index=True)[[*keys, "quantity", "live", *PARTS]]
    whole.attrs = compared.attrs
    return whole


def require_agreement(both: pd.DataFrame) -> pd.DataFrame:
    """Return `both`, a table such as `agree` makes, unless a value of it disagrees or none was compared.

    Raises:
        DisagreementError: then.
    """
    table, name = tabulate(both), both.attrs["deposit"]
    wrong = table[[value is False for value in table["agrees"]]]
    if len(wrong):
        excess = (wrong["difference"].abs() - wrong["tolerance"]).fillna(np.inf)
        worst = wrong.iloc[int(excess.to_numpy().argmax())]
        keys = worst[: list(table).index("quantity")].to_dict()
        if worst["basis"] == NEVER:
            text = f"{len(wrong)} live values of {name} were never deposited, first {keys}"
            raise DisagreementError(text, table)
        raise DisagreementError(
            f"{worst['quantity']} of {keys} is {worst['live']:.6g} live but {worst['deposited']:.6g} in the "
            f"deposit {name} (tolerance {worst['tolerance']:.2g}: {worst['basis']}); "
            f"{len(wrong)} of {len(table)} values disagree",
            table,
        )
    if table["agrees"].isna().all():
        raise DisagreementError(f"rounding decides every value of {name}: nothing was compared", table)
    return both


def judge(
    live: NDArray[np.float64],
    deposited: NDArray[np.float64],
    allowed: NDArray[np.float64],
    comparable: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Return the differences, and whether each value agrees: True, False, or None where it is not compared.

    Equal infinities and NaN on both sides agree; a value that is finite on one side only never does. Where
    nothing is comparable a value must lie within what is allowed all the same.
    """
    same = (live == deposited) | (np.isnan(live) & np.isnan(deposited))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, live - deposited)
    finite = np.isfinite(live) & np.isfinite(deposited)
    within = same | (finite & (np.abs(difference) <= allowed))
    agrees = np.array(within.tolist(), object)
    agrees[~comparable & within] = None
    return difference, agrees


def _compare(
    both: pd.DataFrame,
    column: str,
    known: NDArray[np.bool_],
    allowed: NDArray[np.float64],
    comparable: NDArray[np.bool_],
    basis: Sequence[str] | str,
) -> None:
    """Add the parts of one column."""
    live, deposited = (both[name].to_numpy(float) for name in (column, f"{column}_deposited"))
    difference, agrees = judge(live, deposited, allowed, comparable)
    agrees[~known], difference[~known] = False, np.nan
    texts = np.where(known, np.asarray(basis, object), NEVER)
    parts = (deposited, difference, allowed, agrees, texts)
    for part, values in zip(PARTS, parts, strict=True):
        both[f"{column}_{part}"] = values


def _spreads(
    every: pd.DataFrame, quantity: str, rows: pd.DataFrame, by: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Return each row's spread, shape (n,), and the text that says where it was measured."""
    wanted = (rows.attrs["deposit"], rows.attrs["table"], quantity)
    mine = every[(every[SPREADS[:3]] == wanted).all(axis=1)]
    found = mine.set_index("group").to_dict("index")
    groups = [found.get(group) for group in name_groups(rows, by)]
    return np.array([g["spread"] if g else 0.0 for g in groups]), [_basis(group) for group in groups]


def _basis(group: dict[Any, Any] | None) -> str:
    if group is None:
        return UNMEASURED
    runs = f"{group['perturbations']:.0f} perturbations, {group['settings']:.0f} settings"
    return f"{FACTOR:g} x {group['spread']:.1e} ({runs}) and the resolution of the deposit"


def name_groups(rows: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """Return the text that names each row's group in the deposit of spreads; empty where there are none."""
    return [", ".join(map(str, values)) for values in rows[list(by)].to_numpy()] if by else [""] * len(rows)


@cache
def read_spreads(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the deposited spreads (`SPREADS`), empty where none were measured."""
    if not (folder / "portability.json").is_file():
        return pd.DataFrame(columns=SPREADS)
    found = read("portability", folder).tables["spreads"]
    # JSON has no infinity: a quantity that is finite in some runs only.
    return found.assign(spread=found["spread"].astype(float).fillna(np.inf))

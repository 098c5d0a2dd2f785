"""Deposited scores computed again, a few or all, with whatever this machine has."""

import json
from collections.abc import Sequence
from dataclasses import replace
from os import cpu_count
from pathlib import Path

import numpy as np
import pandas as pd

from zcp.collect import Pool, Settings, Unit, collect, load_scores, outdated, score_row
from zcp.collect.settings import Origin
from zcp.errors import InputError
from zcp.golden import FLOAT32
from zcp.provenance import versions
from zcp.registry import get_proxy
from zcp.results import DisagreementError
from zcp.seeding import seed_for

CELL = ["space", "dataset"]
KEY = ["space", "index", "dataset"]


def choose_proxies(scores: pd.DataFrame, images: bool) -> list[str]:
    """Return the proxies of a scores file that can be scored here: all, or those that need no image.

    Columns of an older definition are left out (`zcp.collect.outdated`).
    """
    settings = Origin.from_json(scores.attrs["settings"]).settings
    proxies = [p for p in settings.proxies if p not in outdated(scores)]
    return [p for p in proxies if images or settings.inputs != "images" or not _reads_images(p)]


def _reads_images(proxy: str) -> bool:
    # The labels come with the images.
    return get_proxy(proxy).data or get_proxy(proxy).labels


def choose_rows(scores: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return `count` rows of each cell, drawn with a fixed seed."""
    return scores.groupby(CELL, sort=True).sample(count, random_state=seed_for("rescore") % 2**32)


def rescore(
    scores: pd.DataFrame, rows: pd.DataFrame, proxies: Sequence[str], store: Path | None = None
) -> pd.DataFrame:
    """Score these rows again and compare each value with the deposited one.

    Allowed is what single precision may cost on another processor: twice the tolerance of the golden
    values, at least 0.1 percent, and 0.1 percent of the proxy's interquartile range in the cell where
    values cross zero. One network in five may lie outside, of each proxy.

    Args:
        scores: the deposit.
        rows: some of its rows.
        proxies: some of its proxies.
        store: a Parquet file that keeps what was computed, for many rows: it is continued after an
            interruption, and the work is done by a process a core. Where None, one row after the other.

    Returns:
        space, index, dataset, proxy, live, deposited, difference, allowed.

    Raises:
        DisagreementError: if a difference is not allowed, or a value is finite on one side only.
        InputError: if a proxy cannot be scored with what is here.
    """
    settings = _without_images(Origin.from_json(scores.attrs["settings"]).settings, proxies)
    units = [Unit(*key) for key in rows[KEY].itertuples(index=False)]
    if store is None:
        live = pd.DataFrame([score_row(u.space, u.index, u.dataset, settings) for u in units])
    else:
        live = load_scores(collect(store, units, settings, Pool(cpu_count() or 1)))
    deposited = rows.melt(KEY, list(proxies), "proxy", "deposited")
    found = live.melt(KEY, list(proxies), "proxy", "live").merge(deposited, on=[*KEY, "proxy"])
    if found.empty:
        raise InputError("no proxy of this scores file can be scored here; nothing was compared")
    return _require_agreement(found, scores, proxies)


def _require_agreement(found: pd.DataFrame, scores: pd.DataFrame, proxies: Sequence[str]) -> pd.DataFrame:
    found = found.merge(_interquartile(scores, proxies), on=[*CELL, "proxy"], how="left", validate="m:1")
    both = np.isfinite(found["live"]) & np.isfinite(found["deposited"])
    relative = found["proxy"].map(lambda p: max(2 * FLOAT32.get(p, 0.0), 1e-3))
    found["difference"] = (found["live"] - found["deposited"]).where(both)
    found["allowed"] = relative * found["deposited"].abs() + 1e-3 * found.pop("range").fillna(0.0)
    same = found["live"].eq(found["deposited"]) | (found["live"].isna() & found["deposited"].isna())
    wrong = found[~same & ~(both & (found["difference"].abs() <= found["allowed"]))]
    # Networks without an identity path multiply rounding errors: one in five may stray if it is finite.
    strays = (
        wrong[both[wrong.index]].groupby("proxy")["live"].count() - found.groupby("proxy")["live"].size() // 5
    )
    if not both[wrong.index].all() or (strays.dropna() > 0).any():
        first = wrong.iloc[0].to_dict()
        raise DisagreementError(f"{len(wrong)} scores are not the deposited ones, first {first}")
    return found


def count_failures(scores: pd.DataFrame) -> pd.DataFrame:
    """Return how many rows lack a finite value: proxy, space, dataset, reason, rows."""
    long = [
        {"proxy": proxy, "space": row.space, "dataset": row.dataset, "reason": reason}
        for row in scores.itertuples()
        for proxy, reason in json.loads(str(row.reason)).items()
    ]
    table = pd.DataFrame(long, columns=["proxy", *CELL, "reason"])
    return table.value_counts(sort=False).rename("rows").reset_index()


def _interquartile(scores: pd.DataFrame, proxies: Sequence[str]) -> pd.DataFrame:
    long = scores.melt(CELL, list(proxies), "proxy", "value")
    long = long[np.isfinite(long["value"].to_numpy(float))]
    quartiles = long.groupby([*CELL, "proxy"])["value"].quantile([0.25, 0.75]).unstack()
    ranges: pd.DataFrame = (quartiles[0.75] - quartiles[0.25]).rename("range").reset_index()
    return ranges


def _without_images(settings: Settings, proxies: Sequence[str]) -> Settings:
    """Return the settings for these proxies; noise stands in for images that none of them reads."""
    # The deposit may be of an earlier zcp whose definitions of these proxies are still the same.
    wanted = replace(settings.of(proxies), zcp=versions(["zcp"])["zcp"])
    if any(map(_reads_images, proxies)):
        return wanted
    return replace(wanted, inputs="gaussian", images={})

"""A few deposited scores computed again, with whatever this machine has."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from zcp.collect import Settings, score_row
from zcp.collect.settings import Origin
from zcp.errors import InputError
from zcp.golden import FLOAT32
from zcp.registry import get_proxy
from zcp.results import DisagreementError
from zcp.seeding import seed_for

Row = dict[str, Any]
CELL = ["space", "dataset"]


def choose_proxies(scores: pd.DataFrame, images: bool) -> list[str]:
    """Return the proxies of a scores file that can be scored here: all, or those that need no image."""
    settings = Origin.from_json(scores.attrs["settings"]).settings
    return [p for p in settings.proxies if images or settings.inputs != "images" or not get_proxy(p).data]


def choose_rows(scores: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return `count` rows of each cell, drawn with a fixed seed."""
    return scores.groupby(CELL, sort=True).sample(count, random_state=seed_for("rescore") % 2**32)


def rescore(scores: pd.DataFrame, rows: pd.DataFrame, proxies: Sequence[str]) -> pd.DataFrame:
    """Score these rows again and compare each value with the deposited one.

    Allowed is what single precision may cost on another processor: twice the tolerance of the golden
    values, at least 0.1 percent, and 0.1 percent of the proxy's interquartile range in the cell where
    values cross zero.

    Returns:
        space, index, dataset, proxy, live, deposited, difference, allowed.

    Raises:
        DisagreementError: if a difference is not allowed, or a value is finite on one side only.
        InputError: if a proxy cannot be scored with what is here.
    """
    settings = Origin.from_json(scores.attrs["settings"]).settings
    records = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    found = pd.DataFrame([v for row in records for v in _compare(row, settings, proxies)])
    if found.empty:
        raise InputError("no proxy of this scores file can be scored here; nothing was compared")
    found = found.merge(_interquartile(scores, proxies), on=[*CELL, "proxy"], how="left", validate="m:1")
    both = np.isfinite(found["live"]) & np.isfinite(found["deposited"])
    relative = found["proxy"].map(lambda p: max(2 * FLOAT32.get(p, 0.0), 1e-3))
    found["difference"] = (found["live"] - found["deposited"]).where(both)
    found["allowed"] = relative * found["deposited"].abs() + 1e-3 * found.pop("range").fillna(0.0)
    same = found["live"].eq(found["deposited"]) | (found["live"].isna() & found["deposited"].isna())
    wrong = found[~same & ~(both & (found["difference"].abs() <= found["allowed"]))]
    if len(wrong):
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


def _compare(row: Row, settings: Settings, proxies: Sequence[str]) -> Iterator[Row]:
    live = score_row(row["space"], row["index"], row["dataset"], _without_images(settings, proxies))
    for proxy in proxies:
        keys = {key: row[key] for key in ("space", "index", "dataset")}
        yield {**keys, "proxy": proxy, "live": live[proxy], "deposited": row[proxy]}


def _without_images(settings: Settings, proxies: Sequence[str]) -> Settings:
    """Return the settings for these proxies; noise stands in for images that none of them reads."""
    wanted = replace(settings, proxies=tuple(proxies))
    if any(get_proxy(p).data for p in proxies):
        return wanted
    return replace(wanted, inputs="gaussian", images={})

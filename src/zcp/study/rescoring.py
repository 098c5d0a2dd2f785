"""Deposited scores computed again, a few or all, with whatever this machine has."""

import json
from collections.abc import Sequence
from dataclasses import replace
from os import cpu_count
from pathlib import Path

import numpy as np
import pandas as pd

from zcp.collect import Pool, Settings, Unit, collect, load_scores, outdated, score_row
from zcp.collect.row import fresh_batches
from zcp.collect.settings import Origin
from zcp.data.datasets import get_dataset
from zcp.data.images import load_images
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.proxies.registry import get_proxy
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import FACTOR, SINGLE, agree, name_groups, read_spreads, tabulate
from zcp.study.results import Deposit
from zcp.study.ulps import moved_inputs
from zcp.versions import versions

#: Largest tolerance of a score, as a share of the interquartile range of its proxy in the cell.
CAP = 0.02
#: Of the moves that measure a spread which is not deposited.
SEEDS = (1, 2, 3)
CELL = ["space", "dataset"]
KEY = ["space", "index", "dataset"]


def choose_proxies(scores: pd.DataFrame, images: bool) -> list[str]:
    """Return the proxies of a collection that can be scored here: all, or those that need no image.

    Columns of an older definition are left out (`zcp.collect.outdated`).
    """
    settings = Origin.from_json(scores.attrs["settings"]).settings
    proxies = [p for p in settings.proxies if p not in outdated(scores)]
    return [p for p in proxies if images or settings.inputs != "images" or not _reads_images(p)]


def _reads_images(proxy: str) -> bool:
    # The labels come with the images.
    return get_proxy(proxy).data or get_proxy(proxy).labels


def choose_rows(scores: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return `count` rows of each cell, drawn with a fixed seed; a larger draw holds the smaller one."""
    shuffled = scores.sample(frac=1, random_state=seed_for("rescore") % 2**32)
    chosen: pd.DataFrame = shuffled.groupby(CELL, sort=True).head(count).sort_values(KEY)
    return chosen


def rescore(
    scores: pd.DataFrame, rows: pd.DataFrame, proxies: Sequence[str], store: Path | None = None
) -> pd.DataFrame:
    """Score these rows again and compare each value with the deposited one.

    The tolerance of a value comes from its own spread where weights, inputs and noise move by one unit in the
    last place (`zcp.study.agreement`): deposited for the rows that the page draws, measured here for other
    values that differ. One whose tolerance exceeds `CAP` of the interquartile range of its proxy in the cell
    is decided by rounding: it must lie within its tolerance, and is listed.

    Args:
        scores: the deposit.
        rows: some of its rows.
        proxies: some of its proxies.
        store: a folder that keeps what was computed, for many rows: it is continued after an
            interruption, and the work is done by a process a core. Where None, one row after the other.

    Returns:
        space, index, dataset, proxy, quantity (`score`), live, deposited, difference, tolerance, agrees
        (None: decided by rounding, not compared), basis (of the tolerance).

    Raises:
        DisagreementError: if a difference is not allowed, or a value is finite on one side only.
        InputError: if a proxy cannot be scored with what is here.
    """
    settings = _without_images(Origin.from_json(scores.attrs["settings"]).settings, proxies)
    units = [Unit(*key) for key in rows[KEY].itertuples(index=False)]
    if store is None:
        live = _score(units, settings)
    else:
        live = load_scores(collect(store, units, settings, Pool(cpu_count() or 1)))
    return tabulate(compare(live, scores, rows, settings))


def compare(
    live: pd.DataFrame, scores: pd.DataFrame, rows: pd.DataFrame, settings: Settings, measure: bool = True
) -> pd.DataFrame:
    """Compare rows that were scored now with the deposited ones, see `rescore`.

    Args:
        live: rows that were scored now.
        scores: the deposit.
        rows: its rows of the same networks.
        settings: of the proxies that are compared.
        measure: whether to measure the spread of values that differ and have none.

    Returns:
        As `zcp.study.agreement.agree`.
    """
    proxies = list(settings.proxies)
    found, deposited = (table.melt(KEY, proxies, "proxy", "score") for table in (live, rows))
    if found.empty:
        raise InputError("no proxy of this collection can be scored here; nothing was compared")
    made = Origin.from_json(scores.attrs["settings"]).settings
    name = f"{made.inputs}-b{made.batch}-seed{made.seed}"
    size = found.merge(deposited, on=[*KEY, "proxy"], suffixes=("", "_deposited"), how="left")
    size = size.merge(_interquartile(scores, proxies), on=[*CELL, "proxy"], how="left", validate="m:1")
    values = size["score_deposited"].where(np.isfinite(size["score_deposited"])).abs().fillna(0.0)
    cap = CAP * size["range"].where(size["range"] > 0, values).fillna(0.0)
    single = (SINGLE * values).to_numpy(float)
    groups = pd.Series(name_groups(size, [*KEY, "proxy"]), size.index)
    spreads = _spreads_of(size, groups, name, settings) if measure else read_spreads()
    # One activation at its threshold moves a network by chance, in one of many runs: what rounding did to one
    # network of a proxy it may do to another, but no tolerance grows beyond the cap for it.
    own = groups.map(_by_group(spreads, name)).fillna(0.0)
    largest = (own / values).replace(np.inf, np.nan).groupby(size["proxy"]).transform("max").fillna(0.0)
    left = (FACTOR * largest * values).clip(upper=cap - FACTOR * own)
    floor = np.maximum(single, left.to_numpy(float))
    return agree(
        found,
        Deposit("scores", {}, {name: deposited}),
        name,
        keys=[*KEY, "proxy"],
        measured=["score"],
        by=[*KEY, "proxy"],
        cap=np.maximum(cap.to_numpy(float), single),
        resolution=floor,
        spreads=spreads,
    )


def score_again(scores: pd.DataFrame, rows: pd.DataFrame, proxies: Sequence[str]) -> pd.DataFrame:
    """As `rescore` with deposited spreads only, in the form of `zcp.study.agreement.agree`."""
    settings = _without_images(Origin.from_json(scores.attrs["settings"]).settings, proxies)
    units = [Unit(*key) for key in rows[KEY].itertuples(index=False)]
    return compare(_score(units, settings), scores, rows, settings, measure=False)


def _score(units: Sequence[Unit], settings: Settings) -> pd.DataFrame:
    return pd.DataFrame([score_row(u.space, u.index, u.dataset, settings) for u in units])


def _by_group(spreads: pd.DataFrame, name: str) -> pd.Series:
    """Return the spreads of scores that are compared under this name, by the text that names their row."""
    here = spreads[spreads["deposit"].eq("scores") & spreads["table"].eq(name)]
    found: pd.Series = here.set_index("group")["spread"].astype(float)
    return found


def _spreads_of(both: pd.DataFrame, groups: pd.Series, name: str, settings: Settings) -> pd.DataFrame:
    """Return the deposited spreads, and those of rows that differ and have none, measured now."""
    known, keys = read_spreads(), [*KEY, "proxy"]
    differ = ~(
        both["score"].eq(both["score_deposited"]) | both[["score", "score_deposited"]].isna().all(axis=1)
    )
    unknown = both[differ & ~groups.isin(_by_group(known, name).index)]
    if unknown.empty:
        return known
    units = [Unit(*key) for key in unknown[KEY].drop_duplicates().itertuples(index=False)]
    plain = both.set_index(keys)["score"]
    most = plain[plain.index.isin(unknown.set_index(keys).index)] * 0.0
    for seed in SEEDS:
        with moved_inputs(seed), fresh_batches():
            moved = _score(units, settings).melt(KEY, list(settings.proxies), "proxy", "score")
        change = (moved.set_index(keys)["score"].reindex(most.index) - plain.reindex(most.index)).abs()
        most = most.combine(change, max)
    names = name_groups(most.reset_index(), keys)
    facts = {"deposit": "scores", "table": name, "quantity": "score", "group": names}
    counts = {"perturbations": len(SEEDS), "settings": 0}
    new = pd.DataFrame({**facts, "spread": most.fillna(np.inf).to_numpy(), **counts})
    return new if known.empty else pd.concat([known, new], ignore_index=True)


def summarise(found: pd.DataFrame | list[pd.DataFrame]) -> pd.DataFrame:
    """Return what was compared of each proxy.

    Args:
        found: as `rescore` returns it, or the tables of its disagreement.

    Returns:
        proxy, values, compared, largest (relative difference of those), checked (whether at least half of the
        values were compared; nothing was checked of the others).
    """
    if isinstance(found, list):
        found = pd.concat(found).reindex(columns=["proxy", "live", "deposited", "difference", "agrees"])
    relative = (found["difference"] / found["deposited"]).abs().where(found["agrees"].notna())
    groups = found.assign(relative=relative).groupby("proxy", sort=False)
    table = groups.agg(values=("live", "size"), compared=("agrees", "count"), largest=("relative", "max"))
    return table.assign(checked=2 * table["compared"] >= table["values"]).reset_index()


def count_failures(scores: pd.DataFrame) -> pd.DataFrame:
    """Return how many rows lack a finite value: proxy, space, dataset, reason, rows."""
    long = [
        {"proxy": proxy, "space": row.space, "dataset": row.dataset, "reason": reason}
        for row in scores.itertuples()
        for proxy, reason in json.loads(str(row.reason)).items()
    ]
    table = pd.DataFrame(long, columns=["proxy", *CELL, "reason"])
    return table.value_counts(sort=False).rename("rows").reset_index()


def describe_images(scores: pd.DataFrame) -> str:
    """Return what the networks of a collection saw: how many images there are to draw its batches from."""
    if Origin.from_json(scores.attrs["settings"]).settings.inputs != "images":
        return "The networks saw noise, no images."
    if data_folder() is None:
        return "The images are not at hand here, so they are not counted."
    parts = []
    for dataset in scores["dataset"].unique():
        found = load_images(dataset)
        counts = np.bincount(found.labels, minlength=get_dataset(dataset).classes)
        kind = " approximate" if "approx" in found.origin.name else ""
        few = f", {(counts == 1).sum()} of them with a single one" if (counts == 1).any() else ""
        parts.append(f"{len(found.labels):,}{kind} images of {dataset} in {(counts > 0).sum()} classes{few}")
    return f"What the networks saw was drawn from {'; '.join(parts)}: other images would give other scores."


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

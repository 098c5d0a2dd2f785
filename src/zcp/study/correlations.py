"""Every proxy against every accuracy: rank correlations with intervals, over all networks that were scored.

A proxy is fitted to nothing, so no row is held out. An architecture is in several cells; its rows are drawn
together in each resample (`zcp.analysis.bootstrap.Resamples`).
"""

import time
from collections.abc import Iterator, Sequence

import pandas as pd

from zcp.analysis.bootstrap import RESAMPLES, Resamples, interval, resampled_kendall, resampled_spearman
from zcp.analysis.metrics import SEARCH, kendall, spearman
from zcp.analysis.scores import sign_of, usable
from zcp.ensemble.examples import Examples
from zcp.proxies.population import POPULATION
from zcp.proxies.registry import REGISTRY
from zcp.study.agreement import agree
from zcp.study.results import Deposit, compare_all
from zcp.study.whole_space import correlate_counts

CELL = ["space", "dataset"]
KEYS = ["proxy", *CELL]
MEASURED = ["spearman", "kendall", *SEARCH]


def study(*collections: Examples) -> Deposit:
    """Return the section's deposit: the tables `correlations` (see `correlate`) and `whole_space`.

    Args:
        collections: of one target; a proxy is taken from the first that holds it.
    """
    start, first = time.perf_counter(), collections[0]
    tables = {"correlations": correlate_first(collections), "whole_space": correlate_counts(first)}
    provenance = first.provenance(time.perf_counter() - start)
    if len(collections) > 1:
        for key in ("scores_sha256", "scores_settings"):
            provenance[key] = {each.origin.get("scores"): each.origin.get(key) for each in collections}
    settings = {"target": first.target, "resamples": RESAMPLES}
    return Deposit(f"correlations-{first.target}", settings, tables, provenance)


def correlate_first(collections: Sequence[Examples], resamples: int = RESAMPLES) -> pd.DataFrame:
    """Return `correlate` of several collections, of each proxy from the first that holds it."""
    parts, known = [], set[str]()
    for each in collections:
        new = [str(name) for name in each.features if name not in known]
        parts.append(correlate(each, new, resamples).assign(scores=each.origin.get("scores", "")))
        known |= set(new)
    return pd.concat(parts, ignore_index=True)


def correlate(
    examples: Examples, names: Sequence[str] | None = None, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Correlate every proxy with the accuracy in every cell.

    Scores are turned so that larger is expected to be better; what does not exist ranks last.

    Args:
        examples: the rows.
        names: the proxies; all where None.
        resamples: how many; none gives no intervals (NaN).

    Returns:
        proxy, space, dataset, n (networks), failed (scores that do not exist), spearman and kendall (signed:
        positive where the proxy points into the direction that its definition says), low, high, kendall_low,
        kendall_high (95 percent bootstrap interval over architectures; NaN like the correlation where the
        proxy is constant), those of `zcp.analysis.metrics.SEARCH`.
    """
    wanted = [str(name) for name in (examples.features if names is None else names)]
    # Of a proxy that was withdrawn the direction is not known any more.
    known = [name for name in wanted if name in REGISTRY or name in POPULATION]
    return pd.DataFrame(_rows(examples, known, Resamples(examples.architectures, resamples)))


def _rows(examples: Examples, names: Sequence[str], resamples: Resamples) -> Iterator[dict[str, object]]:
    for (space, dataset), cell in examples.labels.reset_index(drop=True).groupby(CELL, sort=False):
        part = examples.take(cell.index.to_numpy())
        accuracy, weights = part.accuracy.to_numpy(float), resamples.weigh(part.architectures)
        for name in names:
            values = sign_of(name) * part.features[name].to_numpy(float)
            row: dict[str, object] = {"proxy": name, "space": space, "dataset": dataset, "n": len(part)}
            row |= {"failed": int((~usable(values)).sum()), "spearman": spearman(values, accuracy)}
            row |= dict(
                zip(("low", "high"), interval(resampled_spearman(values, accuracy, weights)), strict=True)
            )
            ends = interval(resampled_kendall(values, accuracy, weights))
            row |= {"kendall": kendall(values, accuracy), "kendall_low": ends[0], "kendall_high": ends[1]}
            yield row | {metric: function(values, accuracy) for metric, function in SEARCH.items()}


def check(collections: Sequence[Examples], deposit: Deposit) -> dict[str, pd.DataFrame]:
    """Correlate anew, without intervals, and compare with the deposit.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance; its
            `parts` are both tables that do.
    """
    live, whole = correlate_first(collections, resamples=0), correlate_counts(collections[0])
    found = compare_all(
        lambda: agree(
            live, deposit, "correlations", keys=KEYS, measured=MEASURED, exact=["n", "failed"], by=["proxy"]
        ),
        lambda: agree(
            whole, deposit, "whole_space", keys=KEYS, measured=["kendall", "spearman"], exact=["n"]
        ),
    )
    return dict(zip(("correlations", "whole_space"), found, strict=True))

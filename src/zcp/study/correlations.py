"""Every proxy against every accuracy: rank correlations with intervals."""

import time
from collections.abc import Iterator

import pandas as pd

from zcp.analysis.bootstrap import spearman_interval
from zcp.analysis.metrics import rank_scores, spearman
from zcp.analysis.scores import sign_of, usable
from zcp.ensemble.examples import Examples
from zcp.proxies.population import POPULATION
from zcp.proxies.registry import REGISTRY
from zcp.study.agreement import agree
from zcp.study.results import Deposit

CELL = ["space", "dataset"]
KEYS = ["proxy", *CELL]
#: Resamples of an interval.
RESAMPLES = 1000


def study(examples: Examples) -> Deposit:
    """Return the section's deposit: the table `correlations` (see `correlate`)."""
    start = time.perf_counter()
    table = correlate(examples)
    settings = {"target": examples.target, "resamples": RESAMPLES}
    provenance = examples.provenance(time.perf_counter() - start)
    return Deposit(f"correlations-{examples.target}", settings, {"correlations": table}, provenance)


def correlate(examples: Examples) -> pd.DataFrame:
    """Correlate every proxy with the accuracy in every cell.

    Scores are turned so that larger is expected to be better; what does not exist ranks last.

    Returns:
        proxy, space, dataset, n (networks), failed (scores that do not exist), spearman (signed: positive
        where the proxy points into the direction that its definition says), low, high (95 percent bootstrap
        interval over architectures; NaN like the correlation where the proxy is constant).
    """
    return pd.DataFrame(_rows(examples))


def _rows(examples: Examples) -> Iterator[dict[str, object]]:
    labels = examples.labels.reset_index(drop=True)
    for (space, dataset), cell in labels.groupby(CELL, sort=False):
        part = examples.take(cell.index.to_numpy())
        accuracy = part.accuracy.to_numpy(float)
        # Of a proxy that was withdrawn the direction is not known any more.
        for proxy in [str(name) for name in part.features if name in REGISTRY or name in POPULATION]:
            values = part.features[proxy].to_numpy(float)
            ranks = rank_scores(sign_of(proxy) * values)
            low, high = spearman_interval(ranks, accuracy, RESAMPLES, "bootstrap", space, dataset)
            found = {"proxy": proxy, "space": space, "dataset": dataset, "n": len(part)}
            found["failed"] = int((~usable(values)).sum())
            yield found | {"spearman": spearman(ranks, accuracy), "low": low, "high": high}


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare correlations computed now with the deposited ones.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    counts = ["n", "failed"]
    return agree(live, deposit, "correlations", keys=KEYS, measured=["spearman"], exact=counts, by=["proxy"])

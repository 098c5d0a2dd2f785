"""The post's conclusions against our numbers: each verdict follows from deposited results by a stated rule.

`confirmed`: the rule holds. `refined`: it holds in part, and how is said. `contradicted`: it does not hold.
"""

from typing import NamedTuple

import pandas as pd

from zcp.proxies.registry import get_proxy
from zcp.study.deeper_look import promise, ranks
from zcp.study.deeper_look.published import POST, post_tables
from zcp.study.results import Deposit

BASELINES = ("flops", "params")


class Verdict(NamedTuple):
    """One row of the summary.

    Attributes:
        claim: of the post, in our words.
        measure: what was measured, and the rule.
        post: what the post's own tables give.
        ours: what our deposits give.
        verdict: `confirmed`, `refined` or `contradicted`.
    """

    claim: str
    measure: str
    post: str
    ours: str
    verdict: str


def eight(deposit: Deposit) -> pd.DataFrame:
    """Return the correlations of the post's proxies with the ground truth of every task of the comparison."""
    table = deposit.tables["correlations"]
    return table[table["proxy"].isin(POST)]


def no_single_best(comparison: Deposit) -> Verdict:
    """No proxy is significantly better than all others: how many are tied with the best?"""
    theirs, ours = ranks.compare(post_tables()), ranks.compare(eight(comparison))
    tied = len(ours.tied)
    return Verdict(
        "Across tasks no single proxy is significantly better than the others",
        "proxies whose average rank is within Nemenyi's critical difference of the best; all of them: "
        "confirmed, one alone: contradicted",
        _tied(theirs),
        _tied(ours),
        "confirmed" if tied == len(ours.ranks) else "contradicted" if tied == 1 else "refined",
    )


def _tied(found: ranks.Comparison) -> str:
    return (
        f"{len(found.tied)} of {len(found.ranks)} on {found.tasks} tasks, best `{found.ranks.index[0]}` "
        f"(average rank {found.ranks.iloc[0]:.2f}, Friedman p = {found.p:.1g})"
    )


def baselines_compete(comparison: Deposit) -> Verdict:
    """Flops and params are competitive: are both tied with the best?"""
    theirs, ours = ranks.compare(post_tables()), ranks.compare(eight(comparison))
    near = [name in ours.tied for name in BASELINES]
    return Verdict(
        "`flops` and `params` are competitive baselines",
        "their average ranks; both within the critical difference of the best: confirmed, neither: "
        "contradicted",
        _baselines(theirs),
        _baselines(ours),
        "confirmed" if all(near) else "refined" if any(near) else "contradicted",
    )


def _baselines(found: ranks.Comparison) -> str:
    places = ", ".join(f"`{name}` {found.ranks[name]:.2f}" for name in BASELINES)
    return f"{places}; best {found.ranks.iloc[0]:.2f}, critical difference {found.critical:.2f}"


def independent_ones_vary(comparison: Deposit) -> Verdict:
    """Data-independent proxies are inconsistent: is their spread over tasks above that of the others?"""
    spreads = [_spread(post_tables()), _spread(eight(comparison))]
    texts = [
        f"`synflow` {found['least']['synflow']:.2f} to {found['most']['synflow']:.2f}, `params` "
        f"{found['least']['params']:.2f} to {found['most']['params']:.2f}; median range of data-dependent "
        f"ones {found.loc[~found['free'], 'range'].median():.2f}"
        for found in spreads
    ]
    ours = spreads[1]
    wider = ours.loc[ours["free"], "range"] > ours.loc[~ours["free"], "range"].median()
    verdict = "confirmed" if wider.all() else "refined" if wider.any() else "contradicted"
    return Verdict(
        "Data-independent proxies perform very inconsistently",
        "range of the correlation over tasks; that of `synflow` and of `params` above the median of the "
        "data-dependent proxies: confirmed, neither: contradicted",
        texts[0],
        texts[1],
        verdict,
    )


def _spread(table: pd.DataFrame) -> pd.DataFrame:
    found = table.groupby("proxy")["spearman"].agg(least="min", most="max")
    # The post counts flops as data-dependent, because it depends on the size of the input.
    free = [not get_proxy(str(name)).data and name != "flops" for name in found.index]
    spread: pd.DataFrame = found.assign(range=found["most"] - found["least"], free=free)
    return spread


def promise_together(predictor: Deposit, search: Deposit, combination: Deposit) -> Verdict:
    """Proxies help a predictor, a search, and one another: by how much, and is it the size that is cited?"""
    sizes = predictor.tables["runs"]["size"]
    gains = [promise.predictor_gain(predictor, int(size)) for size in (sizes.min(), sizes.max())]
    faster, pair = promise.search_speedup(search), promise.pair_gain(combination)
    queries = search_medians(search)
    # (lower limit, nothing gained, what is cited; of a pair nothing is)
    limits = [
        (gains[1].low, 0.0, promise.CITED_GAIN),
        (faster.low, 1.0, promise.CITED_SPEEDUP),
        (pair.low, 0, 0),
    ]
    helped = [low > nothing for low, nothing, _ in limits]
    as_cited = all(helped) and all(low >= cited for low, _, cited in limits)
    return Verdict(
        "Together with other methods proxies show great promise",
        "a predictor's gain with most trained architectures, the ratio of a search's queries, and a pair "
        "against the best single proxy, with 95 percent intervals over seeds; all intervals above what the "
        "post cites: confirmed, none above nothing gained: contradicted",
        "cites up to 20 percent for a predictor and 3 to 5 times fewer queries for a search",
        f"predictor: {gains[0].write('{:+.0f}')} percent with {sizes.min()} trained architectures, "
        f"{gains[1].write('{:+.0f}')} with {sizes.max()}; search: {faster.write('{:.1f}')} times fewer "
        f"queries (medians {queries['tpe'].mean():.0f} without, {queries['best'].mean():.0f} with proxies, "
        f"the strategy chosen on these searches); pair less single: {pair.write('{:+.3f}')}",
        "confirmed" if as_cited else "refined" if any(helped) else "contradicted",
    )


def search_medians(search: Deposit) -> pd.DataFrame:
    """Return median queries by dataset: tpe (no proxy), best (one strategy for all datasets), its names.

    The strategy is that of the least mean of medians among those with an optimiser and a proxy; a median
    beyond the budget counts as the budget.
    """
    budget = search.settings["budget"]
    medians = search.tables["summary"].assign(median=lambda t: t["median"].astype(float).fillna(budget))
    wide = medians.pivot(index="dataset", columns=["strategy", "proxy"], values="median")
    mixed = wide[[name for name in ("warm", "filter") if name in wide.columns.get_level_values(0)]]
    best = mixed.mean().idxmin()
    assert isinstance(best, tuple)
    both = pd.DataFrame({"tpe": wide["tpe", ""], "best": wide[best]})
    return both.assign(strategy=best[0], proxy=best[1])


def summarise(comparison: Deposit, predictor: Deposit, search: Deposit, combination: Deposit) -> pd.DataFrame:
    """Return the verdicts as a table: claim, measure, post, ours, verdict."""
    return pd.DataFrame(
        [
            no_single_best(comparison),
            baselines_compete(comparison),
            independent_ones_vary(comparison),
            promise_together(predictor, search, combination),
        ]
    )

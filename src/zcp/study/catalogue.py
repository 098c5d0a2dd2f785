"""What each proxy reads, costs and gives: one row a proxy, from the registry and from scoring."""

from collections.abc import Mapping, Sequence

import pandas as pd
from torch import nn

from zcp.data.batches import Batch
from zcp.proxies.registry import Proxy, get_proxy
from zcp.scoring import score

#: The taxonomy of the Deeper Look, by whether the values of the inputs matter.
GROUPS = {False: "data-independent", True: "data-dependent"}


def catalogue(
    networks: Mapping[str, nn.Module], batches: Sequence[Batch], proxies: Sequence[str]
) -> pd.DataFrame:
    """Score each network once with all proxies, on two batches or more, and tell what each proxy needs of it.

    Networks are by the name of their column; passes are counted on the first.

    Returns:
        One row a proxy, data-independent ones first: proxy, group, reads, weights (initialisation), passes
        (those that it reads, shared with others: f forward, b backward, d double backward), better, source, a
        column of scores for each network, and reasons (why scores are not finite; empty where all are).
    """
    scored = {name: score(network, batches, proxies) for name, network in networks.items()}
    first = next(iter(scored.values()))
    rows = []
    for proxy in map(get_proxy, proxies):
        steps = [first.step_passes[step] for step in first.steps[proxy.name] if step in first.step_passes]
        counts = {kind: sum(step[kind] for step in steps) for kind in _KINDS}
        reasons = [scores.reasons.get(proxy.name, "") for scores in scored.values()]
        rows.append(
            {
                "proxy": proxy.name,
                "group": GROUPS[proxy.data],
                "reads": reads(proxy),
                "weights": proxy.init,
                "passes": " ".join(f"{n}{_KINDS[kind]}" for kind, n in counts.items() if n) or "none",
                "better": "larger" if proxy.larger_is_better else "smaller",
                "source": proxy.source,
                **{name: scores[proxy.name] for name, scores in scored.items()},
                "reasons": "; ".join(dict.fromkeys(filter(None, reasons))),
            }
        )
    return pd.DataFrame(rows).sort_values("group", ascending=False, kind="stable", ignore_index=True)


_KINDS = {"forward": "f", "backward": "b", "double_backward": "d"}


def reads(proxy: Proxy) -> str:
    """Return what a proxy reads of its batches."""
    return "images and labels" if proxy.labels and proxy.data else "images" if proxy.data else "shape only"

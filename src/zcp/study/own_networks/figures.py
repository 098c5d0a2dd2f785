"""The figure of the page on networks of one's own."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from zcp.study.figures import styled


@styled
def plot_ranks(ranks: pd.DataFrame) -> Figure:
    """Draw the rank of each network (rows) under each proxy (columns); the best is on the left."""
    proxies = list(ranks.columns)
    figure, axis = plt.subplots(figsize=(6, 0.22 * len(proxies) + 1))
    places = {proxy: place for place, proxy in enumerate(proxies)}
    step = 0.5 / max(len(ranks), 1)
    for number, (name, row) in enumerate(ranks.iterrows()):
        known = row.dropna()
        # Ties lie side by side.
        offset = step * (number - (len(ranks) - 1) / 2)
        axis.scatter(known + offset, [places[str(p)] for p in known.index], label=str(name))
    axis.set_yticks(range(len(proxies)), proxies)
    axis.set_xticks(range(1, len(ranks) + 1))
    axis.set(xlabel="rank in the proxy's direction, 1 for the best", ylim=(len(proxies) - 0.5, -0.5))
    figure.legend(loc="outside upper center", ncols=len(ranks))
    return figure

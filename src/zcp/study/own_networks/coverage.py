"""Which proxies have a value on which models of a public library, and why not where not."""

import math
import time
from collections.abc import Iterable

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from zcp.optional import why_missing
from zcp.proxies.registry import default_proxies
from zcp.scoring import score
from zcp.statistics.flops import flops
from zcp.study.agreement import agree
from zcp.study.own_networks.zoo import MODELS, batches, build
from zcp.study.results import Deposit, compare_all
from zcp.versions import PACKAGES, versions

NAME = "own_networks"


def study() -> Deposit:
    """Return the deposit of all models.

    Raises:
        InputError: if `transformers` is not installed.
    """
    start = time.perf_counter()
    tables = {"coverage": coverage(MODELS), "models": measure(MODELS)}
    made = {
        "versions": versions((*PACKAGES, "transformers")),
        "seconds": round(time.perf_counter() - start, 1),
    }
    return Deposit(NAME, {"models": list(MODELS), "proxies": default_proxies()}, tables, made)


def coverage(names: Iterable[str]) -> pd.DataFrame:
    """Score models with all proxies: model, proxy, valued (1, or 0 without a finite value), reason."""
    rows = []
    for name in names:
        found = score(build(name), batches(name))
        for proxy, value in found.items():
            rows.append((name, proxy, int(math.isfinite(value)), found.reasons.get(proxy, "")))
    return pd.DataFrame(rows, columns=["model", "proxy", "valued", "reason"])


def measure(names: Iterable[str]) -> pd.DataFrame:
    """Count what models do: model, class, parameters, operations of one batch, pytorch.

    `operations` are multiply-accumulates as `zcp.flops` counts them, `pytorch` is half of what
    `FlopCounterMode` counts, with attention written out, of which it counts nothing when fused.
    """
    rows = []
    for name in names:
        model, inputs = build(name, eager=True).eval(), batches(name)[0][0]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(**inputs) if isinstance(inputs, dict) else model(inputs)
        parameters = sum(p.numel() for p in model.parameters())
        row = (name, MODELS[name][0], parameters, flops(model, inputs).total)
        rows.append((*row, counter.get_total_flops() // 2))
    return pd.DataFrame(rows, columns=["model", "class", "parameters", "operations", "pytorch"])


def check(deposit: Deposit, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Score some models anew, where `transformers` is installed, and compare which proxies have a value.

    Raises:
        DisagreementError: if others have, or a count differs.
    """
    if why_missing("transformers"):
        return {}
    names = list(names)
    keys, counts = ["model", "proxy"], ["parameters", "operations", "pytorch"]
    found = compare_all(
        lambda: agree(coverage(names), deposit, "coverage", keys=keys, exact=["valued"]),
        lambda: agree(measure(names), deposit, "models", keys=["model"], exact=counts),
    )
    return dict(zip(("coverage", "models"), found, strict=True))


def arrange(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row a proxy with a column a model, where reasons are numbers, and the list of reasons."""
    reasons = {text: n for n, text in enumerate(sorted({*table["reason"]} - {""}), 1)}
    cells = table.assign(cell=[f"{reasons[r]}" if r else "✓" for r in table["reason"]])
    wide = cells.pivot(index="proxy", columns="model", values="cell")
    wide = wide.loc[list(dict.fromkeys(table["proxy"])), list(dict.fromkeys(table["model"]))]
    listed = pd.DataFrame({"": list(map(str, reasons.values())), "reason": list(reasons)})
    return wide.reset_index(), listed

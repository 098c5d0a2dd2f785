"""Every check of a live slice, called as its page calls it, to be run again and again."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import pandas as pd

from zcp import golden
from zcp.collect import load_scores
from zcp.ensemble import splits
from zcp.ensemble.examples import Examples, read_examples, targets_at_hand
from zcp.ensemble.regressors import CHEAP
from zcp.optional import why_missing
from zcp.paths import GOLDEN, data_folder
from zcp.study import correlations, rescoring, results
from zcp.study.agreement import PARTS, name_groups, tabulate
from zcp.study.deeper_look import (
    biases,
    combination,
    comparison,
    decay,
    perturbation,
    predictor,
    search,
    spaces,
    training,
)
from zcp.study.greenfactory import (
    ceiling,
    elimination,
    evaluation,
    growing,
    histograms,
    intervals,
    leaks,
    learning_curves,
    nested,
    selection,
    transfer,
    tuning,
)
from zcp.study.greenfactory.published import PROXIES
from zcp.study.own_networks import coverage
from zcp.study.results import Deposit, DisagreementError

SCORES, LATER, EVERY = "green-nats-bench", "nats-b16", "every-b16"
#: Networks of each cell that are scored again; the quick page draws one, the first of them.
RESCORED = 2
#: Golden networks that every setting scores, one of them without an identity path; `oldest` scores all.
FEW = ("sss-0", "tss-11")
Found = pd.DataFrame | dict[str, pd.DataFrame]


class LiveCheck(NamedTuple):
    """One check.

    Attributes:
        name: of the deposit and the function.
        run: does what the page does; returns or raises as the check does.
        networks: whether networks run, so that PyTorch's settings matter.
    """

    name: str
    run: Callable[[], Found]
    networks: bool = False


# A run of all checks reads each file once: it is a process of its own, moved or not as a whole.
@cache
def _paper(target: str) -> Examples:
    return read_examples(SCORES, target, PROXIES)


@cache
def _whole(target: str) -> Examples:
    return read_examples(SCORES, target)


@cache
def _later(target: str) -> Examples:
    return read_examples(LATER, target)


def _selection(target: str) -> Found:
    rows, parts = _paper(target), []
    for names, treatments in ((CHEAP, list(selection.TREATMENTS)), (["Random Forest"], ["none"])):
        parts.append(selection.compare_regressors(rows, range(1), regressors=names, treatments=treatments))
    return selection.check(pd.concat(parts, ignore_index=True), results.read(f"model_selection-{target}"))


def _evaluation(target: str) -> Found:
    rows, name = _paper(target), "GreenFactory-Fast"
    deposit = results.read(f"evaluation-{target}")
    member = evaluation.Ensemble(**deposit.settings["ensembles"][name])
    parts = splits.split(rows, "grouped", 0)
    test = rows.take(parts.test)
    predicted = member.predict(member.fit(rows, parts.train, 0), test)
    live = evaluation.measure(test, {name: predicted}).assign(scheme="grouped", seed=0)
    return evaluation.check(live, deposit)


def _intervals(target: str) -> Found:
    return intervals.check(_whole(target), results.read(f"intervals-{target}"))


def _nested(target: str) -> Found:
    found = nested.check(_whole(target), results.read(f"nested-{target}"))
    return dict(zip(("cells", "trials"), found, strict=True))


def _comparison(target: str) -> Found:
    live = [task for task in comparison.our_tasks(LATER, target) if task.task == "cifar10"]
    return comparison.check(live, results.read(f"comparison-{target}"))


def _correlations(target: str) -> Found:
    collections = [read_examples(name, target) for name in (SCORES, EVERY)]
    return correlations.check(collections, results.read(f"correlations-{target}"))


def _golden(archs: Sequence[str]) -> Found:
    lines = pd.DataFrame(golden.check(GOLDEN / "golden.json", archs))
    found = lines.rename(
        columns={"key": "quantity", "found": "live", "expected": "deposited", "ok": "agrees"}
    )
    found = found[found["precision"] != "-"].assign(basis="golden")
    found["difference"] = found["live"] - found["deposited"]
    found = found[["arch", "precision", "quantity", "live", *PARTS]]
    found.attrs = {"deposit": "golden", "table": "values", "by": ["arch", "precision"]}
    return found


def _golden_archs() -> list[str]:
    return list(json.loads((GOLDEN / "golden.json").read_text())["values"])


def _rescored() -> Found:
    table = load_scores(SCORES)
    proxies = rescoring.choose_proxies(table, images=data_folder() is not None)
    return rescoring.score_again(table, rescoring.choose_rows(table, RESCORED), proxies)


def _search(target: str) -> Found:
    few = [search.Strategy("random"), search.Strategy("tpe"), search.Strategy("warm", "vote")]
    return search.check(_later(target), results.read(f"search-{target}"), few)


def _retrain() -> Found:
    rows = decay.read_rows("digits")
    return decay.retrain("digits", rows, training.Recipe(), [decay.STEADY])


def _of_target(target: str) -> list[LiveCheck]:
    def deposit(name: str) -> Deposit:
        return results.read(f"{name}-{target}")

    runs: dict[str, Callable[[], Found]] = {
        "histograms": lambda: histograms.check(deposit("histograms")),
        "ceiling": lambda: ceiling.check(deposit("ceiling")),
        "comparison": lambda: _comparison(target),
        "combination": lambda: combination.check(_later(target), deposit("combination")),
        "search": lambda: _search(target),
        "selection": lambda: _selection(target),
        "nested": lambda: _nested(target),
        "learning_curves": lambda: learning_curves.check(_whole(target), deposit("learning_curves")),
        "predictor": lambda: predictor.check(_later(target), deposit("predictor"), "cifar10"),
        "transfer": lambda: transfer.check(_whole(target), deposit("transfer")),
        "intervals": lambda: _intervals(target),
        "evaluation": lambda: _evaluation(target),
        "growing": lambda: growing.check(_paper(target), deposit("rows")),
        "correlations": lambda: _correlations(target),
        "leaks": lambda: leaks.check(_whole(target), deposit("leaks")),
        "elimination": lambda: elimination.check(_paper(target), deposit("feature_elimination")),
        "tuning": lambda: tuning.check(_paper(target), deposit("tuning"), 2),
    }
    return [LiveCheck(f"{name}-{target}", run) for name, run in runs.items()]


def live_checks() -> list[LiveCheck]:
    """Return the checks that the data at hand allow: those of the targets, then those without one."""
    targets = [target for target in ("test", "valid") if target in targets_at_hand()]
    found = [check for target in targets for check in _of_target(target)]
    for space in ("tss", "transnas", "darts"):
        run = lambda space=space: spaces.check(space, results.read(f"deeper_{space}"))  # noqa: E731
        found.append(LiveCheck(f"spaces-{space}", run))
    return [
        *found,
        LiveCheck("biases", lambda: biases.check(LATER, results.read("biases"))),
        LiveCheck("decay", lambda: decay.check(decay.read_rows("digits"), results.read("decay-digits"))),
        LiveCheck("retrain", _retrain, networks=True),
        LiveCheck("golden-few", lambda: _golden(FEW), networks=True),
        LiveCheck("golden-rest", lambda: _golden([a for a in _golden_archs() if a not in FEW])),
        LiveCheck("rescored", _rescored, networks=True),
        LiveCheck(
            "perturbation",
            lambda: perturbation.check(results.read("perturbation"), "naswot"),
            networks=True,
        ),
        *_of_the_zoo(),
    ]


def _of_the_zoo() -> list[LiveCheck]:
    if why_missing("transformers"):
        return []
    run = lambda: coverage.check(results.read(coverage.NAME), ["resnet"])  # noqa: E731
    return [LiveCheck("coverage", run, networks=True)]


def run_check(check: LiveCheck) -> pd.DataFrame:
    """Run a check and return one row a value, whether it agrees or not.

    Returns:
        check, deposit, table, group (see `zcp.study.agreement.name_groups`), key (text of the row's keys),
        quantity, live, deposited, difference, tolerance, agrees, basis.

    Raises:
        DisagreementError: if it fails without a table.
    """
    try:
        found = check.run()
    except DisagreementError as error:
        tables = [part.table for part in error.parts if len(part.table)] + error.agreed
        if not tables:
            raise
    else:
        tables = list(found.values()) if isinstance(found, dict) else [found]
    parts = [table if "quantity" in table else tabulate(table) for table in tables]
    return pd.concat([_name(check.name, part) for part in parts], ignore_index=True)


def _name(check: str, table: pd.DataFrame) -> pd.DataFrame:
    columns = [str(column) for column in table]
    keys = columns[: columns.index("quantity")]
    names = {
        "check": check,
        "deposit": table.attrs["deposit"],
        "table": table.attrs["table"],
        "group": name_groups(table, table.attrs["by"]),
        "key": name_groups(table, keys),
    }
    return pd.DataFrame(names, index=table.index).join(table[["quantity", "live", *PARTS]])

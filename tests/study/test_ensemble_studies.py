"""Selection, elimination, tuning and evaluation on made-up rows, where the right answer is known."""

from itertools import pairwise

import numpy as np
import optuna
import pandas as pd
import pytest
from ensembles import PROXIES, make_examples
from joblib import Memory
from scipy.stats import kendalltau
from sklearn.dummy import DummyRegressor
from sklearn.feature_selection import RFE

from zcp.ensemble.regressors import REGRESSORS, build_forest, build_regressor
from zcp.ensemble.splits import split
from zcp.errors import InputError
from zcp.study import results
from zcp.study.cost.costs import Costs, compare_costs, read_costs
from zcp.study.greenfactory import (
    elimination,
    evaluation,
    finalists,
    fits,
    paper,
    published,
    selection,
    summaries,
    tuning,
)
from zcp.study.greenfactory.hyperparameters import MAX_FEATURES, RANGES, build_tuned, published_setting
from zcp.study.results import Deposit, DisagreementError

COSTS = Costs(
    {"passes": 2.0, "params": 0.5, "zico": 1.0, "naswot": 0.25, "flops": 0.0},
    {"params": ["params"], "zico": ["passes", "zico"], "naswot": ["passes", "naswot"], "flops": ["flops"]},
)
FAST = ["Decision Tree", "Linear", "SGD"]
FOREST = {"n_estimators": 20, "max_features": "sqrt", "min_samples_leaf": 1}


@pytest.fixture(scope="module")
def rows():
    return make_examples(20)


def changed(deposit: Deposit, table: str, column: str, factor: float) -> Deposit:
    tables = {**deposit.tables, table: deposit.tables[table].assign(**{column: lambda t: factor * t[column]})}
    return Deposit(deposit.name, deposit.settings, tables, deposit.provenance)


def test_every_regressor_of_the_paper_is_there():
    assert set(REGRESSORS) == set(published.read_table("2")["name"])
    with pytest.raises(InputError, match="unknown regressor 'Lasso'"):
        build_regressor("Lasso", 0)


def error_on_others(model, dataset):
    """Return the error on networks that were not fitted, in deviations of their accuracies."""
    rows = make_examples(60)
    mine, odd = rows.labels["dataset"].eq(dataset), rows.labels["index"] % 2 == 1
    seen, others = (rows.take(np.flatnonzero(mine & half)) for half in (~odd, odd))
    errors = model.fit(seen.features, seen.accuracy).predict(others.features) - others.accuracy
    return np.sqrt(np.mean(errors**2)) / others.accuracy.std()


@pytest.mark.parametrize("dataset", ["cifar10", "ImageNet16-120"])
def test_regressors_learn_from_proxies_that_may_have_failed(dataset):
    for name in REGRESSORS:
        assert error_on_others(build_regressor(name, 0, standardize=True), dataset) < 0.6, name
    assert error_on_others(DummyRegressor(), dataset) > 0.9  # the mean of the dataset learns nothing


def _part(rows, scheme, seed, name):
    part = rows.take(getattr(split(rows, scheme, seed), name))
    return part.features, part.accuracy


def test_selection_fits_each_treatment_and_agrees_with_itself(rows):
    fits = selection.compare_regressors(rows, [0, 1], regressors=FAST)
    assert len(fits) == 2 * (2 * 4 + 1)
    assert set(fits.loc[fits["regressor"] == "SGD", "data"]) == {"standardized"}
    slow = build_regressor("Decision Tree", 1).fit(*_part(rows, "random", 1, "train"))
    held, measured = _part(rows, "random", 1, "validation")
    error = np.sqrt(np.mean((slow.predict(held) - measured) ** 2))
    where = "regressor == 'Decision Tree' and data == 'none' and seed == 1"
    assert fits.query(where)["rmse"].item() == pytest.approx(error)
    deposit = Deposit("d", {"seeds": [0, 1]}, {"fits": fits, "summary": selection.summarise(fits)})
    again = selection.compare_regressors(rows, [1, 7], regressors=FAST)
    assert set(selection.check(again, deposit)["seed"]) == {1}
    with pytest.raises(DisagreementError, match="nothing was compared"):
        selection.check(again[again["seed"] == 7], deposit)
    with pytest.raises(DisagreementError, match="rmse"):
        selection.check(again, changed(deposit, "fits", "rmse", 1.01))


def test_selection_stands_beside_the_paper(rows):
    summary = selection.summarise(selection.compare_regressors(rows, [0], regressors=FAST))
    twin = paper.compare_regressors(summary).set_index(["regressor", "data"])
    assert twin.loc[("Decision Tree", "none"), "paper_mean"] == 1.56
    row = twin.loc[("Linear", "standardized")]
    assert row["difference"] == pytest.approx(row["mean"] - 4.08)
    assert np.isnan(twin.loc[("Linear", "stratified_after"), "paper_mean"])
    assert twin.loc[("Linear", "stratified_after"), "verdict"] == ""
    assert (twin["low"] < twin["mean"]).all() and (twin["mean"] < twin["high"]).all()
    assert row["verdict"] == paper.verdict(4.08, row["low"], row["high"])


def test_a_killed_selection_goes_on(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(fits, "MEMORY", Memory(tmp_path, verbose=0))
    options = {"regressors": FAST, "keep": True}
    first = selection.compare_regressors(rows, [0], **options)
    with monkeypatch.context() as patch:
        patch.setattr(selection, "split", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            selection.compare_regressors(rows, [0, 1], **options)
        pd.testing.assert_frame_equal(selection.compare_regressors(rows, [0], **options), first)
    again = selection.compare_regressors(rows, [0, 1], **options)
    pd.testing.assert_frame_equal(again[again["seed"] == 0].reset_index(drop=True), first)


def test_our_own_treatment_gets_five_seeds_at_most(rows):
    fits = selection.compare_regressors(rows, range(7), regressors=["Linear"])
    assert fits["data"].value_counts().to_dict() == dict.fromkeys(selection.PUBLISHED, 7) | {
        "stratified_after": 5
    }


def test_shared_steps_are_charged_once():
    assert COSTS(["zico"]) == 3.0 and COSTS(["naswot"]) == 2.25
    assert COSTS(["zico", "naswot", "dataset=cifar10"]) == 3.25
    assert COSTS(["dataset=cifar10"]) == 0.0
    table = compare_costs(COSTS)
    assert table["added"].sum() == pytest.approx(1e3 * COSTS(list(COSTS.steps)))
    assert (table["added"] <= table["alone"]).all()


def test_costs_come_from_the_collection():
    scores = pd.DataFrame({"zico": [1.0, 2.0], "seconds_zico": [1.0, 3.0], "seconds_gone": [np.nan, np.nan]})
    scores = scores.assign(space="tss", dataset="cifar10")
    scores.attrs["settings"] = {"steps": {"zico": ["zico"], "zen": ["gone"]}}
    costs = read_costs(scores)
    assert costs(["zico"]) == 2.0
    with pytest.raises(InputError, match="no time of gone"):
        costs(["zen"])
    with pytest.raises(InputError, match="no time of snip"):
        costs(["snip"])


def test_seconds_are_those_of_a_hundred_networks_of_each_cell():
    cells = [
        pd.DataFrame({"space": "tss", "dataset": dataset, "seconds_zico": np.full(size, value)})
        for dataset, size, value in (("cifar10", 300, 1.0), ("cifar100", 100, 3.0))
    ]
    scores = pd.concat(cells, ignore_index=True)
    scores.attrs["settings"] = {"steps": {"zico": ["zico"]}}
    assert read_costs(scores)(["zico"]) == 2.0
    assert read_costs(scores, networks=400)(["zico"]) == 1.5


def test_az_nas_costs_what_its_parts_cost():
    scores = pd.DataFrame({"space": ["tss"], "dataset": ["cifar10"], "seconds_a": [1.0], "seconds_b": [2.0]})
    steps = {"expressivity": ["a"], "progressivity": ["a"], "trainability": ["b"], "flops": []}
    scores.attrs["settings"] = {"steps": steps}
    assert read_costs(scores)(["az_nas"]) == read_costs(scores)(["az_nas", "trainability"]) == 3.0


def test_trade_off_is_the_mean_of_scaled_columns():
    scores = elimination.trade_off(pd.Series([13.0, 1.0, 2.5]), pd.Series([1.0, 5.0, 3.0]))
    assert scores.tolist() == pytest.approx([0.5, 0.5, 0.5 * (1.5 / 12 + 0.5)])
    assert elimination.trade_off(pd.Series([1.0, 2.0]), pd.Series([4.0, 4.0])).tolist() == [0.0, 0.5]


def test_elimination_keeps_what_matters(rows):
    deposit = elimination.study(rows, COSTS, scheme="grouped", seed=0, keep=False)
    steps = deposit.tables["steps"]
    assert steps["count"].tolist() == list(range(1, len(PROXIES) + 4))
    assert steps["selected"].iloc[0] in ("zico", "params")
    sets = [set(names.split(",")) for names in steps["selected"]]
    assert all(small < large for small, large in pairwise(sets))
    assert steps["dropped"].tolist()[1:] == [(b - a).pop() for a, b in pairwise(sets)]
    picks = deposit.settings["picks"]
    assert len(picks["GreenFactory"]) == steps.loc[steps["rmse"].idxmin(), "count"]
    assert len(picks["GreenFactory-Fast"]) == steps.loc[steps["score"].idxmin(), "count"]
    assert elimination.check(rows, deposit)["rmse_difference"].abs().max() == 0
    with pytest.raises(DisagreementError, match="rmse"):
        elimination.check(rows, changed(deposit, "steps", "rmse", 1.01))


def test_elimination_is_scikit_learns(rows):
    parts = split(rows, "random", 0)
    train = rows.take(parts.train)
    forest = build_forest(0)
    values = forest[:-1].fit_transform(train.features)
    ranking = RFE(forest[-1], n_features_to_select=1).fit(values, train.accuracy).ranking_
    theirs = [name for _, name in sorted(zip(ranking, rows.features, strict=True))]
    steps = elimination.eliminate(rows, COSTS, scheme="random", seed=0)
    assert steps["dropped"].tolist() == theirs


def test_a_killed_elimination_goes_on(rows, tmp_path, monkeypatch):
    options = {"scheme": "random", "seed": 0, "keep": True}
    monkeypatch.setattr(fits, "MEMORY", Memory(tmp_path, verbose=0))
    begun = 0

    def cost(features):  # is asked after each fit; the run is killed after the fourth
        nonlocal begun
        begun += 1
        if begun == 4:
            raise KeyboardInterrupt
        return COSTS(features)

    with pytest.raises(KeyboardInterrupt):
        elimination.eliminate(rows, cost, **options)
    count = count_fits(monkeypatch)
    again = elimination.eliminate(rows, COSTS, **options)
    assert len(count) == len(again) - 4
    whole = elimination.eliminate(rows, COSTS, **options | {"keep": False})
    pd.testing.assert_frame_equal(again.drop(columns="fitted_in"), whole.drop(columns="fitted_in"))


def count_fits(monkeypatch):
    """Count the forests that `elimination` builds from now on."""
    made = []
    build = elimination.build_forest
    monkeypatch.setattr(elimination, "build_forest", lambda seed: made.append(seed) or build(seed))
    return made


def test_elimination_stands_beside_the_paper(rows):
    twin = paper.compare_elimination(elimination.eliminate(rows, COSTS, scheme="random", seed=0))
    row = twin.set_index("count").loc[6]
    assert (row["rmse_paper"], row["seconds_paper"]) == (1.282, 3.589)
    assert row["difference"] == row["rmse"] - 1.282
    assert row["verdict"] == paper.verdict(1.282, row["low"], row["high"]) != ""


def test_eliminations_check_notices_another_first_step(rows):
    deposit = elimination.study(rows, COSTS, scheme="random", seed=0, keep=False)
    deposit.tables["steps"].loc[len(deposit.tables["steps"]) - 1, "dropped"] = "zico"
    with pytest.raises(DisagreementError, match="first feature to go") as caught:
        elimination.check(rows, deposit)
    assert len(caught.value.table) == 2 and caught.value.table["rmse_agrees"].all()
    with pytest.raises(DisagreementError, match=r"rmse of .*; the first feature to go") as caught:
        elimination.check(rows, changed(deposit, "steps", "rmse", 1.01))
    assert len(caught.value.parts) == 2


def test_settings_of_the_paper_are_its_table():
    assert published_setting("GreenFactory-Fast") == {
        "n_estimators": 945,
        "max_features": 10,
        "min_samples_split": 3,
        "min_samples_leaf": 1,
        "max_depth": 73,
        "bootstrap": False,
    }


def test_ranges_are_those_of_the_paper():
    assert RANGES["n_estimators"] == (10, 1000) and RANGES["max_depth"] == (10, 100)
    assert MAX_FEATURES == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "sqrt", "log2"]


def test_features_a_split_are_cut_to_those_there_are(rows):
    model = build_tuned({**FOREST, "max_features": 10}, 2, 0)
    assert model[-1].max_features == 2
    assert build_tuned(FOREST, 2, 0)[-1].max_features == "sqrt"


@pytest.fixture
def small_forests(monkeypatch):
    from zcp.study.greenfactory import hyperparameters

    monkeypatch.setitem(hyperparameters.RANGES, "n_estimators", (2, 6))


def trials_of(study: optuna.Study):
    return [(t.params, t.value) for t in study.trials]


def test_a_resumed_search_is_an_undisturbed_one(rows, tmp_path, small_forests):
    options = {"scheme": "random", "seed": 0}
    whole = tuning.tune(rows, PROXIES, 13, **options)
    storage = tmp_path / "trials.db"
    tuning.tune(rows, PROXIES, 4, **options, storage=storage)
    name = optuna.get_all_study_names(f"sqlite:///{storage}")[0]
    killed = optuna.load_study(study_name=name, storage=f"sqlite:///{storage}")
    killed.ask()  # a trial that a killed process left unfinished
    resumed = tuning.tune(rows, PROXIES[::-1], 13, **options, storage=storage)
    assert trials_of(resumed) == trials_of(whole)
    assert trials_of(tuning.tune(rows, PROXIES, 3, **options, storage=storage)) == trials_of(whole)[:3]


def test_trials_of_other_data_are_never_mixed(rows, tmp_path, small_forests):
    storage = tmp_path / "trials.db"
    for each, seed in ((rows, 0), (make_examples(30, seed=1), 0), (rows, 1)):
        assert len(tuning.tune(each, PROXIES, 2, scheme="random", seed=seed, storage=storage).trials) == 2
    assert len(optuna.get_all_study_names(f"sqlite:///{storage}")) == 3


def _columns(rows, part, features):
    values, accuracy = _part(rows, "random", 0, part)
    return values[sorted(features)], accuracy


def test_tuning_deposit_checks_itself(rows, tmp_path, small_forests):
    picks = {"GreenFactory": PROXIES, "GreenFactory-Fast": ["zico"]}
    deposit = tuning.study(rows, picks, 5, scheme="random", seed=0, storage=tmp_path / "t.db")
    results.write(deposit, tmp_path)
    deposit = results.read(deposit.name, tmp_path)
    trials = deposit.tables["trials"]
    assert (trials.groupby("ensemble")["rmse"].cummin() == trials["best"]).all()
    assert deposit.tables["importances"].groupby("ensemble")["importance"].sum().round(6).eq(1).all()
    assert len(tuning.check(rows, deposit, 2)) >= 4
    finals = deposit.tables["finals"].query("ensemble == 'GreenFactory'").set_index("setting")
    assert tuple(finals.index[-2:]) == finalists.OTHERS and len(finals) <= finalists.FINALISTS + 2
    assert finals["test_low"].le(finals["test_high"]).all() and (finals["test_rmse"] != finals["rmse"]).all()
    features, best = picks["GreenFactory"], deposit.settings["best"]["GreenFactory"]
    model = build_tuned(best, len(features), 0).fit(*_columns(rows, "train", features))
    held, measured = _columns(rows, "validation", features)
    error = np.sqrt(np.mean((model.predict(held) - measured) ** 2))
    winner = finals.loc[str(deposit.settings["winners"]["GreenFactory"])]
    assert winner["rmse"] == finals["rmse"].drop([*finalists.OTHERS]).min() == pytest.approx(error)
    assert winner["estimated"] == pytest.approx(error, rel=0.5)  # another forest of six trees at most
    with pytest.raises(DisagreementError, match="ensemble"):
        tuning.check(rows, changed(deposit, "trials", "rmse", 0.99), 2)


@pytest.fixture(scope="module")
def many():
    return make_examples(80)


@pytest.fixture(scope="module")
def evaluated(many):
    ensembles = {
        "GreenFactory": evaluation.Ensemble([*PROXIES, "dataset=cifar10", "dataset=cifar100"], FOREST),
        "GreenFactory-Fast": evaluation.Ensemble(["zico"], FOREST),
    }
    return evaluation.study(many, ensembles, [0, 1], keep=False)


def test_evaluation_measures_every_name_in_every_cell(evaluated):
    cells = evaluated.tables["cells"]
    assert len(cells) == 5 * 2 * 6 * (len(PROXIES) + 2)
    is_ensemble = cells["name"].isin(["GreenFactory", "GreenFactory-Fast"])
    assert (cells["rmse"].notna() == is_ensemble).all()
    assert (cells.loc[cells["name"] != "naswot", "failed"] == 0).all()
    means = cells.groupby("name")["abs_kendall"].mean()
    assert means["GreenFactory"] > 0.6 > means["naswot"]


def test_a_cell_is_the_correlation_over_its_test_rows(many, evaluated):
    test = many.take(split(many, "grouped", 1).test)
    cell = (test.labels["space"] == "tss") & (test.labels["dataset"] == "cifar100")
    slow = kendalltau(test.features.loc[cell, "zico"], test.accuracy[cell]).statistic
    where = (
        "scheme == 'grouped' and seed == 1 and name == 'zico' and space == 'tss' and dataset == 'cifar100'"
    )
    row = evaluated.tables["cells"].query(where).iloc[0]
    assert row["abs_kendall"] == pytest.approx(abs(slow)) and row["n"] == cell.sum()


def test_a_kept_evaluation_grows(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(fits, "MEMORY", Memory(tmp_path, verbose=0))
    ensembles = {"GreenFactory-Fast": evaluation.Ensemble(["zico"], FOREST)}
    first = evaluation.study(rows, ensembles, [0], schemes=["random"])
    split_of, seeds = evaluation.split, []
    monkeypatch.setattr(evaluation, "split", lambda *a: seeds.append(a[-1]) or split_of(*a))
    both = evaluation.study(rows, ensembles, [0, 1], schemes=["random"])
    assert seeds == [1]
    mine = both.tables["cells"].query("seed == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, first.tables["cells"])
    evaluation.study(make_examples(30), ensembles, [0], schemes=["random"])
    other = {"GreenFactory-Fast": evaluation.Ensemble(["params"], FOREST)}
    evaluation.study(rows, other, [0], schemes=["random"])
    assert seeds == [1, 0, 0]


def test_evaluation_checks_itself(many, evaluated, tmp_path):
    results.write(evaluated, tmp_path)
    deposit = results.read(evaluated.name, tmp_path)
    ensembles = {n: evaluation.Ensemble(**e) for n, e in deposit.settings["ensembles"].items()}
    parts = split(many, "random", 1)
    test = many.take(parts.test)
    predicted = {n: e.predict(e.fit(many, parts.train, 1), test) for n, e in ensembles.items()}
    live = evaluation.measure(test, predicted).assign(scheme="random", seed=1)
    assert len(evaluation.check(live, deposit)) == len(live)
    with pytest.raises(DisagreementError, match="abs_kendall"):
        evaluation.check(live, changed(deposit, "cells", "abs_kendall", 0.99))
    for column in ("rmse", "top_kendall", "regret", "ndcg"):
        with pytest.raises(DisagreementError, match=column):
            evaluation.check(live, changed(deposit, "cells", column, 0.98))
    blind = {name: np.full(len(test), many.accuracy.mean()) for name in predicted}
    with pytest.raises(DisagreementError, match="GreenFactory"):
        evaluation.check(evaluation.measure(test, blind).assign(scheme="random", seed=1), deposit)


def test_a_proxy_alone_is_correlated_over_all_rows(many, evaluated):
    summary = evaluated.tables["summary"].query("name == 'zico'").set_index(["scheme", "space", "dataset"])
    cell = (many.labels["space"] == "tss") & (many.labels["dataset"] == "cifar100")
    whole = kendalltau(many.features.loc[cell, "zico"], many.accuracy[cell]).statistic
    for scheme in ("isomorphic", "grouped", "random"):
        row = summary.loc[(scheme, "tss", "cifar100")]
        assert row["abs_kendall"] == pytest.approx(abs(whole), abs=1e-6) and row["rows"] == cell.sum()
        assert row["abs_kendall_low"] < row["abs_kendall"] < row["abs_kendall_high"]
    copies = np.concatenate(split(many, "stratified", 0))
    drawn = copies[cell.to_numpy()[copies]]
    repeated = kendalltau(many.features["zico"][drawn], many.accuracy[drawn]).statistic
    found = summary.loc[("stratified", "tss", "cifar100"), "abs_kendall"]
    assert found == pytest.approx(abs(repeated), abs=1e-6) and len(drawn) > cell.sum()


def test_a_mean_over_cells_has_the_interval_of_dependent_cells(evaluated):
    means, summary = evaluated.tables["means"], evaluated.tables["summary"]
    mine = means.query("scheme == 'grouped' and name == 'zico' and metric == 'abs_kendall'").iloc[0]
    cells = summary.query("scheme == 'grouped' and name == 'zico'")
    assert mine["mean"] == pytest.approx(cells["abs_kendall"].mean())
    assert mine["low"] < mine["mean"] < mine["high"]
    # The three cells of a space hold the same networks in the same order: one is no wider than their mean.
    half = (cells["abs_kendall_high"] - cells["abs_kendall_low"]) / 2
    assert (mine["high"] - mine["low"]) / 2 > 1.05 * np.sqrt((half**2).sum()) / len(half)


def test_figure_3_is_of_the_stratified_rows(evaluated):
    shares = evaluated.tables["importances"]
    assert set(shares["seed"]) == {0} and {"stratified", "stratified_grouped"} <= set(shares["scheme"])
    assert shares.groupby(["scheme", "ensemble"])["importance"].sum().round(6).eq(1).all()


def test_evaluation_stands_beside_the_paper(evaluated):
    twin = paper.compare_evaluation(evaluated.tables["summary"])
    keys = ["scheme", "published", "space", "dataset", "metric"]
    assert not twin.duplicated(keys).any()
    row = twin.set_index(keys).loc[("random", "GreenFactory", "sss", "cifar10", "abs_kendall")]
    assert row["paper"] == 0.907 and row["difference"] == pytest.approx(row["ours"] - 0.907)
    schemes = twin.groupby(["reading", "data"])["scheme"].unique().str[0].to_dict()
    assert schemes == {
        ("rows", "random"): "random", ("rows", "stratified"): "stratified",
        ("networks", "random"): "grouped", ("networks", "stratified"): "stratified_grouped",
    }  # fmt: skip
    assert {"#Params", "NASWOT", "ZiCo"} <= set(twin["published"])


def test_tables_of_the_page_hold_what_was_measured(evaluated):
    summary = evaluated.tables["summary"]
    table = summaries.compare_schemes(summary, ["GreenFactory", "zico"]).set_index(["name", "split"])
    where = "scheme == 'grouped' and name == 'zico' and space == 'tss' and dataset == 'cifar10'"
    assert table.loc[("zico", "grouped"), "tss cifar10"] == summary.query(where)["abs_kendall"].iloc[0]
    assert [split for name, split in table.index if name == "zico"] == list(summaries.SCHEMES)
    twin = paper.compare_evaluation(summary).query("scheme == 'random'")
    shown = paper.show_twin(twin, "abs_kendall").set_index("published")
    where = "published == 'ZiCo' and metric == 'abs_kendall' and space == 'sss' and dataset == 'cifar10'"
    row = twin.query(where).iloc[0]
    mark = {"inside": "=", "above": "↑", "below": "↓"}[row["verdict"]]
    numbers = (
        f"{row['ours']:.2f} [{row['low']:.2f}, {row['high']:.2f}], 0.73, {row['difference']:+.2f} {mark}"
    )
    assert shown.loc["ZiCo", "sss cifar10"] == numbers
    counts = paper.count_verdicts(twin)
    assert counts[["inside", "above", "below"]].to_numpy().sum() == (twin["verdict"] != "").sum() > 0


def test_published_names_are_all_known():
    assert set(published.read_table("5", "6", "8", "9")["name"]) == set(published.COLUMNS)
    assert len(published.PROXIES) == 23
    with pytest.raises(InputError, match="no table 12"):
        published.read_table("12")

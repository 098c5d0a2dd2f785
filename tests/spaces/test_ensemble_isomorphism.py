from collections import Counter

import numpy as np
import pandas as pd
import pytest
from ensembles import make_examples

from zcp import benchmarks
from zcp.benchmarks.tasks import NATS, read_table
from zcp.ensemble.splits import one_name, split
from zcp.errors import InputError
from zcp.paths import data_folder
from zcp.spaces import get_space
from zcp.spaces.cells import EDGES
from zcp.spaces.isomorphism import canonical_form, name_classes
from zcp.spaces.tss import parse_cell

TSS = get_space("tss")
ARCHS = [TSS.arch(index) for index in range(TSS.size)]


def cell(first, second, third):
    return "+".join(
        f"|{'|'.join(f'{op}~{i}' for i, op in enumerate(node))}|" for node in (first, second, third)
    )


def benchmark_form(arch):
    """Return the text by which the benchmark compares cells: `#` is a node or edge that carries nothing."""
    written, operations = {0: "0"}, dict(zip(EDGES, parse_cell(arch), strict=True))
    for node in (1, 2, 3):
        terms = []
        for source in range(node):
            operation, value = operations[source, node], written[source]
            if operation == "none" or value == "#":
                terms.append("#")
            else:
                terms.append(value if operation == "skip_connect" else f"({value})@{operation}")
        written[node] = "+".join(sorted(terms))
    return written[3]


def test_names_of_one_network_agree():
    conv, skip, none = "nor_conv_3x3", "skip_connect", "none"
    through_one = cell([conv], [none, none], [none, skip, none])
    through_two = cell([none], [conv, none], [none, none, skip])
    at_once = cell([none], [none, none], [conv, none, none])
    assert canonical_form(through_one) == canonical_form(through_two) == canonical_form(at_once)
    assert canonical_form(at_once) != canonical_form(cell([none], [none, none], ["nor_conv_1x1", none, none]))


def test_dead_edges_do_not_count():
    conv, skip, none = "nor_conv_3x3", "skip_connect", "none"
    dead_end = cell([none], [none, conv], [skip, none, conv])
    assert canonical_form(dead_end) == "0"
    assert benchmark_form(dead_end) != benchmark_form(cell([none], [none, none], [skip, none, none]))


def test_every_cell_without_a_path_is_dead_and_counts_for_itself():
    rows = make_examples(2).labels.iloc[:0]
    dead = [i for i, arch in enumerate(ARCHS) if not canonical_form(arch)]
    rows = rows.reindex(range(len(dead))).assign(space="tss", index=dead, dataset="cifar10")
    assert len(dead) == 341 and name_classes(rows).is_unique


def test_classes_are_unions_of_the_benchmark_s():
    ours, theirs = [canonical_form(a) for a in ARCHS], [benchmark_form(a) for a in ARCHS]
    assert len(set(theirs)) == 6466 and len(set(ours)) == 4930
    assert max(Counter(pair[1] for pair in set(zip(ours, theirs, strict=True))).values()) == 1


@pytest.mark.skipif(data_folder() is None, reason="no data folder")
def test_benchmark_form_gives_the_classes_of_the_table():
    assert [benchmark_form(a) for a in ARCHS] == read_table(NATS)["unique_str"].tolist()


@pytest.mark.skipif(data_folder() is None, reason="no data folder")
def test_a_dead_cell_scores_chance():
    accuracy = benchmarks.load("tss").accuracy("cifar10")
    assert set(accuracy[[not canonical_form(arch) for arch in ARCHS]]) == {10.0}


def test_malformed_cells_are_refused():
    with pytest.raises(InputError, match="malformed cell"):
        canonical_form("|none~0|")


@pytest.mark.parametrize("scheme", ["isomorphic", "stratified_isomorphic"])
def test_no_class_is_on_two_sides(scheme):
    rows = make_examples(60)
    classes = name_classes(rows.labels).to_numpy()
    sides = [set(classes[part]) for part in split(rows, scheme, 0)]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert all(map(len, sides)) and len(set().union(*sides)) == len(np.unique(classes))


def test_one_name_of_a_network_is_tested_in_all_its_rows():
    rows = make_examples(60)
    names = pd.DataFrame({"class": name_classes(rows.labels), "name": rows.architectures})
    tested = names.iloc[split(rows, "isomorphic", 0).test]
    assert tested.groupby("class")["name"].nunique().max() == 1
    assert len(tested) == names["name"].isin(tested["name"]).sum()
    # Someone has several, and another seed draws another one.
    classes = names.groupby("class")["name"].nunique()
    twins = np.flatnonzero(names["class"].isin(classes.index[classes > 1]))
    drawn = [set(names["name"].iloc[one_name(rows, twins, seed)]) for seed in range(5)]
    assert len(twins) and len(set(map(frozenset, drawn))) > 1
    copies = np.repeat(twins, 2)
    assert np.array_equal(one_name(rows, copies, 0), np.repeat(one_name(rows, twins, 0), 2))

from ensembles import make_examples

from zcp.spaces import get_space
from zcp.study.greenfactory.architectures import (
    CELL_COLUMNS,
    WIDTH_COLUMNS,
    choose_columns,
    encode_architectures,
)


def test_every_row_tells_its_architecture():
    rows = make_examples(12)
    table = encode_architectures(rows.labels)
    tss = (rows.labels["space"] == "tss").to_numpy()
    assert (table.loc[tss, CELL_COLUMNS].sum(axis=1) == 6).all()
    assert (table.loc[tss, WIDTH_COLUMNS] == 0).all(axis=None)
    index = rows.labels.loc[~tss, "index"].iloc[5]
    assert ":".join(str(int(v)) for v in table[~tss].iloc[5][WIDTH_COLUMNS]) == get_space("sss").arch(index)
    networks = rows.labels.drop_duplicates(["space", "index"])
    assert len(table.loc[networks.index].drop_duplicates()) == len(networks)


def test_kinds_of_columns():
    rows = make_examples(3)
    datasets = {c for c in rows.features if c.startswith("dataset=")}
    encoding = set(choose_columns(rows, "encoding"))
    assert datasets < encoding and "params" not in encoding
    assert set(choose_columns(rows, "proxies")) == set(rows.features)
    assert set(choose_columns(rows, "both")) == encoding | set(rows.features)

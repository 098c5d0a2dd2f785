"""GreenFactory's published tables, as data, and which of our columns each of their rows is.

`PROXIES` are the paper's 23: with the dataset in one-hot coding they make its 26 features. A collection may
hold more; the protocol uses these and no others.

`Synflow` is the raw value, as the name says. Its logarithm would be the better feature for a linear model,
but the errors of about 24 points that the paper prints for linear models on raw features are what the raw
value gives (section 2 of the study).
"""

from functools import cache

import pandas as pd

from zcp.errors import InputError
from zcp.paths import PUBLISHED

# Their name -> the column of the scores that follows the paper's definition.
COLUMNS = {
    "#Params": "params",
    "FLOPs": "flops",
    "Synflow": "synflow",
    "Gradnorm": "grad_norm",
    "NASWOT": "naswot",
    "TE-NAS": "te_nas",
    "Zen-NAS": "zen",
    "ZiCo": "zico",
    "EZNAS": "eznas",
    "AZ-NAS": "az_nas",
    "Expressivity": "expressivity",
    "Progressivity": "progressivity",
    "Trainability": "trainability",
    **{f"GreenMachine-{letter}": f"greenmachine_{letter.lower()}" for letter in "ABCDEFG"},
    "GreenMachine-3": "greenmachine_h",
    "GreenMachine-2": "greenmachine_i",
    "GreenMachine-1": "greenmachine_j",
    "GreenFactory": "GreenFactory",
    "GreenFactory-Fast": "GreenFactory-Fast",
}
#: Test networks that the paper names for its tables, by space.
TEST_NETWORKS = {"sss": 4_915, "tss": 1_552}
ENSEMBLES = ("GreenFactory", "GreenFactory-Fast")
PROXIES = tuple(sorted(column for column in COLUMNS.values() if column not in ENSEMBLES))


@cache
def _read() -> pd.DataFrame:
    path = PUBLISHED / "greenfactory_tables.csv"
    if not path.is_file():
        raise InputError(f"no published tables {path}; restore the file, which belongs to the project")
    return pd.read_csv(path, dtype={"table": str, "value": str}, keep_default_na=False)


def read_table(*numbers: str, keep: bool = False) -> pd.DataFrame:
    """Return the rows of these tables of the paper: data, name, space, dataset, metric, value (text).

    With `keep` the number of the table stays, as the column table.

    Raises:
        InputError: if a table was not published as data.
    """
    tables = _read()
    missing = sorted(set(numbers) - set(tables["table"]))
    if missing:
        raise InputError(f"the published tables hold no table {', '.join(missing)}")
    found = tables[tables["table"].isin(numbers)].reset_index(drop=True)
    return found if keep else found.drop(columns="table")

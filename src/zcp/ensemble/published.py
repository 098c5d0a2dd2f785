"""GreenFactory's published tables, as data, and which of our columns each of their rows is."""

from functools import cache

import pandas as pd

from zcp.errors import InputError
from zcp.paths import PUBLISHED

# Their name -> the column of the scores that follows the paper's definition.
COLUMNS = {
    "#Params": "params",
    "FLOPs": "flops",
    "Synflow": "log_synflow",
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


@cache
def _read() -> pd.DataFrame:
    path = PUBLISHED / "greenfactory_tables.csv"
    if not path.is_file():
        raise InputError(f"no published tables {path}; restore the file, which belongs to the project")
    return pd.read_csv(path, dtype={"table": str, "value": str}, keep_default_na=False)


def read_table(*numbers: str) -> pd.DataFrame:
    """Return the rows of these tables of the paper: data, name, space, dataset, metric, value (text).

    Raises:
        InputError: if a table was not published as data.
    """
    tables = _read()
    missing = sorted(set(numbers) - set(tables["table"]))
    if missing:
        raise InputError(f"the published tables hold no table {', '.join(missing)}")
    return tables[tables["table"].isin(numbers)].drop(columns="table").reset_index(drop=True)

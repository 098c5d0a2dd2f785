"""The proxies, one file a family. Importing this package registers them all; a new file is found by itself.

They are evaluated in the order of registration, which collections record. zico comes first because it needs
the gradients of a second batch: computed before the graph of the first batch exists, they do not add to the
peak of memory.
"""

import importlib
import pkgutil

#: The families in the order of their collections; others follow by name.
ORDER = (
    "zico", "counts", "gradient", "jacobian", "activation", "synflow", "zen", "tenas", "aznas", "nngp",
    "gennas", "eznas", "greenmachine",
)  # fmt: skip
#: What families are made with, and scores of populations, which only tables need.
NOT_FAMILIES = {"formula", "population", "registry"}

_found = {module.name for module in pkgutil.iter_modules(__path__)} - NOT_FAMILIES
for _name in (*ORDER, *sorted(_found - {*ORDER})):
    importlib.import_module(f"{__name__}.{_name}")

"""The proxies, one file a family. Importing this package registers them all; a new file is found by itself.

A file that cannot be imported is named in a warning, and the others work. Proxies are evaluated in the order
of registration, which collections record. zico comes first because it needs the gradients of a second batch:
computed before the graph of the first batch exists, they do not add to the peak of memory.
"""

import importlib
import pkgutil
import warnings

from zcp.proxies.registry import BROKEN

#: The families in the order of their collections; others follow by name.
ORDER = (
    "zico", "counts", "gradient", "jacobian", "activation", "synflow", "zen", "tenas", "aznas", "nngp",
    "gennas", "eznas", "greenmachine",
)  # fmt: skip
#: What families are made with, and scores of populations, which only tables need.
NOT_FAMILIES = {"formula", "population", "registry"}

_found = {module.name for module in pkgutil.iter_modules(__path__)} - NOT_FAMILIES
for _name in (*ORDER, *sorted(_found - {*ORDER})):
    try:
        importlib.import_module(f"{__name__}.{_name}")
    except Exception as _error:  # the other files still work
        _file = f"zcp/proxies/{_name}.py"
        BROKEN[_file] = f"{type(_error).__name__}: {_error}".partition("\n")[0]
        # With line 0 the warning is one line, without the source.
        warnings.warn_explicit(f"its proxies are missing: {BROKEN[_file]}", RuntimeWarning, _file, 0)

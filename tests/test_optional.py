import re
import subprocess
import sys

import pytest

from zcp import optional
from zcp.errors import InputError

BLOCKED = """
import sys
for name in {names!r}:
    sys.modules[name] = None
import zcp.data.batches, zcp.benchmarks, zcp.data.downloads
loaded = set({names!r}) & {{name for name, module in sys.modules.items() if module is not None}}
assert not loaded, loaded
"""


def test_inputs_and_benchmarks_import_without_the_optional_packages():
    code = BLOCKED.format(names=list(optional.PIP_NAMES))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("module", optional.PIP_NAMES)
def test_an_absent_package_is_named_with_the_command_that_installs_it(monkeypatch, module):
    monkeypatch.setattr(optional, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=re.escape(f"pip install '{optional.PIP_NAMES[module]}'")):
        optional.require(module)


def test_a_present_package_is_imported():
    assert optional.require("pandera", "errors").__name__ == "pandera.errors"

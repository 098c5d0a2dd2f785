"""One cache of fits: an interrupted study goes on, and a curve that grows reuses what it has.

A result is kept under everything that it depends on: the values of the examples and the versions of the
packages (`Examples.fingerprint`), the settings of the fit, and the code: the module of the function and every
module of zcp that it imports, directly or through others. Not followed are the rooms that make scores and
accuracies (`MAKERS`), since the examples hold these by value; comments and docstrings do not count. So a
change elsewhere in zcp may fit again without need, and never reuses a fit that it would change.
"""

import ast
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from joblib import Memory, Parallel, delayed

from zcp.ensemble.examples import Examples
from zcp.paths import RUNS

#: In a folder that git ignores.
MEMORY = Memory(RUNS / "fits", verbose=0)
#: What they make is part of the examples.
MAKERS = ("zcp.benchmarks", "zcp.collect", "zcp.data", "zcp.scoring", "zcp.statistics.network")


def run_plan(
    work: Callable[..., Any],
    examples: Examples,
    plan: Sequence[tuple[Any, ...]],
    *,
    jobs: int = 1,
    keep: bool = True,
) -> list[Any]:
    """Return `work(examples, *item)` of every item, in their order; what was kept is not computed again.

    A result is written when it is there: a run that is killed loses the fits in progress only.

    Args:
        work: a function at the top of a module; what a `partial` of it fixes must not matter to the result.
        examples: the rows.
        plan: the other arguments of each fit; they are the settings that it is kept under.
        jobs: processes.
        keep: whether to read and write kept results.
    """
    function = work.func if isinstance(work, partial) else work
    name = f"{function.__module__}.{function.__qualname__}"
    told = json.dumps([examples.fingerprint(), name, source_digest(function.__module__)])
    key = hashlib.sha256(told.encode()).hexdigest()
    fit = MEMORY.cache(_fit, ignore=["work", "examples"]) if keep else _fit
    return list(Parallel(n_jobs=jobs)(delayed(fit)(work, examples, key, item) for item in plan))


def _fit(work: Callable[..., Any], examples: Examples, key: str, settings: tuple[Any, ...]) -> Any:
    return work(examples, *settings)


@cache
def source_digest(module: str) -> str:
    """Return the digest of the code of a module and of all that it depends on."""
    parts = [_code(_file(name).read_text(encoding="utf-8")) for name in sorted(dependencies(module))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def dependencies(module: str) -> set[str]:
    """Return the module and the modules of zcp that it imports, also through others but `MAKERS`."""
    found, left = set[str](), [module]
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            left += [
                each for each in _imports(name) if not f"{each}.".startswith(tuple(f"{m}." for m in MAKERS))
            ]
    return found


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(_file(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "zcp")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "zcp":
            parent = str(node.module)
            for alias in node.names:
                child = f"{parent}.{alias.name}"
                yield child if _file(parent).name == "__init__.py" and find_spec(child) else parent


def _file(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return Path(spec.origin)


def _code(text: str) -> str:
    """Return what a source says to Python: its syntax tree without docstrings and places."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)

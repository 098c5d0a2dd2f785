"""Single fits that are kept as they are made, so that a study which was killed goes on where it stopped.

One line of JSON a fit, in a file whose name says what the fits depend on. A line counts when its newline is
there: a process that is killed in the middle of one costs that fit only.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from zcp.errors import InputError


class Progress:
    """What was computed so far, by key.

    Args:
        path: the file, made with its folder if need be; None keeps nothing.

    Attributes:
        found: key -> result (JSON values).

    Raises:
        InputError: if a whole line of the file cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.found: dict[str, Any] = {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                key, result = json.loads(line)
            except (ValueError, TypeError) as error:
                raise InputError(f"{path}, line {number} is damaged ({error}); delete that line") from error
            self.found[key] = result
        path.write_bytes(whole)

    def keep(self, key: str, result: Any) -> Any:
        """Append a result at once and return it."""
        self.found[key] = result
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, result]) + "\n")
        return result


def run_plan(
    plan: Sequence[tuple[Any, ...]], work: Callable[..., Any], path: Path | None, jobs: int = 1
) -> list[Any]:
    """Return `work(*item)` of every item, in their order; what the file holds is not computed again.

    Args:
        plan: arguments (JSON values), each different.
        work: returns JSON values.
        path: the file that keeps the results; None keeps nothing.
        jobs: processes.
    """
    progress, keys = Progress(path), [json.dumps(item) for item in plan]
    todo = [(key, item) for key, item in zip(keys, plan, strict=True) if key not in progress.found]
    done: Iterator[Any] = Parallel(n_jobs=jobs, return_as="generator")(delayed(work)(*i) for _, i in todo)
    for (key, _), result in zip(todo, done, strict=True):
        progress.keep(key, result)
    return [progress.found[key] for key in keys]

"""`python -m zcp.collect`: the command `zcp collect` by itself."""

import sys

import typer

from zcp.collect import collect_command
from zcp.errors import InputError

if __name__ == "__main__":
    try:
        typer.run(collect_command)
    except InputError as error:
        sys.exit(f"zcp: {error}")

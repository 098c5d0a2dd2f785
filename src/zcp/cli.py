"""The command line `zcp`; every command is a thin call of one function of the library.

What a command needs is imported when it runs, so that a broken or missing extra hurts no other command.
"""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from zcp import optional
from zcp.collect.command_line import collect_command, listed, merge_command
from zcp.ensemble.command_line import predict_command
from zcp.errors import InputError, StudyError, shortened
from zcp.paths import GOLDEN, require_checkout
from zcp.versions import VERSION

#: Of click, or of the copy of it that typer brings.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Zero-cost proxies for neural architecture search, measured honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("collect", no_args_is_help=True)(collect_command)
app.command("merge", no_args_is_help=True)(merge_command)
app.command("predict", no_args_is_help=True)(predict_command)


def main() -> None:
    """Run the command line; bad input gives one line and exit code 2; what did not come out again, 1."""
    try:
        sys.exit(app(prog_name="zcp", standalone_mode=False) or 0)
    except USAGE_ERROR as error:
        typer.echo(_usage(error), err=True)
        sys.exit(2)
    except typer.Abort:  # Ctrl-C, in older releases of typer
        sys.exit(128 + signal.SIGINT)
    except (InputError, StudyError) as error:
        typer.echo(f"zcp: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except OSError as error:
        place = f"{shortened(error.filename)}: " if error.filename else ""
        told = shortened(error.strerror or error)
        typer.echo(f"zcp: {place}{told}; correct its permissions, or name another", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name not in optional.PIP_NAMES:
            raise
        typer.echo(f"zcp: {optional.remedy(error.name)}", err=True)
        sys.exit(2)


def _usage(error: Any) -> str:
    """Return the line of a usage error; where nothing was given, the help that was not shown yet."""
    told = str(error.format_message())
    if type(error).__name__ == "NoArgsIsHelpError":
        return told
    hint = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
    return f"zcp: {shortened(told).rstrip('.')}{hint}"


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"zcp {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show it and exit")
    ] = False,
) -> None:
    """Take the options of `zcp` itself."""


@app.command()
def study(
    profile: Annotated[str, typer.Option(help="quick: minutes; paper: recompute all")] = "quick",
) -> None:
    """Run all sections in order and build the book; exit 1 where something disagrees with the deposit."""
    require_checkout("zcp study")
    from zcp.study.runner import run_study

    run_study(profile)
    book()


# Typer has no repeatable option of two words, so `-p NAME VALUE` is an option NAME and the next free word.
@app.command(context_settings={"ignore_unknown_options": True}, no_args_is_help=True)
def run(
    section: Annotated[str, typer.Argument(help="number or name, such as 02")],
    values: Annotated[list[str] | None, typer.Argument(metavar="VALUE", help="one for each -p")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME VALUE", help="repeatable")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="executed copy; its page in the book by default")
    ] = None,
) -> None:
    """Run one section, with other parameters where given: zcp run 02 -p seeds 3."""
    require_checkout("zcp run")
    from zcp.study.outcomes import read_outcome
    from zcp.study.runner import require_agreement, run_section

    names, given = parameter or [], values or []
    if len(names) != len(given):
        raise InputError(f"every parameter needs -p NAME VALUE; got names {names} and values {given}")
    copy = run_section(section, dict(zip(names, given, strict=True)), output)
    typer.echo(f"executed: {copy}")
    require_agreement([read_outcome(copy)])


@app.command()
def book() -> None:
    """Build the book from the executed sections; exit 1 where one of them disagrees with the deposit."""
    require_checkout("zcp book")
    from zcp.study.book import build
    from zcp.study.runner import require_agreement

    page, outcomes = build()
    typer.echo(f"Open this page: {page}")
    require_agreement(outcomes)


@app.command()
def golden(
    file: Annotated[
        Path, typer.Argument(help="JSON file of reference values", show_default="those of zcp")
    ] = GOLDEN / "golden.json",
    arch: Annotated[list[str] | None, typer.Option(help="of the file; repeatable; default all")] = None,
) -> None:
    """Check the installation: compare reference values with our own; exit 1 on a miss, 2 on an unknown key.

    The reference values were computed with the code of the proxies' authors and come with zcp; FILE names
    others. All of them take minutes, `--arch sss-0` takes seconds.
    """
    from zcp.golden import check

    counts = {True: 0, False: 0, None: 0}
    unknown = set()
    for line in check(file, arch):
        typer.echo(str(line))
        if line.ok is None and not line.note:
            unknown.add(line.key)
        else:
            counts[line.ok] += 1
    typer.echo(f"{counts[True]} values agree, {counts[None]} are decided by rounding, {counts[False]} miss")
    if unknown:
        names = ", ".join(sorted(unknown))
        raise InputError(f"{file} has keys that name no proxy, of which nothing was compared: {names}")
    raise typer.Exit(int(counts[False] > 0))


@app.command()
def portable(
    write: Annotated[bool, typer.Option("--write", help="measure the spreads anew")] = False,
) -> None:
    """Look for what rounding decides: moved inputs and other processors; exit 1 on a miss."""
    require_checkout("zcp portable")
    from zcp.study.portability.runs import check_portability, summarise

    outcomes = check_portability(write, typer.echo)
    typer.echo(summarise(outcomes))
    raise typer.Exit(int(any(outcome.misses for outcome in outcomes)))


@app.command()
def proxies(pattern: Annotated[str, typer.Argument(help="shell pattern, such as 'grad*'")] = "*") -> None:
    """List the proxies that match a pattern."""
    from zcp import get_proxy, list_proxies

    names = list_proxies(pattern)
    if not names:
        raise InputError(f"no proxy matches {pattern!r}; `zcp proxies` lists all")
    width = max(map(len, names)) + 2
    for name in names:
        found = get_proxy(name)
        asked = f" Only where asked for by name: {found.optional}." if found.optional else ""
        typer.echo(f"{name:<{width}}{found.summary}{asked}")


@app.command(no_args_is_help=True)
def score(
    space: Annotated[str, typer.Argument(help="tss, sss, transnas or darts")],
    archs: Annotated[
        list[str],
        typer.Argument(metavar="ARCH", help="architecture strings, or indices in the official order"),
    ],
    dataset: Annotated[str, typer.Option(help="such as cifar10, cifar100 or ImageNet16-120")] = "cifar10",
    proxies: Annotated[list[str] | None, typer.Option(help="joined by commas; default all")] = None,
    formula: Annotated[list[str] | None, typer.Option(help="a proxy as a formula; repeatable")] = None,
    batch: Annotated[int, typer.Option(min=1, help="images a batch")] = 64,
    seed: Annotated[int, typer.Option(help="of weights and inputs")] = 0,
    inputs: Annotated[str, typer.Option(help="gaussian, or images (of the data folder)")] = "gaussian",
) -> None:
    """Score architectures of a benchmark; of several, show for each proxy which is better, with ranks."""
    from zcp.data.batches import make_batches
    from zcp.ranking import table
    from zcp.scoring import score as score_network
    from zcp.spaces import build
    from zcp.spaces.base import index_or_string

    formulas = {f"formula_{number}": text for number, text in enumerate(formula or [], start=1)}
    names = listed(proxies) or ([] if formulas else None)
    batches = make_batches(inputs, dataset, batch, seed=seed)
    scored = {}
    for arch in dict.fromkeys(archs):
        network = build(space, index_or_string(arch), dataset, seed)
        scored[arch] = score_network(network, batches, names, seed=seed, formulas=formulas)
    for line in table(scored):
        typer.echo(line)


@app.command(no_args_is_help=True)
def download(dataset: Annotated[str, typer.Argument(help="cifar10 or cifar100")]) -> None:
    """Download the original CIFAR files, with checksum and progress."""
    from zcp.data.downloads import download_cifar

    typer.echo(f"downloaded: {download_cifar(dataset)}")


@app.command()
def doctor() -> None:
    """Tell on one screen what is installed, what works here, and what is missing for what."""
    from zcp.doctor import report

    for line in report():
        typer.echo(line)

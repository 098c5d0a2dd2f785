"""The command line `zcp`; every command is a thin call of one function of the library.

What a command needs is imported when it runs, so that a broken or missing extra hurts no other command.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from zcp.collect.command_line import collect_command, merge_command
from zcp.errors import InputError

app = typer.Typer(
    help="Zero-cost proxies for neural architecture search, measured honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("collect")(collect_command)
app.command("merge")(merge_command)


def main() -> None:
    """Run the command line; bad input gives one line and exit code 2; what did not come out again, 1."""
    from zcp.study.runner import StudyError

    try:
        app()
    except (InputError, StudyError) as error:
        typer.echo(f"zcp: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)


@app.command()
def study(
    profile: Annotated[str, typer.Option(help="quick: minutes; paper: recompute all")] = "quick",
) -> None:
    """Run all sections in order and build the book; exit 1 where something disagrees with the deposit."""
    from zcp.study.runner import run_study

    run_study(profile)
    book()


# Typer has no repeatable option of two words, so `-p NAME VALUE` is an option NAME and the next free word.
@app.command(context_settings={"ignore_unknown_options": True})
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
    from zcp.study.book import build
    from zcp.study.runner import require_agreement

    page, outcomes = build()
    typer.echo(f"Open this page: {page}")
    require_agreement(outcomes)


@app.command()
def golden(file: Annotated[Path, typer.Argument(help="JSON file of reference values")]) -> None:
    """Compare every value of a golden file with our own; exit 1 on a miss, 2 on an unknown key."""
    from zcp.golden import check

    missed, unknown = False, set()
    for line in check(file):
        typer.echo(str(line))
        missed |= line.ok is False
        if line.ok is None and not line.note:
            unknown.add(line.key)
    if unknown:
        names = ", ".join(sorted(unknown))
        raise InputError(f"{file} has keys that name no proxy, of which nothing was compared: {names}")
    raise typer.Exit(int(missed))


@app.command()
def portable(
    write: Annotated[bool, typer.Option("--write", help="measure the spreads anew")] = False,
) -> None:
    """Look for what rounding decides: moved inputs and other processors; exit 1 on a miss."""
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
    for name in names:
        typer.echo(f"{name:<16}{get_proxy(name).summary}")


@app.command()
def score(
    space: Annotated[str, typer.Argument(help="tss, sss, transnas or darts")],
    arch: Annotated[str, typer.Argument(help="architecture string, or index in the official order")],
    dataset: Annotated[str, typer.Option(help="such as cifar10, cifar100 or ImageNet16-120")] = "cifar10",
    proxy: Annotated[list[str] | None, typer.Option(help="name; repeatable; all by default")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    formula: Annotated[list[str] | None, typer.Option(help="a proxy as a formula; repeatable")] = None,
    images: Annotated[bool, typer.Option(help="score on images instead of Gaussian noise")] = False,
    seed: Annotated[int, typer.Option(help="of weights and inputs")] = 0,
) -> None:
    """Score one architecture of a benchmark."""
    from zcp.data.batches import gaussian_batches, image_batches
    from zcp.scoring import score as score_network
    from zcp.spaces import build

    make = image_batches if images else gaussian_batches
    network = build(space, int(arch) if arch.isdecimal() else arch, dataset, seed)
    formulas = {f"formula_{number}": text for number, text in enumerate(formula or [], start=1)}
    names = proxy or ([] if formulas else None)
    batches = make(dataset, batch_size, seed=seed)
    scores = score_network(network, batches, names, seed=seed, formulas=formulas)
    for name, value in scores.items():
        typer.echo(f"{name:<16}{value:<16.8g}{scores.reasons.get(name, '')}".rstrip())


@app.command()
def predict(
    space: Annotated[str, typer.Option(help="tss or sss")],
    arch: Annotated[str, typer.Option(help="architecture string, or index in the official order")],
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100 or ImageNet16-120")] = "cifar10",
    fast: Annotated[bool, typer.Option(help="GreenFactoryFast: fewer proxies")] = False,
    level: Annotated[float, typer.Option(help="coverage of the interval: 0.8, 0.9 or 0.95")] = 0.9,
    target: Annotated[str, typer.Option(help="accuracy: test or valid")] = "test",
) -> None:
    """Predict the accuracy of an architecture of a benchmark, with an interval and the features behind it."""
    from zcp.ensemble.artefacts import read
    from zcp.ensemble.prediction import predict_architecture

    artefact = read("GreenFactoryFast" if fast else "GreenFactory", target)
    which = int(arch) if arch.isdecimal() else arch
    for line in predict_architecture(artefact, space, which, dataset, level).lines():
        typer.echo(line)


@app.command()
def download(dataset: Annotated[str, typer.Argument(help="cifar10 or cifar100")]) -> None:
    """Download the original CIFAR files, with checksum and progress."""
    from zcp.data.downloads import download_cifar

    typer.echo(f"downloaded: {download_cifar(dataset)}")

"""The command `zcp predict`."""

from dataclasses import replace
from typing import Annotated

import typer

from zcp.errors import InputError, choose
from zcp.spaces import get_space
from zcp.spaces.base import index_or_string


def predict_command(
    space: Annotated[
        str | None, typer.Option(help="tss or sss; with --network, the one that it is compared with")
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="architecture string, or index in the official order")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="a network of your own, as my_module:build; its code is run")
    ] = None,
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100 or ImageNet16-120")] = "cifar10",
    fast: Annotated[bool, typer.Option(help="GreenFactoryFast: fewer proxies")] = False,
    level: Annotated[float, typer.Option(help="coverage of the interval: 0.8, 0.9 or 0.95")] = 0.9,
    target: Annotated[str, typer.Option(help="accuracy: test or valid")] = "test",
) -> None:
    """Predict the accuracy of a network, and say what is known about the prediction.

    The network is an architecture of a benchmark (--space and --arch) or one of your own (--network).
    """
    if (network is None) == (arch is None) or (arch is not None and space is None):
        raise InputError("say which network: either --space and --arch, or --network my_module:build")
    # What can be refused is refused before a model is loaded, which takes seconds; nearest at hand first.
    population = "tss" if space is None else space
    index = None if arch is None else get_space(population).resolve(index_or_string(arch))[0]
    from zcp.ensemble.cards import find_card

    model = "GreenFactoryFast" if fast else "GreenFactory"
    card = find_card(model, target)
    choose({each.dataset: each for each in card.widths}, dataset, "dataset")
    card.width(population, dataset, level)
    from zcp.ensemble.own_network import load_network

    own = None if network is None else load_network(network)
    from zcp.ensemble.artefacts import read
    from zcp.ensemble.prediction import predict_architecture, predict_network

    artefact = read(model, target)
    if own is not None:
        found = predict_network(artefact, own, dataset, population=population, level=level)
        found = replace(found, network=str(network))
    else:
        found = predict_architecture(artefact, population, index or 0, dataset, level)
    for line in found.lines():
        typer.echo(line)

"""The commands `zcp collect` and `zcp merge`."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import torch
import typer

from zcp.collect.cluster import Cluster
from zcp.collect.order import first, parse_shard, plan, read_indices
from zcp.collect.parts import merge, scores_path
from zcp.collect.run import Executor, collect, require_writable
from zcp.collect.settings import choose_settings
from zcp.collect.workers import Pool, cores
from zcp.data.datasets import DATASETS
from zcp.errors import InputError
from zcp.spaces import SPACES

#: Processes that share one GPU: a network of these spaces is too small to fill it alone.
WORKERS_PER_GPU = 8
COLLECTION = "collection: NAME (in data/scores of ZCP_HOME, the checkout, or here), or a folder, with a slash"


def collect_command(
    out: Annotated[str, typer.Option(help=COLLECTION)],
    count: Annotated[int | None, typer.Option(help="architectures of each space, in random order")] = None,
    indices: Annotated[Path | None, typer.Option(help="file of `index` or `space index` lines")] = None,
    space: Annotated[
        list[str] | None, typer.Option(help="of tss, sss, transnas, darts, joined by commas; default tss,sss")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="joined by commas; default the three of NATS-Bench")
    ] = None,
    proxies: Annotated[list[str] | None, typer.Option(help="joined by commas; default all")] = None,
    batch: Annotated[int, typer.Option(help="images a batch")] = 64,
    seed: Annotated[int, typer.Option(help="of weights, images and order")] = 0,
    inputs: Annotated[str, typer.Option(help="images, or gaussian (needs no data folder)")] = "images",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1")] = "cpu",
    workers: Annotated[int | None, typer.Option(help="processes; default: cores, or 8 on one GPU")] = None,
    shard: Annotated[str, typer.Option(help="k/n: the k-th of n parts, each with its own --out")] = "1/1",
    cluster: Annotated[str | None, typer.Option(help="address of a Dask scheduler to run on")] = None,
) -> None:
    """Score many architectures into a collection, a folder that gets a Parquet file a minute.

    The same command continues what was interrupted, and a larger --count extends it. Collections of other
    settings (batch, seed, inputs, proxies, versions of their definitions) are refused.
    """
    spaces, datasets = listed(space) or list(SPACES), listed(dataset) or list(DATASETS)
    if (count is None) == (indices is None):
        raise InputError("say which architectures: either --count 300 or --indices FILE")
    chosen = first(count, spaces, seed) if count is not None else read_indices(indices or Path(), spaces)
    if not chosen:
        raise InputError(f"{indices} names no architecture; write a line `index` or `space index` for each")
    units = plan(chosen, datasets, parse_shard(shard))
    if not units:
        most = max(map(len, chosen.values()))
        raise InputError(f"--shard {shard} holds no architecture; its first number can be {most} at most")
    settings = choose_settings(datasets, listed(proxies) or None, batch, seed, inputs)
    target = _checked(device, is_remote=cluster is not None)
    executor: Executor = Pool(_workers(device, workers)) if cluster is None else Cluster(cluster)
    path = scores_path(out)
    require_writable(path)
    typer.echo(f"{len(units)} networks, {len(settings.proxies)} proxies, batch {batch}, {device} -> {path}")
    with _ended_in_order():
        collect(path, units, settings, executor, target)
    typer.echo(f"written: {path}")


def listed(texts: Sequence[str] | None) -> list[str]:
    """Return the names of an option that takes several, joined by commas or given again, each once.

    Raises:
        InputError: if one is empty.
    """
    names = list(dict.fromkeys(name.strip() for text in texts or () for name in text.split(",")))
    if "" in names:
        raise InputError(f"there is an empty name in {','.join(texts or ())!r}; write names as in a,b")
    return names


def merge_command(
    out: Annotated[str, typer.Argument(help=COLLECTION)],
    sources: Annotated[list[str], typer.Argument(help="collections of equal settings")],
) -> None:
    """Add to a collection the rows of others that it lacks, as one file; tell what is missing."""
    path = scores_path(out)
    for line in merge(path, [scores_path(source) for source in sources]):
        typer.echo(line)
    typer.echo(f"written: {path}")


def _workers(device: str, workers: int | None) -> int:
    if workers is not None:
        return workers
    return WORKERS_PER_GPU if device.startswith("cuda") else cores()


def _checked(device: str, is_remote: bool) -> str:
    try:
        kind = torch.device(device)
    except RuntimeError:
        raise InputError(f"unknown device {device!r}; choose cpu, cuda or cuda:<number>") from None
    if kind.type != "cuda" and device != "cpu":
        raise InputError(f"unknown device {device!r}; choose cpu, cuda or cuda:<number>")
    if kind.type == "cuda" and not is_remote and (kind.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"there is no device {device!r} here: PyTorch finds {torch.cuda.device_count()} GPUs"
        )
    return device


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Write the rows so far and end, on Ctrl-C and when a batch system asks the process to end (SIGTERM)."""

    def stop(number: int, _frame: object) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # A second one must not interrupt the last part.
        raise SystemExit(128 + number)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        for each, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(each, stop)
        yield
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) is stop:
                signal.signal(each, handler)

"""`score`: any network, any set of proxies, one call."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

import zcp.proxies  # noqa: F401 - registers them
from zcp.errors import Undefined
from zcp.proxies.formula import formula_proxy
from zcp.proxies.registry import Function, Proxy, as_proxy, default_proxies, get_proxy
from zcp.scoring.again import in_double_precision, in_plain_layout
from zcp.scoring.arguments import check_arguments
from zcp.scoring.run import Run
from zcp.scoring.scores import Scores
from zcp.statistics.adapted import Adapted, Form, Output
from zcp.statistics.batches import Drawn, check, check_finite, drawn, finite
from zcp.statistics.chain import named_blocks
from zcp.statistics.copies import Engine, Workspace, get_engine, materialised, unwrapped
from zcp.statistics.initialisation import untouched
from zcp.statistics.losses import Loss
from zcp.statistics.network import Draw, SeededDraw
from zcp.statistics.refusals import require_scorable, spoilt
from zcp.statistics.surroundings import own_surroundings

__all__ = ["Scores", "choose", "score"]


def score(
    network: nn.Module,
    batches: Any,
    proxies: Iterable[str | Proxy | Function] | str | Function | None = None,
    init: str = "paper",
    seed: int = 0,
    draw: Draw | None = None,
    formulas: Mapping[str, str] | None = None,
    engine: str | Engine = "fast",
    *,
    loss: Loss | None = None,
    output: Output | None = None,
    blocks: Sequence[str] | None = None,
    device: str | torch.device | None = None,
    strict: bool = False,
    progress: bool = False,
) -> Scores:
    """Score a network without training it.

    The network is left as it was found (parameters, buffers, gradients, training flags, hooks), and so is the
    state of PyTorch's random generators: everything runs on copies, in training mode, without the network's
    own hooks and wrappers.

    Args:
        network: any module. Its first floating point input is what proxies differentiate and replace by
            noise; integer inputs are tokens, and what they replace are the vectors that an embedding gives
            for them. Its other inputs go along as they are, in every pass.
        batches: (inputs, targets) pairs, in a list or a DataLoader, of which as many are drawn, once, as the
            proxies read. Inputs are a tensor (B, …), a sequence of positional arguments, or a mapping of
            keyword ones; a batch that is a mapping holds its targets under `labels`. All proxies read the
            first one, zico the second as well. Proxies that need no data read the main input's shape only.
        proxies: a name or several, functions of `zcp.statistics.network.Statistics` of your own, or `Proxy`
            objects; None for all that are registered and not optional.
        init: `paper` scores each proxy with freshly drawn weights of the initialisation that it was defined
            with, one group of shared passes for each initialisation; `keep` scores the weights as they are.
            Weights are drawn in the order in which modules are registered: the same forward, registered in
            another order, has other weights. Of `weight_norm` the proxies of weights and gradients
            (grad_norm, snip, zico, synflow) read the direction `v`, no scale `g`; ntk_cond reads both.
        seed: of weights and noise.
        draw: source of noise, in place of the seeded one.
        formulas: further proxies, as text by name; see `zcp.proxies.formula.formula_proxy`.
        engine: `fast`, or `plain` to run the passes in PyTorch's default layout, or one of your own; the
            scores are the same within rounding (`zcp.statistics.copies`). A network that cannot run in the
            fast layout runs in the plain one.
        loss: a function of the network's logits and the targets that gives a scalar; cross-entropy if None.
        output: what to take as the logits of what the network returns: a key, an index, or a function. None
            finds them: the tensor itself, an item called `logits`, or what the last layer gave.
        blocks: names of the modules that the network is a chain of; None finds them.
        device: where the copies run; where the network is if None.
        strict: raise where a proxy has no value.
        progress: show a bar.

    Returns:
        The scores. Where a proxy is not defined for this network, or the network fails, its score is NaN and
        `reasons` says why; an infinite score is one that its definition gives (the logarithm of zero).

    Raises:
        InputError: if an argument cannot be used: a network of torch.jit or torch.export (one of
            `torch.compile` is scored as what it was compiled from), or without values, unknown proxy, NaN in
            the inputs, labels out of range, outputs whose logits cannot be told.
        Undefined: if a proxy has no value, with `strict`.

    Example:
        >>> import zcp
        >>> network = zcp.build("sss", "8:8:8:8:8")
        >>> zcp.score(network, zcp.gaussian_batches("cifar10", 4), ["params"])["params"]
        0.011714
    """
    require_scorable(network)
    check_arguments(
        init=init, seed=seed, draw=draw, formulas=formulas, engine=engine, loss=loss, output=output,
        blocks=blocks, device=device, strict=strict, progress=progress,
    )  # fmt: skip
    chosen = choose(proxies)
    chosen += [formula_proxy(name, text) for name, text in (formulas or {}).items()]
    pairs = drawn(batches, max((proxy.batches for proxy in chosen), default=1))
    form = Form([pair.inputs for pair in pairs], output)
    for number, (pair, main) in enumerate(zip(pairs, form.inputs, strict=True)):
        check(number, pair, main)
        if main.device.type == "cpu":
            check_finite(number, *finite(pair, main))
    with own_surroundings(network, device):
        network = materialised(unwrapped(network), *form.arguments(form.inputs[0], 0)[:2])
        named_blocks(network, list(blocks or []))
        run = partial(
            _run, pairs=pairs, keep=init == "keep", seed=seed, draw=draw or SeededDraw(seed), loss=loss,
            blocks=blocks,
        )  # fmt: skip
        place = None if device is None else torch.device(device)
        workspace = Workspace(Adapted(network, form), get_engine(engine), place)
        with _bar(chosen, progress) as tick:
            scores = run(workspace, chosen, tick=tick)
        in_plain_layout(scores, workspace, chosen, run)
        in_double_precision(scores, workspace, chosen, run)
    if strict and (missing := [name for name in scores if math.isnan(scores[name])]):
        first = missing[0]
        raise Undefined(f"{first} has no value: {scores.reasons[first]}", scores.kinds[first])
    return scores


def choose(proxies: Iterable[str | Proxy | Function] | str | Function | None) -> list[Proxy]:
    """Return the proxies that these are, each once; None for all that are not optional.

    Raises:
        InputError: if there is no such proxy.
    """
    if proxies is None:
        proxies = default_proxies()
    elif isinstance(proxies, str | Proxy) or not isinstance(proxies, Iterable):
        proxies = [proxies]
    found = [get_proxy(each) if isinstance(each, str) else as_proxy(each) for each in proxies]
    return list({proxy.name: proxy for proxy in found}.values())


def _run(
    workspace: Workspace,
    chosen: list[Proxy],
    *,
    pairs: list[Drawn],
    keep: bool,
    tick: Callable[[], object] = lambda: None,
    **options: Any,
) -> Scores:
    """Score a network with these proxies, in the order that they are named in."""
    groups: dict[str, list[Proxy]] = {}
    for proxy in chosen:
        groups.setdefault("keep" if keep else proxy.init, []).append(proxy)
    left = None if keep else untouched(workspace.network)
    run = Run(workspace, pairs, groups, tick=tick, spoilt=spoilt(workspace.network, left), **options)
    for group, members in groups.items():
        run.score_group(group, members)
    run.finish()
    scores = run.scores
    ordered = {proxy.name: scores[proxy.name] for proxy in chosen}
    scores.clear()
    scores.update(ordered)
    scores.larger_is_better = {proxy.name: proxy.larger_is_better for proxy in chosen}
    scores.untouched = tuple(name.removeprefix("network.") for name in left or ())
    return scores


@contextmanager
def _bar(chosen: list[Proxy], progress: bool) -> Iterator[Callable[[], object]]:
    if not progress:
        # A tqdm takes a semaphore even where it is disabled, which a worker that is killed leaves behind.
        yield lambda: None
        return
    with tqdm(total=len(chosen), unit="proxy") as bar:
        yield bar.update

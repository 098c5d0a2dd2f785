"""`score`: any network, any set of proxies, one call."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

import zcp.proxies  # noqa: F401 - registers them
from zcp.errors import InputError, Undefined
from zcp.proxies.formula import formula_proxy
from zcp.proxies.registry import Proxy, default_proxies, get_proxy, list_proxies
from zcp.statistics.copies import Engine, Workspace, get_engine
from zcp.statistics.initialisation import initialise
from zcp.statistics.network import Draw, SeededDraw, Statistics
from zcp.statistics.seeding import seed_for


class Scores(dict[str, float]):
    """Scores by proxy name, with what is worth knowing about them.

    Attributes:
        reasons: why a value is NaN or infinite, by proxy name.
        seconds: time by step; a step is shared by every proxy that `steps` lists it for.
        steps: the steps that each proxy needed: its initialisation group's preparation, the statistics that
            it read, and its own arithmetic. The cost of a set of proxies is the sum over the union.
        passes: by initialisation, how often the network ran (`forward`, `backward`, `double_backward`).
        step_passes: the same by step; those of a proxy alone are the sum over its `steps`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.steps: dict[str, tuple[str, ...]] = {}
        self.passes: dict[str, Counter[str]] = {}
        self.step_passes: dict[str, Counter[str]] = {}


def score(
    network: nn.Module,
    batches: Sequence[tuple[Tensor, Tensor]],
    proxies: Iterable[str] | None = None,
    init: str = "paper",
    seed: int = 0,
    draw: Draw | None = None,
    formulas: Mapping[str, str] | None = None,
    engine: str | Engine = "fast",
) -> Scores:
    """Score a network without training it.

    The network is left as it was found (parameters, buffers, gradients, training flags, hooks), and so is the
    state of PyTorch's random generators: everything runs on copies, in training mode.

    Args:
        network: maps float inputs (B, C, H, W) to logits (B, classes). Any device, any float type.
        batches: (inputs, labels) pairs. All proxies read the first one, zico the second as well. Proxies that
            need no data read the shape of the inputs only.
        proxies: a name or several; None for all that are registered and not optional.
        init: `paper` scores each proxy with freshly drawn weights of the initialisation that it was defined
            with, one group of shared passes for each initialisation; `keep` scores the weights as they are.
        seed: of weights and noise.
        draw: source of noise, in place of the seeded one.
        formulas: further proxies, as text by name; see `zcp.proxies.formula.formula_proxy`.
        engine: `fast`, or `plain` to run the passes in PyTorch's default layout, or one of your own; the
            scores are the same within rounding (`zcp.statistics.copies`).

    Returns:
        The scores. Where a proxy is not defined for this network, or the network fails, its score is NaN and
        `reasons` says why; an infinite score is one that its definition gives (the logarithm of zero).

    Raises:
        InputError: if an argument cannot be used: unknown proxy, NaN in the inputs, labels out of range, a
            network that returns a tuple.

    Example:
        >>> import zcp
        >>> network = zcp.build("sss", "8:8:8:8:8")
        >>> zcp.score(network, zcp.gaussian_batches("cifar10", 4), ["params"])["params"]
        0.011714
    """
    names = default_proxies() if proxies is None else [proxies] if isinstance(proxies, str) else proxies
    chosen = [get_proxy(name) for name in dict.fromkeys(names)]
    chosen += [formula_proxy(name, text) for name, text in (formulas or {}).items()]
    if init not in ("paper", "keep"):
        raise InputError(f"unknown init {init!r}; choose 'paper' or 'keep'")
    _check_batches(batches)
    workspace = Workspace(network, get_engine(engine))
    scores = Scores()
    scores.update({proxy.name: math.nan for proxy in chosen})  # in the order asked for
    groups: dict[str, list[Proxy]] = {}
    for proxy in chosen:
        groups.setdefault(proxy.init if init == "paper" else "keep", []).append(proxy)
    with _own_surroundings(network):
        for group, members in groups.items():
            _score_group(scores, workspace, batches, group, members, seed, draw or SeededDraw(seed))
    return scores


def _score_group(
    scores: Scores,
    workspace: Workspace,
    batches: Sequence[tuple[Tensor, Tensor]],
    group: str,
    members: list[Proxy],
    seed: int,
    draw: Draw,
) -> None:
    """Score the proxies that share an initialisation, from shared passes."""
    order = list_proxies()
    # Formulas last: they give up the graph that the others share.
    members = sorted(members, key=lambda p: len(order) if p.expression else order.index(p.name))
    second_order = any(proxy.second_order for proxy in members)
    start = time.perf_counter()
    own = workspace.fresh(apart=second_order)
    torch.default_generator.manual_seed(seed_for(seed, group))
    if group not in ("none", "keep"):
        initialise(own, group, seed)
    expressions = [proxy.expression for proxy in members if proxy.expression]
    statistics = Statistics(
        own, batches, draw, second_order=second_order, expressions=expressions, engine=workspace.engine
    )
    statistics.seconds["init"] = time.perf_counter() - start
    for proxy in members:
        name = proxy.name
        with statistics.reading(name) as needs:
            scores[name], reason = _value(proxy, statistics)
        if reason:
            scores.reasons[name] = reason
        scores.steps[name] = (f"{group}_init", *(f"{group}_{need}" for need in sorted(needs)), name)
    names = {step: f"{group}_{step}" for step in (*statistics.seconds, *statistics.step_passes)}
    names |= {proxy.name: proxy.name for proxy in members}
    scores.seconds |= {names[step]: seconds for step, seconds in statistics.seconds.items()}
    scores.step_passes |= {names[step]: counted for step, counted in statistics.step_passes.items()}
    scores.passes[group] = statistics.passes


def _value(proxy: Proxy, statistics: Statistics) -> tuple[float, str]:
    """Return (score, reason); the reason is empty for a finite score."""
    try:
        value = float(proxy.function(statistics))
    except InputError:
        raise
    except Undefined as error:
        return math.nan, str(error)
    except Exception as error:
        # A network that fails must cost neither the other proxies nor the other networks of a collection.
        return math.nan, f"{type(error).__name__}: {error}"
    if math.isinf(value):
        return value, "the definition gives an infinite value (a logarithm of zero or an overflow)"
    if math.isnan(value):
        return value, "the arithmetic gave NaN (non-finite activations or gradients)"
    return value, ""


def _check_batches(batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    if isinstance(batches, Tensor) or not len(batches):
        raise InputError("batches must be a list of one or more (inputs, labels) pairs")
    for number, batch in enumerate(batches):
        if (
            isinstance(batch, Tensor)
            or len(batch) != 2
            or not all(isinstance(part, Tensor) for part in batch)
        ):
            raise InputError(f"batch {number} must be a pair (inputs, labels) of tensors")
        inputs, labels = batch
        if inputs.ndim < 2 or not inputs.is_floating_point():
            raise InputError(
                f"inputs of batch {number} must be floats (B, C, H, W), not {inputs.dtype} "
                f"{tuple(inputs.shape)}"
            )
        if len(labels) != len(inputs) or not len(inputs):
            raise InputError(f"batch {number} has {len(inputs)} inputs and {len(labels)} labels")
        if not torch.isfinite(inputs).all():
            raise InputError(f"inputs of batch {number} hold NaN or infinite values; clean them first")


@contextmanager
def _own_surroundings(network: nn.Module) -> Iterator[None]:
    """Differentiate in full precision whatever the caller's modes are, and put the global generators back."""
    kinds = {p.device.type for p in network.parameters()} or {"cpu"}
    devices = sorted({p.device.index for p in network.parameters() if p.device.type == "cuda"})
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in kinds:
            stack.enter_context(torch.autocast(kind, enabled=False))
        # Dropout and the like draw from the global generators.
        stack.enter_context(torch.random.fork_rng(devices=devices))
        yield

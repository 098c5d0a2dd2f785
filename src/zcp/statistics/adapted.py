"""A network as the passes see it: one floating point tensor in, one out, however its owner calls it.

Of several inputs the first floating point one is what the passes differentiate and replace by noise or ones;
the others go along as they are: of a tensor with one row a sample those of as many samples, of any other
(a mask of positions, a table) all of it. Tokens have no gradient: there the passes begin behind the look-up
of the embedding, so that "inputs" are the vectors of the tokens, standard normal vectors, or ones. The
network gets copies of all of these, which it may overwrite.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from zcp.errors import InputError, Undefined, of
from zcp.statistics.last_layer import LastLayer

Output = Callable[[Any], Tensor] | str | int
#: Inputs of dicts that are taken first.
MAIN = ("pixel_values", "input_values", "input_features", "inputs_embeds", "input_ids")
#: What is taken of outputs that have names.
NAMES = ("logits", "prediction_logits", "out", "last_hidden_state")


class NoLogits(InputError):
    """It cannot be told which of the outputs of a network are its logits; `args` say what there is."""

    def __str__(self) -> str:
        return f"{super().__str__()}; pass output= (a key, an index, or a function of what it returned)"


class Form:
    """How a network is called, and what of its outputs is taken. Copies of a network share it.

    Args:
        inputs: of each batch: a tensor, a sequence of positional arguments, or a mapping of keyword ones.
        output: what to take: a function of the outputs, a key, or an index; None to find it.

    Raises:
        InputError: if there is no tensor among the inputs, or batches differ in their form.
    """

    def __init__(self, inputs: Sequence[Any], output: Output | None = None) -> None:
        flat = [tree_flatten(arguments_of(each)) for each in inputs]
        self.leaves, self.spec = [leaves for leaves, _ in flat], flat[0][1]
        if any(spec != self.spec for _, spec in flat):
            raise InputError("the inputs of all batches must have the same form: keys, or number of tensors")
        self.main = _main(inputs[0], self.leaves[0])
        self.tokens = not self.leaves[0][self.main].is_floating_point()
        self.output = output
        self._place: int | None = None
        self._known = False

    def __deepcopy__(self, _memo: Any) -> "Form":
        return self

    @property
    def known(self) -> bool:
        """Whether it is known what to take of the outputs."""
        return self.output is not None or self._known

    @property
    def inputs(self) -> list[Tensor]:
        """The main input of each batch."""
        return [leaves[self.main] for leaves in self.leaves]

    def arguments(self, main: Tensor, batch: int | None) -> tuple[tuple[Any, ...], dict[str, Any], Tensor]:
        """Return (positional, keyword, tokens) for as many samples as `main` has, all tensors copied."""
        given = self._of(batch)
        samples = len(given[self.main])
        leaves = [
            main if number == self.main and not self.tokens else _cut(each, main, samples)
            for number, each in enumerate(given)
        ]
        leaves = [each.clone() if isinstance(each, Tensor) else each for each in leaves]
        args, kwargs = tree_unflatten(leaves, self.spec)
        return args, kwargs, leaves[self.main]

    def _of(self, batch: int | None) -> list[Any]:
        if batch is not None:
            return self.leaves[batch]
        by_sample = [_has_rows(each, len(self.leaves[0][self.main])) for each in self.leaves[0]]
        columns = zip(by_sample, zip(*self.leaves, strict=True), strict=True)
        return [torch.cat(column) if rows else column[0] for rows, column in columns]

    def take(self, outputs: Any, last: Tensor | None) -> Tensor:
        """Return the logits among the outputs of a network, of which `last` is what its last layer gave.

        Raises:
            InputError: if they cannot be told, or `output` does not give a tensor.
        """
        if self.output is None:
            self._known = True
            found = outputs if isinstance(outputs, Tensor) else self._found(outputs, last)
        elif callable(self.output):
            with of("the function output"):
                found = self.output(outputs)
        else:
            found = _item(outputs, self.output)
            if found is None:
                what = "tensor" if isinstance(outputs, Tensor) else type(outputs).__name__
                raise InputError(
                    f"the network returns a {what}, which has no item {self.output!r}; choose "
                    "another output, or leave it out"
                )
        if not isinstance(found, Tensor):
            raise InputError(f"output={self.output!r} gave a {type(found).__name__}, not a tensor")
        return found

    def _found(self, outputs: Any, last: Tensor | None) -> Tensor:
        for name in NAMES:
            named = _item(outputs, name)
            if isinstance(named, Tensor):
                return named
        leaves = tree_leaves(outputs)
        tensors = [n for n, x in enumerate(leaves) if isinstance(x, Tensor) and x.is_floating_point()]
        if self._place is None:
            given = [n for n in tensors if leaves[n] is last]
            self._place = next(iter(given or (tensors if len(tensors) == 1 else [])), None)
        if self._place is None:
            self._known = False
            shapes = ", ".join(str(tuple(leaves[n].shape)) for n in tensors) or "no tensor"
            raise NoLogits(
                f"the network returned a {type(outputs).__name__} of {shapes}, of which the logits "
                "cannot be told"
            )
        found: Tensor = leaves[self._place]
        return found


class Adapted(nn.Module):
    """A network that maps the main input to the logits.

    Args:
        network: any module.
        form: how it is called.

    Attributes:
        batch: whose other inputs go along; None for those of all batches, one after the other.
        put_back: what is done after each forward, see `zcp.statistics.states`.
    """

    def __init__(self, network: nn.Module, form: Form) -> None:
        super().__init__()
        self.network, self.form = network, form
        self.batch: int | None = 0
        self.put_back: Callable[[], None] = lambda: None

    def forward(self, main: Tensor) -> Tensor:
        args, kwargs, tokens = self.form.arguments(main, self.batch)
        last = LastLayer()
        look_up = _InPlaceOf(tokens, main) if self.form.tokens else nullcontext()
        with look_up, nullcontext() if self.form.known else last:
            outputs = self.network(*args, **kwargs)
        if self.form.tokens and not look_up.found:  # type: ignore[union-attr]
            raise Undefined("the network never looked its tokens up in an embedding, so it has no inputs")
        self.put_back()
        return self.form.take(outputs, last.output)

    @torch.no_grad()
    def main_input(self, batch: int) -> Tensor:
        """Return the main input of a batch; of tokens the vectors that the embedding has now.

        Raises:
            InputError: if the tokens are never looked up.
        """
        main = self.form.inputs[batch]
        if not self.form.tokens:
            return main
        first = next(self.parameters(), torch.empty(0))
        like = first.new_empty(len(main), 0)
        args, kwargs, tokens = self.form.arguments(like, batch)
        look_up = _InPlaceOf(tokens, None)
        try:
            with look_up:
                self.network(*args, **kwargs)
        except _LookedUp as found:
            return found.vectors
        raise InputError("the inputs are integers, and the network never looks them up in an embedding")


@contextmanager
def on_batch(network: nn.Module, batch: int | None) -> Iterator[None]:
    """Let the other inputs of an adapted network be those of a batch, or of all for None."""
    if isinstance(network, Adapted):
        network.batch = batch
    try:
        yield
    finally:
        if isinstance(network, Adapted):
            network.batch = 0


class _LookedUp(Exception):
    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = vectors


class _InPlaceOf(TorchFunctionMode):
    """Gives `vectors` in the place of the first look-up of tokens; without vectors, ends there."""

    def __init__(self, tokens: Tensor, vectors: Tensor | None) -> None:
        super().__init__()
        self.tokens, self.vectors, self.found = tokens, vectors, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function, or replace the look-up."""
        kwargs = kwargs or {}
        if func is not F.embedding or self.found:
            return func(*args, **kwargs)
        indices = args[0] if args else kwargs["input"]
        if indices.data_ptr() != self.tokens.data_ptr() or indices.numel() != self.tokens.numel():
            return func(*args, **kwargs)
        if self.vectors is None:
            raise _LookedUp(func(*args, **kwargs))
        self.found = True
        # A copy, because the network may overwrite it, as it may what an embedding gives.
        return self.vectors.clone().reshape(*indices.shape, self.vectors.shape[-1])


def arguments_of(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return (positional, keyword) arguments: of a tensor, a sequence or a mapping.

    Raises:
        InputError: if it is none of these.
    """
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if not isinstance(inputs, Tensor | Sequence):
        raise InputError(f"inputs are a tensor, a sequence or a mapping, not a {type(inputs).__name__}")
    return (inputs,) if isinstance(inputs, Tensor) else tuple(inputs), {}


def _main(inputs: Any, leaves: list[Any]) -> int:
    """Return the place of the main input among all tensors."""
    named = [inputs[name] for name in MAIN if name in inputs] if isinstance(inputs, Mapping) else []
    tensors = [each for each in leaves if isinstance(each, Tensor) and each.ndim > 1]
    floating = [each for each in tensors if each.is_floating_point()]
    for each in (*named, *floating, *tensors):
        return next(n for n, leaf in enumerate(leaves) if leaf is each)
    raise InputError("the inputs hold no tensor (B, …) of two dimensions or more")


def _has_rows(leaf: Any, samples: int) -> bool:
    """Tell whether an input of so many samples has a row for each."""
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == samples


def _cut(leaf: Any, main: Tensor, samples: int) -> Any:
    """Return an input of so many samples for as many as `main` has, on its device and in its precision."""
    if not isinstance(leaf, Tensor):
        return leaf
    leaf = leaf.to(main.device, main.dtype if leaf.is_floating_point() else leaf.dtype)
    if len(main) == samples or not _has_rows(leaf, samples):
        return leaf
    return leaf[torch.arange(len(main), device=leaf.device) % samples]


def _item(outputs: Any, name: str | int) -> Any:
    """Return an item of outputs by key, index or attribute; None where there is none."""
    if isinstance(name, str) and isinstance(outputs, Tensor):
        return None  # PyTorch warns of such an index
    if isinstance(name, str) and hasattr(outputs, name):
        return getattr(outputs, name)
    try:
        return outputs[name]
    except (KeyError, IndexError, TypeError):
        return None

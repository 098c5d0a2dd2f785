"""Twins of the GreenMachine formulas: whole tensors, Python's own parser, module hooks."""

import ast
import copy
import math
from collections import defaultdict
from importlib.resources import files

import torch
import torch.nn.functional as F
from torch import nn

LAYERS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


def _run(network, inputs, labels):
    """Return the statistics of each execution of a layer."""
    network = copy.deepcopy(network).train()
    ran, backward = [], defaultdict(list)

    def saw(module, args, output):
        ran.append((module, {"fwd_input": args[0].detach(), "fwd_output": output.detach()}))

    def saw_backward(module, grad_input, grad_output):
        backward[module].append((grad_input[0], grad_output[0]))

    for module in network.modules():
        if isinstance(module, LAYERS):
            module.register_forward_hook(saw)
            module.register_full_backward_hook(saw_backward)
    logits = network(inputs.clone().requires_grad_())
    F.cross_entropy(logits, labels(logits)).backward()
    for module, found in ran:
        if backward[module]:
            # Executions come back in reverse order.
            found["bwd_input"], found["bwd_output"] = backward[module].pop()
        found["wt"], found["grad"] = module.weight.detach(), module.weight.grad
        for kind, forward in (("bwd_input", "fwd_input"), ("bwd_output", "fwd_output"), ("grad", "wt")):
            if found.get(kind) is None:
                found[kind] = torch.zeros_like(found[forward])
    return [found for _, found in ran]


def _statistics(network, batches, draw):
    """Return features by name for each layer."""
    inputs, labels = batches[0]

    def noise(name, shape=inputs.shape):
        return draw(name, shape).to(inputs)

    runs = {
        "pass": _run(network, inputs, lambda _: labels),
        "pass_noise": _run(network, noise("pass_noise"), lambda _: labels),
        "pass_perturbation": _run(network, inputs + 0.1 * noise("perturbed"), lambda _: labels),
        "random": _run(
            network,
            0.5 * (1 + torch.erf(noise("random") / math.sqrt(2))),
            lambda logits: noise("random_labels", logits.shape).argmax(1),
        ),
    }
    for number, layer in enumerate(runs["pass"]):
        found = {f"{name}_{kind}": run[number][kind] for name, run in runs.items() for kind in layer}
        for kind in layer:
            if kind != "wt":
                found[f"pass_perturbation_{kind}"] = (
                    found[f"pass_perturbation_{kind}"] - found[f"pass_{kind}"]
                )
        yield number, found


def _align(a, b):
    if a.shape == b.shape:
        return a, b
    if a.ndim == 0:
        return a.expand(b.shape), b
    if b.ndim == 0:
        return a, b.expand(a.shape)
    n = min(a.numel(), b.numel())
    return a.flatten()[:n], b.flatten()[:n]


def _aligned(function):
    return lambda a, b: function(*_align(a, b))


def _dim(a):
    return 1 if a.ndim in (2, 4) else 0


def _softmax(a):
    e = (a - a.max()).exp()
    return e / e.sum(_dim(a), keepdim=True) if a.ndim else torch.ones_like(a)


def _cosine(a, b):
    rows = len(a) if a.ndim else 1
    total = 0.0
    for x, y in zip(a.reshape(rows, -1), b.reshape(rows, -1), strict=True):
        total += float((x * y).sum() / (max(float(x.norm()), 1e-8) * max(float(y.norm()), 1e-8)))
    return torch.tensor(total, dtype=a.dtype)


def _kl(a, b):
    p, q = _softmax(a), _softmax(b)
    return (q * (q.log() - p.log())).sum() / (len(a) if a.ndim else 1)


def _mat_mul(a, b):
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    a = a.reshape(1, -1) if a.ndim == 1 else a.flatten(1)
    b = b.reshape(-1, 1) if b.ndim == 1 else b.flatten(1)
    n = min(a.shape[1], b.shape[0])
    return torch.einsum("ij,jk->ik", a[:, :n], b[:n])


def _det(a):
    if a.ndim < 2:
        return a.flatten()[0]
    n = min(a.shape[-2:])
    return torch.det(a[..., :n, :n])


def _normalize(a):
    return torch.nan_to_num((a - a.mean()) / a.std(), nan=0.0) if a.numel() > 1 else torch.zeros_like(a)


OPERATORS = {
    "sum": _aligned(lambda a, b: a + b),
    "subtract": _aligned(lambda a, b: a - b),
    "element_wise_product": _aligned(lambda a, b: a * b),
    "min": _aligned(lambda a, b: torch.where(a < b, a, b)),
    "max": _aligned(lambda a, b: torch.where(a > b, a, b)),
    "less_than": _aligned(lambda a, b: (a < b).double()),
    "greater_than": _aligned(lambda a, b: (a > b).double()),
    "equal": _aligned(lambda a, b: (a == b).double()),
    "cosine_similarity": _aligned(_cosine),
    "kl_div": _aligned(_kl),
    "mat_mul": _mat_mul,
    "power": lambda a: a**2,
    "abs": lambda a: a.abs(),
    "relu": lambda a: a.clamp(min=0),
    "log": lambda a: torch.where(a > 0, a, torch.ones_like(a)).log(),
    "softmax": _softmax,
    "sigmoid": lambda a: 1 / (1 + (-a).exp()),
    "normalize": _normalize,
    "normalized_sum": lambda a: a.sum() / a.numel(),
    "l1_norm": lambda a: a.abs().sum() / a.numel(),
    "frobenius_norm": lambda a: (a * a).sum().sqrt(),
    "determinant": _det,
    "numel": lambda a: torch.tensor(float(a.numel())).double(),
    "transpose": lambda a: a.mT if a.ndim > 1 else a,
    "ones_like": torch.ones_like,
    "heaviside": lambda a: (a > 0).double(),
    "less_than_zero": lambda a: (a < 0).double(),
    "element_wise_invert": lambda a: 1 / a,
}


def _value(node, features, normal):
    if isinstance(node, ast.Name):
        return features[node.id]
    arguments = [_value(argument, features, normal) for argument in node.args]
    if node.func.id == "gaussian_init":
        return normal(ast.unparse(node), arguments[0].shape)
    return OPERATORS[node.func.id](*arguments)


def formula(text):
    """Return the twin of the proxy that a formula is."""
    tree = ast.parse(f"({text})", mode="eval").body

    def twin(network, batches, draw):
        values = []
        for number, features in _statistics(network, batches, draw):
            value = _value(
                tree, features, lambda name, shape, number=number: draw(f"{number} {name}", shape).double()
            )
            values.append(float(value.mean()))
        values = [value for value in values if math.isfinite(value)]
        return sum(values) / len(values) if values else math.nan

    return twin


def _formulas():
    found = {}
    for line in files("zcp.formulas").joinpath("greenmachine.txt").read_text().splitlines():
        if line.startswith("GreenMachine-"):
            name = f"greenmachine_{line[13].lower()}"
        elif line.startswith(" "):
            found[name] = found.get(name, "") + line
    return found


TWINS = {name: formula(body) for name, body in _formulas().items()}

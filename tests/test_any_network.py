"""Networks that people bring: what was silently wrong or NaN, each with its right value."""

import copy
import gc
import math
import weakref

import pytest
import torch
import torch.nn.functional as F
from any_networks import (
    CLASSES,
    SHAPE,
    Language,
    LeNet,
    ResNet,
    Returns,
    Squeezed,
    ViT,
    activated,
    batches,
    norms,
    seeded,
)
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from zcp import InputError, Undefined, flops, list_proxies, score
from zcp.proxies.registry import REGISTRY, default_proxies
from zcp.statistics.copies import duplicate

PLAIN = [name for name in default_proxies() if not REGISTRY[name].expression]
DATA = batches()


def assert_same(found, expected, rel: float = 1e-5, names=None) -> None:
    for name in names or expected:
        assert found[name] == pytest.approx(expected[name], rel=rel, abs=1e-9, nan_ok=True), name


def valued(scores, missing: set[str] = frozenset()) -> None:
    """All values are numbers but those named, which have a reason."""
    assert {name: scores.reasons[name] for name in scores if math.isnan(scores[name])}.keys() == missing


# --- layouts


def test_a_network_that_flattens_with_view_has_the_values_of_the_plain_layout():
    net = seeded(LeNet)
    fast, plain = score(net, DATA, PLAIN), score(net, DATA, PLAIN, engine="plain")
    assert_same(fast, plain, rel=1e-9)
    valued(fast, {"eznas"} & {n for n in fast if math.isnan(fast[n])})
    assert fast["grad_norm"] > 0


class Volumes(nn.Module):
    def __init__(self, rank: int) -> None:
        super().__init__()
        kinds = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
        norms_ = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
        pools = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
        self.body = nn.Sequential(
            kinds[rank](3, 4, 3, padding=1), norms_[rank](4), nn.ReLU(), kinds[rank](4, 6, 3, padding=1),
            norms_[rank](6), nn.ReLU(), pools[rank](1), nn.Flatten(), nn.Linear(6, CLASSES),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize("rank", [1, 3])
def test_convolutions_of_any_rank_count_as_those_of_two(rank):
    """A Conv1d is a Conv2d on images of one row, and a Conv3d one on volumes of one slice."""
    flat = seeded(lambda: Volumes(2))
    other = Volumes(rank)
    with torch.no_grad():
        for mine, theirs in zip(other.parameters(), flat.parameters(), strict=True):
            if rank == 1 and theirs.ndim == 4:
                theirs[:, :, [0, 2]] = 0
                mine.copy_(theirs[:, :, 1])
            elif rank == 3 and theirs.ndim == 4:
                mine.zero_()[:, :, 1] = theirs
            else:
                mine.copy_(theirs)
    images = [(x[:, :, :1], y) for x, y in DATA] if rank == 1 else DATA
    shaped = [(x.squeeze(2) if rank == 1 else x.unsqueeze(2), y) for x, y in images]
    # Of gradients and fan-ins, those of the weights that see nothing but padding are left out.
    names = ["grad_norm", "snip", "plain", "nasi", "naswot", "jacob_cov", "zen", "l2_norm", "log_synflow"]

    def draw(name, shape):
        source = torch.Generator().manual_seed(ord(name[0]))
        return torch.randn(math.prod(shape), generator=source).reshape(tuple(shape))

    found = score(other, shaped, names, init="keep", draw=draw)
    expected = score(flat, images, names, init="keep", draw=draw)
    assert_same(
        found, expected, names=["naswot", "jacob_cov", "zen", "l2_norm", "log_synflow", "snip", "plain"]
    )
    assert found["grad_norm"] > 0
    assert score(other, shaped, ["flops"])["flops"] > 0


# --- weights


def by_hand(net: nn.Module, leaves) -> dict[str, float]:
    """Gradients of the loss for the leaves, by PyTorch alone."""
    own = duplicate(net).train()
    x, y = DATA[0]
    F.cross_entropy(own(x), y).backward()
    found = leaves(own)
    return {
        "grad_norm": sum(float(w.grad.norm()) for w in found),
        "snip": sum(float((w.detach() * w.grad).abs().sum()) for w in found),
        "nasi": sum(float(w.grad.square().sum()) for w in found),
        "l2_norm": sum(float(w.norm()) for w in found),
    }


@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "older weight_norm"])
def test_weights_behind_a_parametrisation(how):
    wrap = {
        "weight_norm": parametrizations.weight_norm,
        "spectral_norm": parametrizations.spectral_norm,
        "older weight_norm": nn.utils.weight_norm,
    }[how]
    net = seeded(lambda: nn.Sequential(
        wrap(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), wrap(nn.Linear(4,
        CLASSES))
    ))  # fmt: skip

    def leaves(own):
        if how == "older weight_norm":
            return [own[0].weight_v, own[4].weight_v]
        key = "original1" if how == "weight_norm" else "original"
        return [getattr(own[n].parametrizations.weight, key) for n in (0, 4)]

    found = score(net, DATA, ["grad_norm", "snip", "nasi", "l2_norm", "log_synflow", "zico"], init="keep")
    assert_same(found, by_hand(net, leaves))
    valued(found)


def test_the_packed_weight_of_attention_counts():
    net = seeded(ViT)
    names = ["grad_norm", "snip", "nasi", "l2_norm"]

    def leaves(own):
        kinds = (nn.Conv2d, nn.Linear)
        layers = [m.weight for m in own.modules() if isinstance(m, kinds)]
        return [*layers, *(m.attention.in_proj_weight for m in own.blocks)]

    assert_same(score(net, DATA, names, init="keep"), by_hand(net, leaves))


def test_transposed_convolutions_count():
    net = seeded(lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES),
    ))  # fmt: skip
    found = score(net, DATA, ["grad_norm", "snip", "nasi", "l2_norm", "flops"], init="keep")
    assert_same(found, by_hand(net, lambda own: [own[n].weight for n in (0, 2, 6)]))
    # Each of 64 pixels of 4 channels goes to 4 pixels of 3 channels, the half of its group.
    macs, biases = 64 * 4 * 27 + 64 * 4 * 4 * 3 + 6 * CLASSES, 64 * 4 + 256 * 6 + CLASSES
    assert found["flops"] == pytest.approx((macs + biases) / 1e6, rel=1e-12)
    with FlopCounterMode(display=False) as counter:
        net(DATA[0][0])
    assert flops(net, DATA[0][0]).total == counter.get_total_flops() / 2 == len(DATA[0][0]) * macs


def test_packed_fused_and_written_attention_are_the_same():
    packed = seeded(ViT)
    found = []
    for how in ("packed", "fused", "written"):
        net = seeded(lambda how=how: ViT(how))
        if how != "packed":
            state = packed.state_dict()
            renamed = {
                name.replace("attention.in_proj_", "qkv.").replace("attention.out_proj", "out"): value
                for name, value in state.items()
            }
            net.load_state_dict(renamed)
        found.append(score(net, DATA, PLAIN, init="keep"))
    for other in found[1:]:
        # Products are counted in any form; the order of weights moves sums by rounding.
        assert_same(other, found[0], rel=1e-3, names=[n for n in PLAIN if n != "plain"])
    valued(found[0], {"eznas"})


def test_multiply_accumulates_of_attention():
    """By hand: 16 patches of 12 pixels, 17 tokens of 8, 3 blocks with two products of 17 x 17 x 8."""
    macs = 16 * 12 * 8 + 3 * (17 * 8 * 24 + 2 * 17 * 17 * 8 + 17 * 8 * 8 + 2 * 17 * 8 * 16) + 8 * CLASSES
    biases = 16 * 8 + 3 * 17 * (24 + 8 + 16 + 8) + CLASSES
    for how in ("packed", "fused", "written"):
        found = score(seeded(lambda how=how: ViT(how)), DATA, "flops")["flops"]
        assert found == pytest.approx((macs + biases) / 1e6, rel=1e-12), how


def test_fisher_sums_over_tokens():
    net = seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(24, CLASSES)))
    data = batches(shape=(6, 3))
    x, y = data[0]
    hidden = net[0](x)
    hidden.retain_grad()
    logits = net[3](net[1](hidden).flatten(1))
    logits.retain_grad()
    F.cross_entropy(logits, y).backward()
    first = (hidden * hidden.grad).sum(1).square().sum() / (2 * len(x)) * 3
    last = (logits * logits.grad).square().sum() / (2 * len(x)) * 24
    assert score(net, data, ["fisher"], init="keep")["fisher"] == pytest.approx(float(first + last), rel=1e-5)


# --- initialisation


@pytest.mark.parametrize(
    "make", [ViT, lambda: ViT("fused"), Language, lambda: Volumes(1), lambda: norms("group")]
)
def test_two_builds_have_the_same_scores(make):
    data = DATA
    if make is Language:
        data = [(torch.arange(12).reshape(2, 6) % 11, torch.arange(12).reshape(2, 6) % 7)] * 2
    elif isinstance(seeded(make), Volumes):
        data = batches(shape=(3, 8))
    one, other = (score(seeded(make, seed), data, PLAIN) for seed in (1, 2))
    assert_same(other, one, rel=1e-12)
    trained = seeded(make, 1)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1.0)
    assert_same(score(trained, data, PLAIN), one, rel=1e-12)
    assert one.untouched == ()


def test_two_builds_of_a_parametrised_network_have_the_same_scores():
    for wrap in (parametrizations.weight_norm, parametrizations.spectral_norm, nn.utils.weight_norm):

        def make(wrap=wrap):
            return nn.Sequential(
                wrap(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Flatten(), wrap(nn.Linear(144, CLASSES))
            )

        one, other = (score(seeded(make, seed), DATA, ["grad_norm", "zen", "naswot"]) for seed in (1, 2))
        assert_same(other, one, rel=1e-12)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.scale = norms("none"), nn.Parameter(torch.ones(CLASSES))

    def forward(self, x):
        return self.body(x) * self.scale


def test_what_no_initialisation_knows_is_listed():
    assert score(seeded(Scaled), DATA, ["grad_norm"]).untouched == ("scale",)
    assert score(seeded(Scaled), DATA, ["grad_norm"], init="keep").untouched == ()


# --- in-place operations


def test_in_place_sums_and_activations_change_nothing():
    plain, in_place = seeded(lambda: ResNet(in_place=False)), seeded(lambda: ResNet(in_place=True))
    names = list_proxies()
    expected = score(plain, DATA, names)
    found = score(in_place, DATA, names)
    # EZNAS reads modules, and the activations of these networks are functions.
    assert_same(found, expected, rel=1e-4)
    for name in ("greenmachine_f", "greenmachine_d", "naswot"):
        assert score(in_place, DATA, [name])[name] == pytest.approx(expected[name], rel=1e-5), name
    text = {"f": "frobenius_norm(pass_noise_fwd_output)"}
    alone = [score(net, DATA, [], formulas=text)["f"] for net in (plain, in_place)]
    assert alone[1] == pytest.approx(alone[0], rel=1e-6)


@pytest.mark.parametrize("activation", [F.relu_, torch.sigmoid_, lambda x: F.elu(x, 1.0, True)])
def test_who_activates_in_place_may_ignore_what_is_returned(activation):
    class Network(nn.Module):
        def __init__(self, ignores: bool) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, CLASSES)
            self.ignores = ignores

        def forward(self, x):
            before = x = self.norm(self.conv(x))
            if not self.ignores:
                return self.head(activation(x.clone()).mean((2, 3)))
            activation(x)
            return self.head(before.mean((2, 3)))

    found, expected = (score(seeded(lambda i=i: Network(i)), DATA, list_proxies()) for i in (True, False))
    assert_same(found, expected, rel=1e-5)


# --- activations


PIECES = [
    F.relu, torch.relu, torch.Tensor.relu, nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.ELU(),
    nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.Hardsigmoid(), nn.Tanh(), F.silu, F.gelu, torch.sigmoid,
    lambda x: F.relu_(x * 1), lambda x: torch.sigmoid_(x * 1),
]  # fmt: skip


@pytest.mark.parametrize("activation", PIECES, ids=lambda f: getattr(f, "__name__", str(f)))
def test_every_activation_has_a_pattern(activation):
    """NASWOT by hand: units agree where what enters has one sign."""
    net = activated(activation)
    x = DATA[0][0]
    own = copy.deepcopy(net).train()
    first = own.norm(own.conv(x))
    second = own.second(own.act(first))
    signs = torch.cat([(t > 0).flatten(1) for t in (first, second)], 1).double()
    kernel = signs @ signs.T + (1 - signs) @ (1 - signs).T
    found = score(net, DATA, ["naswot", "linear_regions", "te_nas", "grasp"], init="keep")
    assert found["naswot"] == pytest.approx(float(torch.linalg.slogdet(kernel)[1]), rel=1e-9)
    valued(found)


def test_activations_of_two_kinds_count():
    net = seeded(lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Hardswish(), nn.Flatten(),
        nn.Linear(64, CLASSES),
    ))  # fmt: skip
    first = net[0](DATA[0][0])
    second = net[2](net[1](first))
    signs = torch.cat([(t > 0).flatten(1) for t in (first, second)], 1).double()
    kernel = signs @ signs.T + (1 - signs) @ (1 - signs).T
    found = score(net, DATA, ["naswot"], init="keep")["naswot"]
    assert found == pytest.approx(float(torch.linalg.slogdet(kernel)[1]), rel=1e-9)


def test_two_activations_count_as_modules_or_as_functions():
    class Two(nn.Module):
        def __init__(self, module: bool) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
            self.head, self.relu, self.module = nn.Linear(4, CLASSES), nn.ReLU(), module

        def forward(self, x):
            x = self.second(self.relu(self.first(x)))
            return self.head((self.relu(x) if self.module else F.relu(x)).mean((2, 3)))

    one, other = (score(seeded(lambda m=m: Two(m)), DATA, ["naswot"])["naswot"] for m in (True, False))
    assert one == other


# --- heads, norms, blocks


def test_the_head_is_found_behind_squeeze_and_excitation():
    by_module, by_method = (
        score(seeded(lambda m=m: Squeezed(m)), DATA, ["zen"])["zen"] for m in (False, True)
    )
    assert by_method == pytest.approx(by_module, rel=1e-6)


@pytest.mark.parametrize("norm", ["batch", "group", "instance", "layer"])
def test_synflow_bypasses_every_norm(norm):
    expected = score(norms("none"), DATA, ["log_synflow"])["log_synflow"]
    assert score(norms(norm), DATA, ["log_synflow"])["log_synflow"] == pytest.approx(expected, rel=1e-9)


def test_blocks_are_found_or_named():
    net = seeded(lambda: ResNet(in_place=True, blocks=3))
    parts = ["expressivity", "progressivity", "trainability"]
    found = score(net, DATA, parts)
    valued(found)
    assert score(net, DATA, parts, blocks=["layer.0", "layer.1", "layer.2"]) == found
    assert score(net, DATA, parts, blocks=["layer.0", "layer.2"]) != found
    alone = score(net, DATA, parts, blocks=["layer.1"])
    assert all(math.isnan(alone[name]) and "only one block" in alone.reasons[name] for name in parts)
    with pytest.raises(InputError, match=r"no module 'layer\.7'"):
        score(net, DATA, parts, blocks=["layer.7"])


@pytest.mark.parametrize("count", [2, 3])
def test_zico_of_equal_batches_has_no_value(count):
    net = seeded(lambda: norms("batch"))
    found = score(net, DATA[:1] * count, ["zico"])
    assert math.isnan(found["zico"]) and "do not differ" in found.reasons["zico"]
    valued(score(net, [DATA[0]] * (count - 1) + [DATA[1]], ["zico"]))


def test_eznas_without_a_batch_norm():
    valued(score(seeded(lambda: norms("none")), DATA, ["eznas"]))


def test_a_gradient_that_underflows_is_no_zero():
    convolutions = (nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(120))
    deep = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(192, CLASSES))
    found = score(deep, DATA, ["grad_norm", "nasi"])
    assert math.isnan(found["grad_norm"])
    assert "underflow" in found.reasons["grad_norm"]
    double = score(deep.double(), [(x.double(), y) for x, y in DATA], ["grad_norm"])
    assert double["grad_norm"] > 0


# --- how networks are called


class Counted(DataLoader):
    drawn = 0

    def __iter__(self):
        for batch in super().__iter__():
            self.drawn += 1
            yield batch


def test_a_loader_is_drawn_from_once():
    data = [(x, y) for part in batches(count=6) for x, y in zip(*part, strict=True)]
    loader = Counted(data, batch_size=5, shuffle=True)
    first = [*DataLoader(data, batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(0))]
    with torch.random.fork_rng():
        found = score(ResNet(), loader, PLAIN)
    assert loader.drawn == 2
    valued(found, {"eznas"} & {n for n in found if math.isnan(found[n])})
    loader.drawn = 0
    score(ResNet(), loader, ["grad_norm"])
    assert loader.drawn == 1
    assert len(first) == 6


@pytest.mark.parametrize("how", ["pair", "list", "dict", "dataclass"])
def test_logits_are_found_among_outputs(how):
    expected = score(seeded(lambda: Returns("tensor")), DATA, list_proxies())
    assert score(seeded(lambda: Returns(how)), DATA, list_proxies()) == expected


def test_outputs_that_are_not_clear():
    net = seeded(lambda: Returns("unclear"))
    with pytest.raises(InputError, match=r"tuple of \(5, 5\), \(5, 5\).*pass output="):
        score(net, DATA, ["grad_norm"])
    by_index, by_function = (score(net, DATA, ["grad_norm"], output=o) for o in (1, lambda out: out[1]))
    assert by_index == by_function
    with pytest.raises(InputError, match="returns a tuple, which has no item 'logits'"):
        score(net, DATA, ["grad_norm"], output="logits")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("output", ["foo", 999])
def test_an_item_of_a_tensor_that_is_not_there(output):
    with pytest.raises(InputError, match=f"returns a tensor, which has no item {output!r}; .*leave it out"):
        score(seeded(lambda: Returns("tensor")), DATA, ["grad_norm"], output=output)


class Wants(nn.Module):
    """Several inputs, by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.body = norms("batch")

    def forward(self, image, scale, *, flag=True):
        return self.body(image) * scale[:, None] if flag else None


def test_several_inputs():
    net = seeded(Wants)
    ones = [((x, torch.ones(len(x))), y) for x, y in DATA]
    names = [{"image": x, "scale": torch.ones(len(x)), "flag": True} for x, _ in DATA]
    named = [(inputs, y) for inputs, (_, y) in zip(names, DATA, strict=True)]
    held = [{**inputs, "labels": y} for inputs, y in named]
    expected = score(net.body, DATA, PLAIN)
    for data in (ones, named, held):
        assert_same(score(net, data, PLAIN), expected, rel=1e-9)


def test_every_batch_brings_its_other_inputs():
    net = seeded(Wants)
    data = [((x, torch.full((len(x),), float(n))), y) for n, (x, y) in enumerate(DATA, 1)]
    one = score(net, data, ["zico"])["zico"]
    data[1] = ((data[1][0][0], torch.full((5,), 3.0)), data[1][1])
    assert score(net, data, ["zico"])["zico"] != one


def test_modules_that_are_called_by_keyword():
    class Keyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
            self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, CLASSES)

        def forward(self, x):
            x = self.relu(input=self.norm(input=self.conv(input=x)))
            return self.head(input=self.pool(input=x).flatten(1))

    class Usual(Keyword):
        def forward(self, x):
            return self.head(self.pool(self.relu(self.norm(self.conv(x)))).flatten(1))

    names = list_proxies()
    assert score(seeded(Keyword), DATA, names) == score(seeded(Usual), DATA, names)


TOKENS = torch.arange(24).reshape(4, 6) % 11


def test_tokens_and_a_language_model():
    net = seeded(Language)
    data = [
        ({"input_ids": ids, "attention_mask": torch.ones(4, 6)}, ids.roll(1, 1))
        for ids in (TOKENS, TOKENS + 0)
    ]
    data[1][0]["input_ids"] = data[1][0]["input_ids"].flip(1)
    found = score(net, data, PLAIN)
    valued(found, {"eznas", "epe_nas"})
    own = copy.deepcopy(net).train()
    logits = own(TOKENS)["logits"]
    F.cross_entropy(logits.flatten(0, 1), TOKENS.roll(1, 1).flatten()).backward()
    weights = [m.weight for b in own.blocks for m in b.modules() if isinstance(m, nn.Linear)]
    kept = score(net, data, ["grad_norm", "l2_norm"], init="keep")
    # The embedding's own gradient is that of the head that it is tied to: its look-up is the input.
    head = own.head.weight.detach().clone().requires_grad_()
    states = own(TOKENS)["states"].detach()
    F.cross_entropy((states @ head.T).flatten(0, 1), TOKENS.roll(1, 1).flatten()).backward()
    expected = sum(float(w.grad.norm()) for w in weights) + float(head.grad.norm())
    assert kept["grad_norm"] == pytest.approx(expected, rel=1e-5)
    assert kept["l2_norm"] == pytest.approx(sum(float(w.norm()) for w in [*weights, head]), rel=1e-5)


def test_an_embedding_that_no_product_reads_is_no_weight():
    net = seeded(lambda: Language(tied=False))
    norms_ = sum(float(m.weight.norm()) for m in net.modules() if isinstance(m, nn.Linear))
    assert score(net, [(TOKENS, TOKENS)], ["l2_norm"], init="keep")["l2_norm"] == pytest.approx(
        norms_, rel=1e-6
    )


def test_regression_and_segmentation():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, CLASSES, 1))
    masks = [(x, torch.randint(CLASSES, (5, 8, 8))) for x, _ in DATA]
    names = ["grad_norm", "grad_norm_l2", "snip", "zico", "fisher", "greenmachine_a"]
    valued(score(net, masks, names))
    last = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.ReLU(), nn.Linear(7, 2)))
    numbers = [(x, torch.randn(5, 2)) for x, _ in DATA]
    found = score(last, numbers, names, init="keep", loss=F.mse_loss)
    valued(found)
    F.mse_loss(last(numbers[0][0]), numbers[0][1]).backward()
    expected = sum(float(last[n].weight.grad.norm()) for n in (1, 3))
    assert found["grad_norm"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match="not a scalar"):
        score(last, numbers, ["snip"], loss=lambda out, y: out - y)


# --- the network is left alone


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "compile"])
def test_wrappers_are_looked_through(wrap):
    net = seeded(lambda: norms("batch"))
    names = list_proxies()
    expected = score(net, DATA, names)
    assert score(wrap(net), DATA, names) == expected
    assert score(nn.Sequential(wrap(net)), DATA, ["grad_norm", "naswot"])["naswot"] == expected["naswot"]


def test_own_hooks_do_not_fire():
    net, fired = seeded(lambda: norms("batch")), []
    expected = score(net, DATA, list_proxies())
    net[0].register_forward_hook(lambda *_: fired.append("forward"))
    net[0].register_forward_pre_hook(lambda *_: fired.append("before"))
    net[3].register_full_backward_hook(lambda *_: fired.append("backward"))
    net.register_forward_hook(lambda *_, **__: fired.append("keywords"), with_kwargs=True, always_call=True)
    assert score(net, DATA, list_proxies()) == expected
    assert not fired
    net(DATA[0][0]).sum().backward()
    assert len(fired) == 4


def test_lazy_modules():
    def lazy():
        return nn.Sequential(
            nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(CLASSES)
        )

    net = lazy()
    found = score(net, DATA, PLAIN)
    assert isinstance(net[0].weight, nn.UninitializedParameter)
    usual = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES)
    )
    assert_same(found, score(usual, DATA, PLAIN), rel=1e-9)
    net[2].never = nn.LazyLinear(3)
    with pytest.raises(InputError, match=r"2\.never\.weight.* did not run"):
        score(net, DATA, PLAIN)


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.seen, self.last = norms("batch"), {}, None

    def forward(self, x):
        self.last = self.body(x)
        self.seen["logits"] = [self.last]
        return self.last


def test_a_network_that_keeps_its_activations():
    net = seeded(Remembers)
    net(DATA[0][0])
    assert_same(score(net, DATA, list_proxies()), score(net.body, DATA, list_proxies()), rel=1e-4)
    assert net.last.grad_fn is not None


class Large(nn.Module):
    """Runs out of memory with something large at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.held = nn.Linear(192, CLASSES), []

    def __deepcopy__(self, _memo):
        return self

    def forward(self, x):
        large = self.layer(x.flatten(1)) * 2
        self.held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("out of memory")


def test_a_failed_pass_frees_what_it_held():
    net = Large()
    found = score(net, DATA, PLAIN)
    assert math.isnan(found["grad_norm"])
    gc.collect()
    assert net.held and not any(ref() is not None for ref in net.held)


def test_strict_raises():
    one = DATA[:1]
    assert math.isnan(score(norms("batch"), one, ["zico"])["zico"])
    with pytest.raises(Undefined, match=r"zico has no value: .*only one"):
        score(norms("batch"), one, ["params", "zico"], strict=True)


def test_table_and_progress(capsys):
    found = score(norms("batch"), DATA[:1], ["params", "zico", "ntk_cond"], progress=True)
    table = found.to_frame()
    assert [*table.index] == ["params", "zico", "ntk_cond"]
    assert [*table.columns] == ["value", "reason", "seconds", "direction"]
    assert table.direction.tolist() == ["larger", "larger", "smaller"]
    assert table.value["params"] == found["params"]
    assert "only one" in table.reason["zico"] and table.reason["params"] == ""
    assert (table.seconds >= 0).all() and table.seconds.sum() > 0
    assert "3/3" in capsys.readouterr().err


def test_a_device_for_the_copies():
    net = norms("batch")
    assert score(net, DATA, ["grad_norm"], device="cpu") == score(net, DATA, ["grad_norm"])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"x": DATA[0][0]}, "list of one or more"),
        ([{"x": DATA[0][0]}], "without labels or"),
        ([((DATA[0][0], "a"), None)], "of tensors"),
        ([("text", DATA[0][1])], "of tensors"),
        ([((torch.ones(5),), DATA[0][1])], "no tensor"),
        ([(DATA[0][0], DATA[0][1]), ((DATA[0][0],) * 2, DATA[0][1])], "same form"),
    ],
)
def test_malformed_batches(bad, message):
    with pytest.raises(InputError, match=message):
        score(norms("batch"), bad, ["params"])


def test_shape_is_that_of_images():
    assert DATA[0][0].shape[1:] == SHAPE

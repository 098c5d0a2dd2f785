"""Networks as people write them: functions, operators, in-place sums, attention, tokens, wrappers."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 5
SHAPE = (3, 8, 8)


def seeded(make, seed: int = 3) -> nn.Module:
    """Return a network that is made with a seed of PyTorch's global generator, which is put back."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def batches(size: int = 5, count: int = 2, shape=SHAPE, dtype=torch.float32, classes=CLASSES):
    source = torch.Generator().manual_seed(11)
    return [
        (torch.randn(size, *shape, generator=source).to(dtype), torch.arange(size) % classes)
        for _ in range(count)
    ]


class LeNet(nn.Module):
    """Flattens with `view`, which activations with the channels last do not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.third, self.head = nn.Linear(8 * 4, 9), nn.Linear(9, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        return self.head(F.relu(self.third(x.view(-1, 8 * 4))))


class Residual(nn.Module):
    """A block as torchvision writes it, in place or not."""

    def __init__(self, width: int, in_place: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.norm, self.last = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm(self.first(x)), inplace=self.in_place)
        out = self.last(self.second(out))
        if self.in_place:
            out += x
            return F.relu_(out)
        return F.relu(out + x)


class ResNet(nn.Module):
    def __init__(self, in_place: bool = True, blocks: int = 2) -> None:
        super().__init__()
        self.begin, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.layer = nn.Sequential(*(Residual(4, in_place) for _ in range(blocks)))
        self.head = nn.Linear(4, CLASSES)
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(F.relu(self.norm(self.begin(x)), inplace=self.in_place))
        return self.head(x.mean((2, 3)))


class Block(nn.Module):
    """A transformer block with attention packed, fused or written out."""

    def __init__(self, width: int, how: str) -> None:
        super().__init__()
        self.how = how
        if how == "packed":
            self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        else:
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def attend(self, x: Tensor) -> Tensor:
        if self.how == "packed":
            return self.attention(x, x, x, need_weights=False)[0]
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        if self.how == "fused":
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.before(x))
        return x + self.down(F.gelu(self.up(self.between(x))))


class ViT(nn.Module):
    def __init__(self, how: str = "packed", width: int = 8, blocks: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 17, width))
        self.blocks = nn.Sequential(*(Block(width, how) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Language(nn.Module):
    """Tokens in, logits of the next token out, with the embedding as the head."""

    def __init__(self, words: int = 11, width: int = 8, tied: bool = True) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(6, width)
        self.blocks = nn.ModuleList(Block(width, "fused") for _ in range(2))
        self.head = nn.Linear(width, words, bias=False)
        if tied:
            self.head.weight = self.words.weight

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        if attention_mask is not None:
            x = x * attention_mask[..., None]
        return {"states": x, "logits": self.head(x)}


class Squeezed(nn.Module):
    """Squeeze-and-excitation, and a head that averages by a module or by a method."""

    def __init__(self, method: bool) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.squeeze, self.down, self.up = nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1)
        self.last, self.pool, self.head = nn.Conv2d(6, 6, 1), nn.AdaptiveAvgPool2d(1), nn.Linear(6, CLASSES)
        self.method = method

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        x = x * torch.sigmoid(self.up(F.relu(self.down(self.squeeze(x)))))
        x = self.last(x)
        x = x * torch.sigmoid(self.up(F.relu(self.down(self.squeeze(x)))))
        return self.head(x.mean((2, 3)) if self.method else self.pool(x).flatten(1))


@dataclass
class Answer:
    loss: Tensor | None
    logits: Tensor


class Returns(nn.Module):
    """A network that returns its logits in some form."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(4, CLASSES)
        self.how = how

    def forward(self, x: Tensor):
        features = self.body(x).flatten(1)
        logits = self.head(features)
        return {
            "tensor": logits,
            "pair": (features, logits),
            "list": [logits, [features]],
            "dict": {"features": features, "logits": logits},
            "dataclass": Answer(None, logits),
            "unclear": (logits + 1, logits + 2),
        }[self.how]


def norms(norm: str) -> nn.Module:
    """Three convolutions with a norm behind each, or none."""
    width = 4
    made = {
        "none": nn.Identity,
        "batch": lambda: nn.BatchNorm2d(width),
        "group": lambda: nn.GroupNorm(2, width),
        "instance": lambda: nn.InstanceNorm2d(width, affine=True),
        "layer": lambda: nn.LayerNorm((width, 8, 8)),
    }[norm]
    layers = [nn.Conv2d(3, width, 3, padding=1), made(), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Conv2d(width, width, 3, padding=1), made(), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


def activated(activation) -> nn.Module:
    """A small network around an activation, a module or a function."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.second, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, CLASSES)
            self.act = activation

        def forward(self, x: Tensor) -> Tensor:
            x = self.second(self.act(self.norm(self.conv(x))))
            return self.head(self.act(x).mean((2, 3)))

    return seeded(Network)

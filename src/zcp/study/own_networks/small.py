"""Three small networks for the same task, as a person writes them: nothing here knows of zcp."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10
#: Grey levels, which are the words of the language model, and pixels a side of what it reads.
WORDS, SIDE = 16, 8


class Residual(nn.Module):
    """Convolution and batch norm, with a way around them that is added in place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return activations of the shape of x (B, width, H, W)."""
        out: Tensor = self.norm(self.layer(x))
        out += x
        return F.relu(out)


class ConvNet(nn.Module):
    """A residual network with a mean as its head."""

    def __init__(self, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        self.begin = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(depth)))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, 3, H, W)."""
        logits: Tensor = self.head(self.blocks(self.begin(images)).mean((2, 3)))
        return logits


class ViT(nn.Module):
    """A vision transformer: patches, a class token, positions."""

    def __init__(self, width: int = 32, depth: int = 3, patch: int = 8, side: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + (side // patch) ** 2, width))
        self.blocks = nn.Sequential(*(_block(width) for _ in range(depth)))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, 3, H, W)."""
        x = self.patches(images).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        logits: Tensor = self.head(self.blocks(x)[:, 0])
        return logits


class LanguageModel(nn.Module):
    """A language model that reads tokens and says what kind of text they are, in a dict."""

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(SIDE**2, width)
        self.blocks = nn.ModuleList(_block(width) for _ in range(depth))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Return `logits` (B, classes) and `states` (B, T, width) of tokens (B, T)."""
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1], device=input_ids.device))
        for block in self.blocks:
            x = block(x)
        return {"states": x, "logits": self.head(x.mean(1))}


def _block(width: int) -> nn.Module:
    return nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)


def as_text(images: Tensor) -> dict[str, Tensor]:
    """Return images (B, C, H, W) as what the language model reads: the grey level of each coarse pixel."""
    coarse = F.adaptive_avg_pool2d(images, SIDE).mean(1).flatten(1)
    levels = torch.linspace(float(coarse.min()), float(coarse.max()), WORDS + 1)[1:-1]
    return {"input_ids": torch.bucketize(coarse, levels)}

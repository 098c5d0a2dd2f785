"""Models of `transformers`, from configurations and shrunk to seconds: nothing is downloaded."""

import os
from typing import Any

import torch
from torch import Tensor, nn

from zcp.errors import InputError
from zcp.optional import require

CLASSES, WORDS, PIXELS = 5, 50, 64
_SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
#: Name -> (class, configuration, its settings).
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "resnet": ("ResNetForImageClassification", "ResNetConfig", {
        "embedding_size": 8, "hidden_sizes": [8, 16, 16, 24], "depths": [1, 2, 1, 1], "layer_type": "basic"}),
    "regnet": ("RegNetForImageClassification", "RegNetConfig", {
        "embedding_size": 8, "hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 2, 1], "groups_width": 8}),
    "mobilenet_v2": ("MobileNetV2ForImageClassification", "MobileNetV2Config", {
        "depth_multiplier": 0.1, "image_size": PIXELS}),
    "efficientnet": ("EfficientNetForImageClassification", "EfficientNetConfig", {
        "width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320, "image_size": PIXELS}),
    "convnext": ("ConvNextForImageClassification", "ConvNextConfig", {
        "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1], "image_size": PIXELS}),
    "vit": ("ViTForImageClassification", "ViTConfig", {**_SMALL, "image_size": PIXELS, "patch_size": 8}),
    "swin": ("SwinForImageClassification", "SwinConfig", {
        "embed_dim": 8, "depths": [1, 1, 2], "num_heads": [1, 2, 2], "window_size": 4, "patch_size": 2,
        "image_size": PIXELS}),
    "bert": ("BertForSequenceClassification", "BertConfig", {
        **_SMALL, "vocab_size": WORDS, "max_position_embeddings": 16}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {
        "vocab_size": WORDS, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 16}),
    "wav2vec2": ("Wav2Vec2ForSequenceClassification", "Wav2Vec2Config", {
        **_SMALL, "conv_dim": (8, 8, 8), "conv_stride": (5, 2, 2), "conv_kernel": (10, 3, 3),
        "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
        "classifier_proj_size": 16, "layerdrop": 0.0}),
}  # fmt: skip


def build(name: str, seed: int = 1, *, eager: bool = False) -> nn.Module:
    """Return a model whose weights are drawn with a seed of the global generator, which is put back.

    Args:
        name: a key of `MODELS`.
        seed: of the weights.
        eager: whether attention is written out, and not PyTorch's fused one.

    Raises:
        InputError: if there is no such model, or `transformers` is not installed.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(MODELS)}")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = require("transformers")
    model, configuration, settings = MODELS[name]
    further: dict[str, Any] = {} if name == "gpt2" else {"num_labels": CLASSES}
    if eager:
        further["attn_implementation"] = "eager"
    config = getattr(transformers, configuration)(**settings, **further)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built: nn.Module = getattr(transformers, model)(config)
    return built


def batches(name: str, size: int = 6) -> list[tuple[Any, Tensor]]:
    """Return two batches as a model takes them: images, sound, or tokens by keyword."""
    source = torch.Generator().manual_seed(0)
    found = []
    for _ in range(2):
        labels = torch.arange(size) % CLASSES
        tokens = torch.randint(WORDS, (size, 12), generator=source)
        inputs = {
            "bert": {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)},
            "gpt2": {"input_ids": tokens},
            "wav2vec2": torch.randn(size, 640, generator=source),
        }.get(name, torch.randn(size, 3, PIXELS, PIXELS, generator=source))
        found.append((inputs, tokens.roll(-1, 1) if name == "gpt2" else labels))
    return found

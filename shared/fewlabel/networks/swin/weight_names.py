"""Rename Swin weights, as different libraries publish them, to the names of :class:`SwinUnet`'s encoder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Rename = tuple[str, str | Callable[[re.Match[str]], str]]

# Wrappers around the network: DataParallel, detection backbones, transformers' task models.
_PREFIX = re.compile(r"^(?:module\.|backbone\.|model\.|swin\.)+")
_RECOMPUTED = ("relative_position_index", "attn_mask", "relative_coords_table")

_AUTHORS: list[Rename] = [
    (r"^layers\.", "encoder."),
    (r"\.mlp\.fc(\d)\.", r".mlp.linear\1."),
]
_TRANSFORMERS: list[Rename] = [
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.", "encoder."),
    (r"^layernorm\.", "norm."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.(?:self\.|relative_position_bias\.)?relative_position", ".attn.relative_position"),
    (r"\.attention\.self\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.([qkv])_proj\.", lambda m: f".attn.{ {'q': 'query', 'k': 'key', 'v': 'value'}[m[1]] }."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.(?:intermediate\.dense|mlp\.fc1)\.", ".mlp.linear1."),
    (r"\.(?:output\.dense|mlp\.fc2)\.", ".mlp.linear2."),
]
_TORCHVISION: list[Rename] = [
    (r"^features\.0\.0\.", "patch_embed.proj."),
    (r"^features\.0\.2\.", "patch_embed.norm."),
    # odd places hold stages of blocks, even ones the downsampling between them
    (r"^features\.([1357])\.(\d+)\.", lambda m: f"encoder.{int(m[1]) // 2}.blocks.{m[2]}."),
    (r"^features\.([246])\.", lambda m: f"encoder.{int(m[1]) // 2 - 1}.downsample."),
    (r"\.mlp\.0\.", ".mlp.linear1."),
    (r"\.mlp\.3\.", ".mlp.linear2."),
]


def naming_scheme(names: set[str]) -> str | None:
    """The library whose names these are: "transformers", "torchvision", "timm", "swin" (the authors'), or None.

    timm and the authors use the same names, but newer versions of timm put the downsampling at the start of a stage.
    """
    if any(name.startswith("embeddings.patch_embeddings.") for name in names):
        return "transformers"
    if any(name.startswith("features.0.0.") for name in names):
        return "torchvision"
    if any(name.startswith("layers.0.blocks.") for name in names):
        return "swin" if any(name.startswith("layers.0.downsample.") for name in names) else "timm"
    return None


def rename_swin(state: Mapping[str, Tensor]) -> tuple[str | None, dict[str, Tensor]]:
    """Rename the weights to those of :class:`SwinUnet`'s encoder; names that have no counterpart are kept.

    Tensors that follow from the geometry (position indices, attention masks) are dropped, and separate query, key and
    value layers are stacked into ``qkv``.

    Args:
        state: names and tensors of a Swin Transformer.

    Returns:
        The scheme, as :func:`naming_scheme` says, and the renamed weights.

    Example:
        >>> import torch
        >>> rename_swin({"layers.0.blocks.0.mlp.fc1.bias": torch.zeros(4), "layers.0.downsample.norm.bias": None})[0]
        'swin'

    """
    bare = {_PREFIX.sub("", name): tensor for name, tensor in state.items() if not name.endswith(_RECOMPUTED)}
    scheme = naming_scheme(set(bare))
    tables = {"transformers": _TRANSFORMERS, "torchvision": _TORCHVISION, "timm": _AUTHORS, "swin": _AUTHORS}
    renamed = {_rename(name, tables.get(scheme or "", [])): tensor for name, tensor in bare.items()}
    if scheme == "timm":
        renamed = {
            re.sub(r"^encoder\.(\d+)\.downsample\.", lambda m: f"encoder.{int(m[1]) - 1}.downsample.", name): tensor
            for name, tensor in renamed.items()
        }
    return scheme, _stack_qkv(renamed)


def _rename(name: str, table: list[Rename]) -> str:
    for pattern, replacement in table:
        name = re.sub(pattern, replacement, name)
    return name


def _stack_qkv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    stacked = dict(state)
    for name in state:
        parts = [name.replace(".attn.query.", f".attn.{part}.") for part in ("query", "key", "value")]
        if ".attn.query." in name and all(part in state for part in parts):
            stacked[name.replace(".attn.query.", ".attn.qkv.")] = torch.cat([stacked.pop(part) for part in parts])
    return stacked

"""Embeddings of class names by CLIP's text encoder, made once and kept in a file."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fewlabel.atomic import atomic_open, require_writable
from fewlabel.finite import not_finite
from fewlabel.networks.vclipseg.fixed_vectors import CLIP_COSINE, CLIP_LENGTH, orthonormal, stand_in

CLIP = "openai/clip-vit-base-patch32"
TEMPLATE = "A pixel of a {}."
STAND_IN, ORTHONORMAL = "stand_in", "orthonormal"
_log = logging.getLogger(__name__)
_ADVICE = (
    'Either run `fewlabel embed "left atrium" --model {model} --out text.pt` on a connected machine and give the file, '
    "or copy the model's folder here and give the folder. Without CLIP, --text stand_in trains with vectors of its "
    "geometry that know nothing of the names."
)


def embed_text(names: Sequence[str], model: str | os.PathLike[str] = CLIP, template: str = TEMPLATE) -> Tensor:
    """Embed the names of classes, the background's included, with CLIP's text encoder.

    Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021. The vectors are
    those of the released VCLIPSeg code: projected into the space of text and images, of CLIP's own length.

    Args:
        names: one for each class.
        model: a hub id, or a folder with weights, configuration and tokenizer as ``save_pretrained`` writes them.
        template: the prompt, with a pair of braces for the name. The paper has "A pixel of [CLS]", its code
            "A pixel of a {}.".

    Returns:
        (K, d), float32; d is 512 for ViT-B/32.

    Raises:
        FileNotFoundError: there is no such folder, and the hub cannot deliver it.
        ValueError: the model is no CLIP text encoder with projection, its weights are damaged, or names or template
            are empty.
        ImportError: transformers is not installed.

    """
    prompts = _prompts(names, template)
    try:
        import safetensors
        import transformers
    except ImportError as error:
        raise ImportError(
            "embedding text needs transformers. Either `pip install '.[pretrained]'` in a checkout of fewlabel, or run "
            '`fewlabel embed "left atrium" --out text.pt` where that is installed and give the file.'
        ) from error
    source = str(model)
    try:
        # the weights first: where the hub is out of reach, the tokenizer's many files would be tried for minutes
        encoder, found = transformers.CLIPTextModelWithProjection.from_pretrained(source, output_loading_info=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    except safetensors.SafetensorError as error:
        raise ValueError(f"the weights of {source} are damaged ({error}): download them again") from error
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileNotFoundError(
            f"no CLIP text model can be had from {source}: it is no folder with one, and the hub did not deliver it "
            f"({reason}). {_ADVICE.format(model=CLIP)}"
        ) from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise ValueError(
            f"{source} is no CLIP text encoder with its projection, it lacks {', '.join(missing[:3])}: give a CLIP "
            "model such as " + CLIP
        )
    with torch.no_grad():
        embedded: Tensor = encoder.eval()(**tokenizer(prompts, padding=True, return_tensors="pt")).text_embeds
    return embedded.float()


def save_embeddings(
    names: Sequence[str], out: str | os.PathLike[str], model: str | os.PathLike[str] = CLIP, template: str = TEMPLATE
) -> Path:
    """Embed names, see :func:`embed_text`, and write a file for :func:`load_embeddings`, with what it was made of.

    Raises:
        ValueError: the file's name does not end in .pt, by which :func:`text_embeddings` tells files from models.

    """
    path = Path(out)
    if path.suffix != ".pt":
        raise ValueError(f"the file for embeddings of text must end in .pt, got {out}")
    require_writable(path.parent)
    embedded = embed_text(names, model, template)
    with atomic_open(path) as file:
        torch.save({"embeddings": embedded, "prompts": _prompts(names, template), "model": str(model)}, file)
    return path


def load_embeddings(path: str | os.PathLike[str], num_classes: int) -> Tensor:
    """Read the embeddings (K, d) that :func:`save_embeddings` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not of this kind, or holds another number of classes.

    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file} with embeddings of text. {_ADVICE.format(model=CLIP)}")
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        kind = type(error).__name__  # whose own message advises to load the file unsafely
        raise ValueError(f"{file} cannot be read as embeddings of text ({kind}): run `fewlabel embed` again") from error
    embedded = content.get("embeddings") if isinstance(content, Mapping) else None
    if not isinstance(embedded, Tensor) or embedded.ndim != 2 or not embedded.is_floating_point():
        raise ValueError(f"{file} holds no embeddings of text (K, d), as `fewlabel embed` writes them.")
    if not_finite(embedded):
        raise ValueError(f"{file} holds embeddings that are not finite: run `fewlabel embed` again")
    if len(embedded) != num_classes:
        raise ValueError(
            f"{file} holds embeddings of {len(embedded)} classes ({content.get('prompts')}), but the network has "
            f"{num_classes}: run `fewlabel embed` with the name of each class; the background is added"
        )
    return embedded.float()


def text_embeddings(
    text: str | os.PathLike[str],
    names: Sequence[str],
    channels: int = 512,
    cosine: float = CLIP_COSINE,
    length: float = CLIP_LENGTH,
) -> Tensor:
    """Return embeddings (K, d) of classes from whatever there is.

    Args:
        text: "stand_in" for vectors of CLIP's geometry, or "orthonormal" for unit vectors at right angles, which both
            say nothing about the names, as a line of the log tells; a file that ``fewlabel embed`` wrote (.pt); or a
            model, see :func:`embed_text`.
        names: one for each class.
        channels: d of vectors that say nothing.
        cosine: between stand-ins, see :func:`fewlabel.networks.vclipseg.fixed_vectors.stand_in`.
        length: of stand-ins.

    Raises:
        FileNotFoundError: no such file, folder or model of the hub.
        ValueError: the file or the model is of another kind, or ``channels`` does not suffice for the classes.

    """
    if str(text) == STAND_IN:
        vectors = stand_in(len(names), channels, cosine, length)
        _log.info(
            "the classes' names are stand-ins of CLIP's geometry (cosine %g, length %g), which know nothing of "
            "language; see --text for CLIP's",
            cosine,
            length,
        )
        return vectors
    if str(text) == ORTHONORMAL:
        vectors = orthonormal(len(names), channels)
        _log.info("the classes' names are orthonormal vectors, which know nothing of language; see --text for CLIP's")
        return vectors
    if str(text).endswith(".pt"):
        return load_embeddings(text, len(names))
    return embed_text(names, text)


def _prompts(names: Sequence[str], template: str) -> list[str]:
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"names must be one text for each class, got {list(names)!r}")
    if template.count("{}") != 1:
        raise ValueError(f"template must hold one pair of braces for the name, got {template!r}")
    return [template.format(name) for name in names]

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fewlabel.cli import main
from fewlabel.networks.vclipseg.text_embedding import embed_text, load_embeddings, save_embeddings, text_embeddings

transformers = pytest.importorskip("transformers")
NAMES = ["background", "left atrium"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, small CLIP text model with random weights and a tokenizer of letters, saved as the hub has them."""
    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + ["."]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    ends = {"bos_token": tokens[0], "eos_token": tokens[1], "unk_token": tokens[1], "pad_token": tokens[1]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", **ends}))
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=16, intermediate_size=24, projection_dim=12, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=40, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.CLIPTextModelWithProjection(config).save_pretrained(folder)
    return folder


def test_each_name_becomes_the_projected_embedding_of_its_prompt(clip: Path) -> None:
    embedded = embed_text(NAMES, clip)

    model = transformers.CLIPTextModelWithProjection.from_pretrained(clip).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
    assert embedded.shape == (2, 12)
    assert not embedded.requires_grad
    for name, vector in zip(NAMES, embedded, strict=True):  # one by one: no padding
        with torch.no_grad():
            alone = model(**tokenizer([f"A pixel of a {name}."], return_tensors="pt")).text_embeds[0]
        torch.testing.assert_close(vector, alone, atol=1e-5, rtol=1e-4)


def test_a_whole_clip_model_as_the_hub_has_it_gives_its_own_text_features(clip: Path, tmp_path: Path) -> None:
    text = transformers.CLIPTextConfig.from_pretrained(clip).to_dict()
    image = {"hidden_size": 16, "intermediate_size": 24, "projection_dim": 12, "num_hidden_layers": 1,
             "num_attention_heads": 2, "image_size": 32, "patch_size": 16}  # fmt: skip
    torch.manual_seed(1)
    model = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=12)
    ).eval()
    model.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip)
    tokenizer.save_pretrained(tmp_path)

    with torch.no_grad():
        found = model.get_text_features(
            **tokenizer([f"A pixel of a {n}." for n in NAMES], padding=True, return_tensors="pt")
        )
    expected = getattr(found, "pooler_output", found)  # a tensor before transformers 5
    torch.testing.assert_close(embed_text(NAMES, tmp_path), expected)


def test_damaged_weights_are_named(clip: Path, tmp_path: Path) -> None:
    shutil.copytree(clip, tmp_path, dirs_exist_ok=True)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])

    with pytest.raises(ValueError, match=rf"the weights of {tmp_path} are damaged .*download them again"):
        embed_text(NAMES, tmp_path)


def test_without_transformers_the_error_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)

    with pytest.raises(
        ImportError,
        match=r"pip install '\.\[pretrained\]'` in a checkout of fewlabel, or run `fewlabel embed .*give the file",
    ):
        embed_text(NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("orthonormal", "orthonormal vectors, which know nothing of language"),
        ("stand_in", "stand-ins of CLIP's geometry (cosine 0.7, length 4), which know nothing of language"),
    ],
)
def test_vectors_that_know_nothing_of_language_are_announced(
    text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        text_embeddings(text, NAMES, 8, cosine=0.7, length=4.0)

    assert said in caplog.text


def test_a_file_that_trainings_would_take_for_a_model_is_not_written(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.pt, got .*text\.bin"):
        save_embeddings(NAMES, tmp_path / "text.bin", clip)

    assert list(tmp_path.iterdir()) == []


def test_another_template_gives_other_embeddings(clip: Path) -> None:
    assert not torch.allclose(embed_text(NAMES, clip), embed_text(NAMES, clip, "A scan of the {}."))


def test_a_file_holds_what_the_model_gave_and_loads_without_it(clip: Path, tmp_path: Path) -> None:
    path = save_embeddings(NAMES, tmp_path / "text.pt", clip)

    torch.testing.assert_close(load_embeddings(path, 2), embed_text(NAMES, clip))
    torch.testing.assert_close(text_embeddings(str(path), NAMES), text_embeddings(str(clip), NAMES))
    content = torch.load(path, weights_only=True)
    assert content["prompts"] == ["A pixel of a background.", "A pixel of a left atrium."]
    assert content["model"] == str(clip)


def test_a_model_without_the_projection_is_refused_instead_of_projected_at_random(clip: Path, tmp_path: Path) -> None:
    transformers.CLIPTextModel.from_pretrained(clip).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(clip).save_pretrained(tmp_path)

    with pytest.raises(ValueError, match=r"no CLIP text encoder with its projection, it lacks text_projection"):
        embed_text(NAMES, tmp_path)


def test_out_of_reach_of_the_hub_the_error_names_both_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # what HF_HUB_OFFLINE=1 sets when it is read, at import
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(
        FileNotFoundError,
        match=r"nobody/clip.*fewlabel embed .*give the file, or copy the model's fold.*--text stand_in",
    ):
        text_embeddings("nobody/clip", NAMES)


def test_a_missing_file_names_both_ways_out_too(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*text\.pt .*fewlabel embed .*or copy the model's folder"):
        text_embeddings(tmp_path / "text.pt", NAMES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"embeddings": torch.ones(3, 8), "prompts": ["a", "b", "c"]}, r"of 3 classes \(\['a', 'b', 'c'\]\).*has 2"),
        ({"other": torch.ones(2, 8)}, "holds no embeddings of text"),
        (torch.ones(2, 8), "holds no embeddings of text"),
        ({"embeddings": torch.ones(2, 8, dtype=torch.int64)}, "holds no embeddings of text"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "text.pt")

    with pytest.raises(ValueError, match=message):
        load_embeddings(tmp_path / "text.pt", 2)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_bytes(b"not a tensor")

    with pytest.raises(ValueError, match=r"text\.pt cannot be read as embeddings of text .*run `fewlabel embed` again"):
        load_embeddings(tmp_path / "text.pt", 2)


def test_the_command_adds_the_background_and_writes_the_file(clip: Path, tmp_path: Path) -> None:
    main(["embed", "left atrium", "--model", str(clip), "--out", str(tmp_path / "text.pt")])

    torch.testing.assert_close(load_embeddings(tmp_path / "text.pt", 2), embed_text(NAMES, clip))


def test_the_command_without_a_name_says_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["embed", "--out", str(tmp_path / "text.pt")])

    assert 'fewlabel embed "left atrium" --out text.pt' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "template", "message"),
    [
        ([], "A {}.", "one text for each class"),
        (["a", " "], "A {}.", "one text"),
        (["a"], "A pixel.", "pair of braces"),
    ],
)
def test_refuses_names_and_templates_that_say_nothing(names: list[str], template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embed_text(names, "anywhere", template)

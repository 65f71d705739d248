from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor, nn

from fewlabel.networks import SwinUnet, load_pretrained_swin

DEPTHS = (2, 2, 2, 2)


def network(seed: int = 0) -> SwinUnet:
    torch.manual_seed(seed)
    return SwinUnet(embed_dim=12, img_size=64, depths=DEPTHS)


def encoded(net: SwinUnet, x: Tensor) -> list[Tensor]:
    """The output of each encoder stage, then the final norm's."""
    x = net.patch_embed(x).permute(0, 2, 3, 1)
    outputs = []
    for stage in net.encoder:
        x = stage(x)
        outputs.append(x)
    return [*outputs, net.norm(x)]


def published(net: SwinUnet, pairs: list[tuple[str, str]]) -> dict[str, Tensor]:
    state = net.state_dict()
    return {theirs: state[ours] for ours, theirs in pairs}


def wb(ours: str, theirs: str) -> list[tuple[str, str]]:
    return [(f"{ours}.{part}", f"{theirs}.{part}") for part in ("weight", "bias")]


def merging(ours: str, theirs: str) -> list[tuple[str, str]]:
    return [*wb(f"{ours}.norm", f"{theirs}.norm"), (f"{ours}.reduction.weight", f"{theirs}.reduction.weight")]


def block(ours: str, theirs: str, fc1: str, fc2: str) -> list[tuple[str, str]]:
    table = "attn.relative_position_bias_table"
    pairs = [(f"{ours}.{table}", f"{theirs}.{table}")]
    for a, b in (("norm1", "norm1"), ("attn.qkv", "attn.qkv"), ("attn.proj", "attn.proj"), ("norm2", "norm2")):
        pairs += wb(f"{ours}.{a}", f"{theirs}.{b}")
    return pairs + wb(f"{ours}.mlp.linear1", f"{theirs}.{fc1}") + wb(f"{ours}.mlp.linear2", f"{theirs}.{fc2}")


def authors(net: SwinUnet, downsample_at_start: bool = False) -> dict[str, Tensor]:
    pairs = wb("patch_embed.proj", "patch_embed.proj") + wb("patch_embed.norm", "patch_embed.norm") + wb("norm", "norm")
    for i in range(4):
        for j in range(2):
            pairs += block(f"encoder.{i}.blocks.{j}", f"layers.{i}.blocks.{j}", "mlp.fc1", "mlp.fc2")
    for i in range(3):
        pairs += merging(f"encoder.{i}.downsample", f"layers.{i + downsample_at_start}.downsample")
    extra = {"head.weight": torch.zeros(10, 96), "layers.2.blocks.5.norm1.weight": torch.zeros(48)}
    ignored = {
        "layers.0.blocks.1.attn_mask": torch.zeros(64, 49, 49),
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(49, 49),
    }
    return published(net, pairs) | extra | ignored


def timm(net: SwinUnet) -> dict[str, Tensor]:
    return authors(net, downsample_at_start=True)


def torchvision(net: SwinUnet) -> dict[str, Tensor]:
    pairs = wb("patch_embed.proj", "features.0.0") + wb("patch_embed.norm", "features.0.2") + wb("norm", "norm")
    for i in range(4):
        for j in range(2):
            pairs += block(f"encoder.{i}.blocks.{j}", f"features.{2 * i + 1}.{j}", "mlp.0", "mlp.3")
    for i in range(3):
        pairs += merging(f"encoder.{i}.downsample", f"features.{2 * i + 2}")
    extra = {"head.bias": torch.zeros(10), "features.1.0.attn.relative_position_index": torch.zeros(49 * 49)}
    return published(net, pairs) | extra


@pytest.mark.parametrize(
    ("scheme", "make", "wrap"),
    [
        ("swin", authors, lambda state: {"model": state}),
        ("swin", authors, lambda state: {f"module.{name}": tensor for name, tensor in state.items()}),
        ("timm", timm, lambda state: state),
        ("torchvision", torchvision, lambda state: {"state_dict": state}),
    ],
)
def test_each_naming_scheme_makes_the_encoder_compute_what_the_source_computes(
    tmp_path: Path, scheme: str, make: Callable[[SwinUnet], dict[str, Tensor]], wrap: Callable[..., object]
) -> None:
    source, target = network(1).eval(), network(2).eval()
    torch.save(wrap(make(source)), tmp_path / "swin.pth")
    report = load_pretrained_swin(target, tmp_path / "swin.pth")
    x = torch.rand(1, 3, 64, 96)
    for theirs, ours in zip(encoded(source, x), encoded(target, x), strict=True):
        assert torch.equal(theirs, ours)
    assert report.scheme == scheme
    assert report.missing == report.mismatched == ()
    assert all(name.startswith(("head.", "encoder.2.blocks.5.")) for name in report.unused)
    assert report.unused


def transformers_swin(seed: int) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    config = transformers.SwinConfig(image_size=224, embed_dim=12, depths=list(DEPTHS), num_heads=[3, 6, 12, 24])
    model: nn.Module = transformers.SwinModel(config).eval()
    for parameter in model.parameters():  # biases and position tables are zero at the start, and would prove nothing
        nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("kind", ["folder", "state dict"])
def test_at_224_the_encoder_equals_the_swin_of_transformers(tmp_path: Path, kind: str) -> None:
    model = transformers_swin(3)
    if kind == "folder":
        model.save_pretrained(tmp_path)
        report = load_pretrained_swin(target := network(), tmp_path)
    else:
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
        report = load_pretrained_swin(target := network(), tmp_path / "pytorch_model.bin")
    assert report.missing == report.unused == report.mismatched == ()
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        theirs = model(x, output_hidden_states=True)
        ours = encoded(target.eval(), x)
    for i in range(4):
        torch.testing.assert_close(ours[i].flatten(1, 2), theirs.hidden_states[i + 1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours[4].flatten(1, 2), theirs.last_hidden_state, rtol=1e-4, atol=1e-4)


OLD_NAMES = {
    "attention.q_proj": "attention.self.query",
    "attention.k_proj": "attention.self.key",
    "attention.v_proj": "attention.self.value",
    "attention.o_proj": "attention.output.dense",
    "attention.relative_position_bias.relative": "attention.self.relative",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def test_the_older_names_of_transformers_with_a_task_prefix_load_the_same(tmp_path: Path) -> None:
    state = transformers_swin(4).state_dict()
    older = {}
    for name, tensor in state.items():
        for new, old in OLD_NAMES.items():
            name = name.replace(new, old)
        older[f"swin.{name}"] = tensor
    torch.save(state, tmp_path / "new.bin")
    torch.save(older, tmp_path / "old.bin")
    first, second = network(1), network(1)
    load_pretrained_swin(first, tmp_path / "new.bin")
    assert load_pretrained_swin(second, tmp_path / "old.bin").missing == ()
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_the_decoder_gets_the_encoder_blocks_of_its_resolution_and_the_rest_keeps_its_start(tmp_path: Path) -> None:
    source, target, before = network(1), network(2), network(2).state_dict()
    torch.save(authors(source), tmp_path / "swin.pth")
    report = load_pretrained_swin(target, str(tmp_path / "swin.pth"))
    after = target.state_dict()
    for stage in range(3):
        for name, tensor in source.encoder[stage].blocks.state_dict().items():
            copied = f"decoder.{2 - stage}.blocks.{name}"
            assert copied in report.decoder
            assert torch.equal(after[copied], tensor)
    untouched = set(after) - set(report.encoder) - set(report.decoder)
    assert any(name.startswith("decoder.0.merge") for name in untouched)
    assert all(torch.equal(after[name], before[name]) for name in untouched)


def test_the_constructor_takes_the_path_and_the_head_stays_random(tmp_path: Path) -> None:
    source = network(1)
    torch.save(authors(source), tmp_path / "swin.pth")
    built = SwinUnet(embed_dim=12, img_size=64, pretrained_path=tmp_path / "swin.pth")
    assert torch.equal(built.encoder[3].blocks[1].attn.qkv.weight, source.encoder[3].blocks[1].attn.qkv.weight)
    assert not torch.equal(built.head.weight, source.head.weight)


def test_a_gap_is_reported_and_logged_as_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = authors(network(1))
    state["layers.0.blocks.0.attn.relative_position_bias_table"] = torch.zeros(23 * 23, 3)
    del state["norm.bias"]
    torch.save(state, tmp_path / "swin.pth")
    report = load_pretrained_swin(network(2), tmp_path / "swin.pth")
    table = "encoder.0.blocks.0.attn.relative_position_bias_table"
    assert report.missing == (table, "norm.bias")
    assert report.mismatched == (f"{table} (529, 3) in the file, (169, 3) in the network",)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Left at random" in caplog.text


def test_weights_of_another_width_are_refused_and_leave_the_network_as_it_was(tmp_path: Path) -> None:
    torch.save(authors(SwinUnet(embed_dim=24, img_size=64)), tmp_path / "wide.pth")
    target = network(2)
    with pytest.raises(ValueError, match=r"wide\.pth fills only \d+% of the encoder .*Shapes that differ: patch_embed"):
        load_pretrained_swin(target, tmp_path / "wide.pth")
    assert all(torch.equal(a, b) for a, b in zip(target.parameters(), network(2).parameters(), strict=True))


def test_weights_of_another_network_are_refused_with_some_of_their_names(tmp_path: Path) -> None:
    torch.save({"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(
        ValueError, match=r"resnet\.pth does not name.* has layer1\.0\.conv1\.weight\. Pass a Swin-Tiny"
    ):
        load_pretrained_swin(network(), tmp_path / "resnet.pth")


@pytest.mark.parametrize("name", ["swin.pth", "models/swin.pth", "/nowhere/swin", "./weights/swin", "just_a_word"])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(
        FileNotFoundError, match=f"There is no file or folder {re.escape(str(Path(name)))}. Pass a Swin"
    ):
        load_pretrained_swin(network(), name)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds neither model\.safetensors nor pytorch_model\.bin"):
        load_pretrained_swin(network(), tmp_path)


class Thing:
    pass


@pytest.mark.parametrize("content", [Thing(), b"no weights at all"])
def test_a_file_that_holds_more_than_weights_or_none_is_refused(tmp_path: Path, content: object) -> None:
    file = tmp_path / "swin.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(ValueError, match=r"swin\.pth cannot be read as plain weights"):
        load_pretrained_swin(network(), file)


def test_a_broken_safetensors_file_and_a_file_without_tensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read as safetensors"):
        load_pretrained_swin(network(), tmp_path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds no state dict but a list"):
        load_pretrained_swin(network(), tmp_path / "list.pth")


def test_a_hub_id_out_of_reach_is_an_error_with_the_id_and_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(FileNotFoundError, match=r"someone/swin, and the hub .*no network\).*fetch model\.safetensors"):
        load_pretrained_swin(network(), "someone/swin")


def test_a_hub_id_is_downloaded_and_where_there_is_no_safetensors_file_the_older_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(transformers_swin(5).state_dict(), tmp_path / "pytorch_model.bin")
    asked: list[tuple[str, str]] = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        if not (tmp_path / file).is_file():
            raise EntryNotFoundError("404")
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert load_pretrained_swin(network(), "someone/swin").missing == ()
    assert asked == [("someone/swin", "model.safetensors"), ("someone/swin", "pytorch_model.bin")]

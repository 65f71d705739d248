from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewlabel.methods import MCSC, CrossTeaching, MCSCv2
from fewlabel.networks import CSUNet, SwinUnet, UNet
from fewlabel.networks.cs_unet.blocks import CSBlock

METHOD_4 = {"conv_skip": False}
METHOD_3 = METHOD_4 | {"feed_forward": "linear"}
METHOD_2 = METHOD_3 | {"conv_output": False, "position_bias": True}
METHOD_1 = METHOD_2 | {"conv_projection": False}
METHOD_0 = METHOD_1 | {"conv_embedding": False}


def small(**arguments: Any) -> CSUNet:
    torch.manual_seed(0)
    return CSUNet(**({"embed_dim": 12, "img_size": 64} | arguments))


def count(network: nn.Module, counted: str = "") -> int:
    return sum(p.numel() for name, p in network.named_parameters() if name.endswith(counted))


def expected_parameters(classes: int) -> int:
    def block(d: int) -> int:
        attention = 2 * d + 3 * (9 * d + 2 * d) + 9 * d  # norm; three convolutions with norms; one after
        return attention + 49 * d + d + 2 * d + 4 * d * (d + 1) + d * (4 * d + 1) + d

    dims = (96, 192, 384, 768)
    total = 9 * 3 * 48 + 48 + 9 * 48 * 48 + 48 + 2 * 48 + 9 * 48 * 96 + 96 + 9 * 96 * 96 + 96 + 2 * 96  # embedding
    total += sum(2 * block(d) for d in dims) + sum(2 * 4 * d + 4 * d * 2 * d for d in dims[:3]) + 2 * 768
    for d in dims[:3]:  # norm and transposed convolution; skip convolutions; blocks
        total += 2 * 2 * d + 4 * 2 * d * d + d + 9 * 2 * d * d + d + 9 * d * d + d + 2 * block(d)
    return total + 2 * 96 + 96 * 16 * 96 + 2 * 96 + 96 * classes  # norm, final expansion, its norm, head


def test_the_default_has_the_parameters_of_the_released_network_less_six_that_it_never_uses() -> None:
    with torch.device("meta"):
        nine, four, with_bias = CSUNet(num_classes=9), CSUNet(num_classes=4), CSUNet(head_kernel_size=3)
    released_and_reached, never_applied = 24_690_582, 2 * 3  # a LayerNorm over the three channels of the image
    assert count(nine) == released_and_reached - never_applied == expected_parameters(9)
    assert count(four) == expected_parameters(4) == 24_690_096
    assert count(with_bias) == count(four) + 8 * 96 * 4 + 4


@pytest.mark.parametrize(
    ("arguments", "paper"),
    [(METHOD_0, 27.15), (METHOD_2, 21.55), (METHOD_3, 19.63), (METHOD_4, 19.84), ({"position_bias": True}, 24.68),
     ({}, 24.68)],
)  # fmt: skip
def test_the_rows_of_table_3_3_have_the_papers_parameters(arguments: dict[str, Any], paper: float) -> None:
    with torch.device("meta"):
        network = CSUNet(num_classes=9, **arguments)
    # the thesis counted layers: neither tables of biases nor LayerScale, which is why its methods 5 and 6 are equal
    counted = count(network) - count(network, "_table") - count(network, "feed_forward.scale")
    assert counted / 1e6 == pytest.approx(paper, abs=0.01)


def test_method_1_of_table_3_3_cannot_have_the_papers_21_55_million() -> None:
    # that is the count of method 2; without convolutional projections the linear ones are still there
    with torch.device("meta"):
        base, embedding = CSUNet(num_classes=9, **METHOD_0), CSUNet(num_classes=9, **METHOD_1)  # type: ignore[arg-type]
    assert count(embedding) - count(base) == 147_024 - 4_896  # convolutions and norms for Swin's embedding
    assert count(embedding) == 27_311_028


def test_with_every_switch_off_it_is_swin_unet() -> None:
    network = small(**METHOD_0, num_classes=3).eval()
    swin = SwinUnet(num_classes=3, img_size=64, embed_dim=12).eval()
    renamed = {}
    for name, value in network.state_dict().items():
        for ours, theirs in (
            (".norm.", ".norm1."), (".feed_forward.norm1.", ".norm2."), ("attention.projection.qkv", "attn.qkv"),
            ("attention.output", "attn.proj"), ("attention.", "attn."), ("feed_forward.mlp.0", "mlp.linear1"),
            ("feed_forward.mlp.2", "mlp.linear2"),
        ):  # fmt: skip
            name = name.replace(ours, theirs) if ".blocks." in name else name
        renamed[name.replace("embedding.", "patch_embed.")] = value
    swin.load_state_dict(renamed)
    x = torch.rand(2, 1, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(x), swin(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (96, 128), (160, 32), (224, 224)])
def test_taps_have_the_announced_channels_and_strides_and_the_head_makes_the_logits(height: int, width: int) -> None:
    network = small(num_classes=3).eval()
    x = torch.rand(2, 1, height, width)
    with torch.no_grad():
        taps = network.features(x)
        assert network.feature_channels == {16: 48, 8: 24, 4: 12, 1: 12}
        assert {s: tuple(t.shape) for s, t in taps.items()} == {
            s: (2, c, height // s, width // s) for s, c in network.feature_channels.items()
        }
        assert torch.equal(network.head(taps[1]), network(x))
        assert network(x).isfinite().all()


def test_the_default_announces_the_channels_of_swin_unet() -> None:
    with torch.device("meta"):
        assert CSUNet().feature_channels == SwinUnet().feature_channels


@pytest.mark.parametrize(
    "arguments",
    [{}, METHOD_0, METHOD_1, METHOD_2, METHOD_3, METHOD_4, {"position_bias": True}, {"norm": "batch"},
     {"layer_scale": None, "head_kernel_size": 3}, *({"feed_forward": kind} for kind in
     ("convolution", "residual", "preactivation", "resnext"))],
    ids=str,
)  # fmt: skip
def test_the_gradient_reaches_every_parameter(arguments: dict[str, Any]) -> None:
    network = small(drop_path=0.0, **arguments)
    F.cross_entropy(network(torch.randn(2, 1, 64, 64)), torch.randint(0, 4, (2, 64, 64))).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # a bias of all keys cancels in the softmax, so its gradient is but rounding
        assert parameter.grad.abs().sum() > 0 or name.endswith("projection.key.1.bias"), name


def test_images_of_a_batch_do_not_see_each_other() -> None:
    network = small().eval()
    x = torch.rand(4, 1, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[:2], network(x[:2]), rtol=1e-4, atol=1e-5)


def test_a_gray_image_is_the_color_image_of_three_equal_channels() -> None:
    gray, color = small().eval(), small(in_channels=3).eval()
    color.load_state_dict(gray.state_dict())
    x = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(gray(x), color(x.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("channels", [2, 4])
def test_each_channel_of_several_reaches_the_prediction(channels: int) -> None:
    network = small(in_channels=channels).eval()
    x = torch.rand(1, channels, 64, 64, requires_grad=True)
    network(x).sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(0, 2, 3)) > 0).all()


def test_drop_path_rises_linearly_in_the_encoder_and_the_decoder_mirrors_it() -> None:
    network = small(feed_forward="linear")

    def rates(part: nn.Module) -> list[list[float]]:
        blocks = [[b for b in stage.modules() if isinstance(b, CSBlock)] for stage in part]  # type: ignore[attr-defined]
        assert all(b.feed_forward.drop_path.rate == b.drop_path.rate for stage in blocks for b in stage)
        return [[b.drop_path.rate for b in stage] for stage in blocks]

    encoder = [[0.2 * (2 * i + j) / 7 for j in range(2)] for i in range(4)]
    torch.testing.assert_close(torch.tensor(rates(network.encoder)), torch.tensor(encoder))
    torch.testing.assert_close(torch.tensor(rates(network.decoder)), torch.tensor(encoder[2::-1]))


def test_every_second_block_is_shifted() -> None:
    assert [m.attention.shifted for m in small().modules() if isinstance(m, CSBlock)] == [False, True] * 7


def test_dropout_follows_embedding_upsampling_and_skip_convolutions() -> None:
    assert [m.p for m in small(dropout=0.3).modules() if isinstance(m, nn.Dropout)] == [0.3] * (1 + 2 * 3)
    assert not [m for m in small(**METHOD_0).modules() if isinstance(m, nn.Dropout)]


def test_evaluation_is_deterministic_and_a_copy_or_a_reloaded_state_gives_the_same_bits() -> None:
    network, other = small(), small()
    other.load_state_dict(network.state_dict())
    x = torch.rand(1, 1, 96, 64)
    logits = network.eval()(x)
    assert torch.equal(logits, network(x))
    assert torch.equal(logits, copy.deepcopy(network)(x))
    assert torch.equal(logits, other.eval()(x))


def test_half_precision_autocast_stays_finite_and_close() -> None:
    network = small(position_bias=True).eval()
    x = torch.rand(1, 1, 96, 96)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = network(x)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), network(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("arguments", [{}, METHOD_0, {"position_bias": True, "feed_forward": "resnext"}], ids=str)
def test_the_network_compiles_to_torchscript_and_works_at_other_sizes_there(arguments: dict[str, Any]) -> None:
    network = small(**arguments, depths=(2, 1), num_heads=(3, 6)).eval()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        compiled = torch.jit.script(network)
    for shape in ((2, 1, 64, 64), (1, 1, 96, 128)):
        x = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_network_exports_to_onnx_with_a_free_batch_axis(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    network, file = small(depths=(2, 1), num_heads=(3, 6)).eval(), tmp_path / "model.onnx"
    torch.onnx.export(
        network,
        (torch.rand(2, 1, 64, 64),),
        input_names=["image"],
        dynamo=True,
        dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
        verbose=False,
    ).save(file)
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    x = torch.rand(3, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(session.run(None, {"image": x.numpy()})[0]), network(x))


@pytest.mark.parametrize("method", [CrossTeaching, MCSC, MCSCv2])
def test_it_is_the_transformer_of_cross_teaching_and_its_successors(method: type[nn.Module]) -> None:
    network = small(head_kernel_size=3, pretrained_path=None)
    scales = {"patch_sizes": {1: 16, 8: 4}, "warmup": 0.0} if method is MCSC else {}
    both = method(UNet(norm="instance"), network, **scales)
    batch = {
        "labeled": {"image": torch.rand(2, 1, 64, 64), "label": torch.randint(0, 4, (2, 1, 64, 64))},
        "unlabeled": {"image": torch.rand(2, 1, 64, 64)},
    }
    terms = both(batch, 0.5)
    sum(terms.values()).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_sides_that_are_no_multiples_of_32_are_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"multiples of 32, got \(64, 80\); resize or pad"):
        small()(torch.zeros(1, 1, 64, 80))
    with pytest.raises(ValueError, match=r"multiples of 32, got \(100, 100\)"):
        small(img_size=100)
    with pytest.raises(ValueError, match=r"multiples of 32, got \(0, 64\)"):
        small()(torch.zeros(1, 1, 0, 64))


def test_a_wrong_number_of_channels_is_an_error_with_the_shape() -> None:
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\), got \(1, 3, 64, 64\)"):
        small()(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, r"in_channels must be at least 1, got 0"),
        ({"depths": (2, 2, 2)}, r"one entry per stage.*\(2, 2, 2\) and \(3, 6, 12, 24\)"),
        ({"num_heads": (5, 6, 12, 24)}, r"must divide the stages' channels \(12, 24, 48, 96\)"),
        ({"embed_dim": 15, "num_heads": (1, 1, 1, 1)}, r"embed_dim must be even, .* got 15"),
        ({"window_size": 0}, r"window_size must be at least 1 token, got 0"),
        ({"head_kernel_size": 5}, r"head_kernel_size must be 1 or 3, got 5"),
        ({"layer_scale": 0.0}, r"layer_scale must be positive, or None for none, got 0\.0"),
        ({"feed_forward": "mlp"}, r"feed_forward must be one of \('depthwise', 'linear', .*got 'mlp'"),
        ({"norm": "instance"}, r"norm must be one of \('layer', 'batch'\), got 'instance'"),
        ({"conv_skip": "no"}, r"conv_skip: expected true or false, got 'no'"),
        ({"pretrained_path": "swin.pth"}, r"no published weights fit it, and 'swin\.pth' cannot be loaded"),
    ],
)
def test_arguments_that_do_not_fit_are_errors_with_their_values(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**arguments)

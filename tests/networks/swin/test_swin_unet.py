from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewlabel.networks import SwinUnet
from fewlabel.networks.swin.window_attention import SwinBlock


def expected_parameters(classes: int) -> int:
    def block(d: int, heads: int) -> int:
        norms, qkv, proj, mlp = 4 * d, 3 * d * (d + 1), d * (d + 1), 4 * d * (d + 1) + d * (4 * d + 1)
        return norms + qkv + proj + mlp + 13 * 13 * heads

    dims, heads = (96, 192, 384, 768), (3, 6, 12, 24)
    total = (3 * 4 * 4 + 1) * 96 + 2 * 96  # patch embedding and its norm
    total += sum(2 * block(d, h) for d, h in zip(dims, heads, strict=True))  # encoder
    total += sum(2 * 4 * d + 4 * d * 2 * d for d in dims[:3]) + 2 * 768  # merging, final norm
    total += sum(2 * d * 4 * d + 2 * d + (2 * d + 1) * d for d in dims[:3])  # expansion, its norm, skip connection
    total += sum(2 * block(d, h) for d, h in zip(dims[:3], heads[:3], strict=True))  # decoder
    return total + 2 * 96 + 96 * 16 * 96 + 2 * 96 + 96 * classes  # norm, final expansion, its norm, head


def small(**arguments: object) -> SwinUnet:
    torch.manual_seed(0)
    defaults: dict[str, object] = {"embed_dim": 12, "img_size": 64}
    return SwinUnet(**(defaults | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(("classes", "published"), [(4, 27_168_420), (9, 27_168_900)])
def test_the_default_has_the_parameters_of_the_published_network(classes: int, published: int) -> None:
    with torch.device("meta"):
        network = SwinUnet(num_classes=classes)
        with_bias = SwinUnet(num_classes=classes, head_kernel_size=3)
    assert expected_parameters(classes) == published
    assert sum(p.numel() for p in network.parameters()) == published
    assert sum(p.numel() for p in with_bias.parameters()) == published + 8 * 96 * classes + classes


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128), (160, 32), (224, 224), (448, 64)])
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


def test_the_default_announces_the_published_channels() -> None:
    with torch.device("meta"):
        assert SwinUnet().feature_channels == {16: 384, 8: 192, 4: 96, 1: 96}


@pytest.mark.parametrize("side", [64, 96])
def test_the_gradient_reaches_every_parameter(side: int) -> None:
    network = small(head_kernel_size=3, drop_path=0.0)
    F.cross_entropy(network(torch.randn(2, 1, side, side)), torch.randint(0, 4, (2, side, side))).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


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
    network = small()

    def rates(part: nn.Module) -> list[list[float]]:
        return [[b.drop_path.drop_prob for b in stage.modules() if isinstance(b, SwinBlock)] for stage in part]

    encoder = [[0.2 * (2 * i + j) / 7 for j in range(2)] for i in range(4)]
    torch.testing.assert_close(torch.tensor(rates(network.encoder)), torch.tensor(encoder))
    torch.testing.assert_close(torch.tensor(rates(network.decoder)), torch.tensor(encoder[2::-1]))


def test_every_second_block_is_shifted() -> None:
    shifted = [m.attn.shifted for m in small().modules() if isinstance(m, SwinBlock)]
    assert shifted == [False, True] * 7


def test_evaluation_is_deterministic_and_a_copy_or_a_reloaded_state_gives_the_same_bits() -> None:
    network, other = small(), small()
    other.load_state_dict(network.state_dict())
    x = torch.rand(1, 1, 96, 64)
    logits = network.eval()(x)
    assert torch.equal(logits, network(x))
    assert torch.equal(logits, copy.deepcopy(network)(x))
    assert torch.equal(logits, other.eval()(x))
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


def test_equal_seeds_train_to_equal_gradients() -> None:
    def gradient() -> torch.Tensor:
        network = small()
        torch.manual_seed(1)
        network(torch.rand(2, 1, 64, 64)).square().mean().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    assert torch.equal(gradient(), gradient())


def test_half_precision_autocast_stays_finite_and_close() -> None:
    network = small().eval()
    x = torch.rand(1, 1, 96, 96)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = network(x)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), network(x), rtol=0.1, atol=0.1)


def test_the_finest_map_puts_expanded_tokens_where_they_belong() -> None:
    network = small().double()
    tokens = torch.randn(1, 2, 3, 12, dtype=torch.float64)
    expanded = network.expand(tokens)
    assert expanded.shape == (1, 8, 12, 12)
    long = network.expand.expand(tokens[0, 1, 2])
    pixel = F.layer_norm(long.view(4, 4, 12)[3, 1], (12,))
    torch.testing.assert_close(expanded[0, 4 * 1 + 3, 4 * 2 + 1], pixel)


def test_a_moved_image_gives_moved_logits_inside_when_the_move_is_the_coarsest_period() -> None:
    # one stage pair: windows of 7 tokens at strides 4 and 8; the pattern repeats every 7 * 8 = 56 pixels
    network = small(depths=(1, 1), num_heads=(3, 6)).eval()
    x = torch.zeros(1, 1, 224, 224)
    x[..., 56:112, 56:112] = torch.rand(56, 56)
    with torch.no_grad():
        here, there = network(x), network(x.roll((56, 56), (2, 3)))
    torch.testing.assert_close(here[..., 56:112, 56:112], there[..., 112:168, 112:168], rtol=1e-4, atol=1e-5)


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
        ({"head_kernel_size": 5}, r"head_kernel_size must be 1 or 3, got 5"),
    ],
)
def test_arguments_that_do_not_fit_are_errors_with_their_values(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**arguments)

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fewlabel.networks.dk_uxnet.kmax_decoder import KMaxLayer, PointwiseConv3d, QueryAttention


def layer(started: bool = True) -> KMaxLayer:
    """A small layer; ``started`` opens the branches that begin as nothing."""
    torch.manual_seed(0)
    made = KMaxLayer(3, query_channels=6, width=8, embedding=4, num_heads=2, feed_forward=5)
    if started:
        for branch in (made.update, made.attended, made.feed_forward[1]):
            torch.nn.init.ones_(branch[1].weight)
    return made


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 3, 4, 2, generator=generator), torch.randn(2, 6, 5, generator=generator)


def test_a_pointwise_convolution_is_a_convolution_whose_output_has_the_channels_last() -> None:
    torch.manual_seed(0)
    conv, x = PointwiseConv3d(3, 4).double(), torch.randn(2, 3, 2, 5, 4, dtype=torch.float64)

    for layout in (torch.contiguous_format, torch.channels_last_3d):
        found = conv(x.to(memory_format=layout))
        torch.testing.assert_close(found, F.conv3d(x, conv.weight))
        assert found.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_new_layer_only_bends_the_queries() -> None:
    pixels, queries = inputs()

    torch.testing.assert_close(layer(started=False)(pixels, queries)[0], F.gelu(F.gelu(queries)))


def test_each_query_collects_the_values_of_the_voxels_that_respond_most_to_it() -> None:
    made, (pixels, queries) = layer().eval(), inputs()
    updated, kernels, embeddings = made(pixels, queries)
    responses = made.predictor.respond(kernels, embeddings).flatten(2)
    values = made.values(made.pixels(F.gelu(pixels))).flatten(2)

    collected = torch.zeros(2, 8, 5)
    for image in range(2):
        for voxel in range(24):
            collected[image, :, responses[image, :, voxel].argmax()] += values[image, :, voxel]
    centers = made.queries(queries)
    expected = queries + made.update(made.update_norm(collected))
    expected = F.gelu(expected + made.attended(made.attention(centers)))
    torch.testing.assert_close(updated, F.gelu(expected + made.feed_forward(expected)))


def test_permuted_queries_give_permuted_queries() -> None:
    pixels, queries = inputs()
    order = torch.tensor([3, 1, 4, 0, 2])

    torch.testing.assert_close(layer()(pixels, queries[..., order])[0], layer()(pixels, queries)[0][..., order])


def test_the_order_of_the_voxels_does_not_matter_to_the_attention() -> None:
    pixels, queries = inputs()
    made = layer().eval()
    made.predictor.pixels[0] = torch.nn.Identity()  # the depthwise convolution alone sees neighbors

    torch.testing.assert_close(made(pixels.flip(2, 3), queries)[0], made(pixels, queries)[0])


def test_voxels_are_compared_by_direction() -> None:
    made, (pixels, _) = layer(), inputs()
    embeddings = made.predictor.embed(made.pixels(pixels))

    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2, 3, 4, 2))


def test_what_decides_the_assignment_learns_from_supervised_responses_alone() -> None:
    made, (pixels, queries) = layer(), inputs()
    updated, kernels, embeddings = made(pixels, queries)

    updated.square().sum().backward(retain_graph=True)
    assert all(p.grad is None for p in made.predictor.parameters())
    assert all(p.grad is not None for name, p in made.named_parameters() if not name.startswith("predictor"))

    made.predictor.respond(kernels, embeddings).square().sum().backward()
    assert all(p.grad is not None for p in made.predictor.parameters())


def test_the_attention_equals_its_formula_head_by_head() -> None:
    torch.manual_seed(0)
    attention = QueryAttention(6, key_channels=4, value_channels=8, num_heads=2, momentum=0.01).eval()
    queries = inputs()[1]
    query, key, value = attention.project(queries).split([4, 4, 8], dim=1)

    heads = []
    for head in range(2):
        q, k, v = query[:, 2 * head :][:, :2], key[:, 2 * head :][:, :2], value[:, 4 * head :][:, :4]
        scores = torch.stack([q[b].T @ k[b] for b in range(2)]) / (1 + 1e-3) ** 0.5
        weights = scores.exp() / scores.exp().sum(dim=2, keepdim=True)
        heads.append(torch.stack([v[b] @ weights[b].T for b in range(2)]))
    torch.testing.assert_close(attention(queries), F.gelu(torch.cat(heads, dim=1) / (1 + 1e-3) ** 0.5))

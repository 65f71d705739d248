"""k-means mask Transformer layers: queries are cluster centers that collect the voxels which resemble them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.layers import kmax_attention
from fewlabel.networks.dk_uxnet.depthwise import DepthwiseConv3d

EPSILON = 1e-3


class PointwiseConv3d(nn.Conv3d):
    """A 1 x 1 x 1 convolution without bias as a matrix product over the channels, which it leaves last in memory.

    Where the channels already are last it copies nothing: two to eight times as fast as ``Conv3d`` on one CPU thread.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.

    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, D, H, W) -> (B, out_channels, D, H, W)."""
        return F.linear(x.permute(0, 2, 3, 4, 1), self.weight.flatten(1)).permute(0, 4, 1, 2, 3)


def unit(
    in_channels: int, out_channels: int, spatial_dims: int, momentum: float, act: bool = True, gain: float = 1.0
) -> nn.Sequential:
    """Return a pointwise convolution without bias, batch norm and, if ``act``, GELU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        spatial_dims: 3 for voxels (B, C, D, H, W), 1 for queries (B, C, N).
        momentum: of the norm's running averages.
        act: whether GELU follows.
        gain: start of the norm's weight; 0 lets a residual branch begin as nothing.
    """
    conv: nn.Conv1d | nn.Conv3d = PointwiseConv3d(in_channels, out_channels)
    norm: nn.BatchNorm1d | nn.BatchNorm3d = nn.BatchNorm3d(out_channels, EPSILON, momentum)
    if spatial_dims == 1:
        conv = nn.Conv1d(in_channels, out_channels, 1, bias=False)
        norm = nn.BatchNorm1d(out_channels, EPSILON, momentum)
    nn.init.kaiming_normal_(conv.weight)
    nn.init.constant_(norm.weight, gain)
    return nn.Sequential(conv, norm, nn.GELU()) if act else nn.Sequential(conv, norm)


class MaskPredictor(nn.Module):
    """How much each voxel responds to each query: products of normed voxel embeddings and query kernels.

    Yu et al., "k-means mask Transformer", ECCV 2022, carried over to volumes.

    Args:
        pixel_channels: C_p, of the voxel features.
        query_channels: C_q, of the queries.
        width: channels between the two convolutions of voxels.
        embedding: e, channels in which voxels and queries are compared.
        momentum: of the norms' running averages.

    """

    def __init__(self, pixel_channels: int, query_channels: int, width: int, embedding: int, momentum: float) -> None:
        super().__init__()
        depthwise = DepthwiseConv3d(pixel_channels, 5, bias=False)
        nn.init.kaiming_normal_(depthwise.weight)
        self.pixels = nn.Sequential(
            depthwise,
            nn.BatchNorm3d(pixel_channels, EPSILON, momentum),
            nn.GELU(),
            unit(pixel_channels, width, 3, momentum),
            unit(width, embedding, 3, momentum, act=False),
        )
        self.queries = unit(query_channels, embedding, 1, momentum, act=False)
        # one number for all queries and voxels: the temperature of the softmax over queries is learned
        self.norm = nn.BatchNorm1d(1, EPSILON, momentum)
        nn.init.constant_(self.norm.weight, 0.1)

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, C_p, *spatial) -> unit vectors (B, e, *spatial)."""
        # channels last: depthwise convolutions of volumes are several times faster, and voxels are rows without a copy
        laid_out = pixels.contiguous(memory_format=torch.channels_last_3d)
        return F.normalize(self.pixels(laid_out).float(), dim=1)

    def kernels(self, queries: Tensor) -> Tensor:
        """(B, C_q, N) -> (B, N, e)."""
        kernels: Tensor = self.queries(queries)
        return kernels.transpose(1, 2)

    def respond(self, kernels: Tensor, embeddings: Tensor) -> Tensor:
        """(B, N, e) and (B, e, *spatial) -> responses (B, N, *spatial), logits over the queries."""
        products = kernels.float() @ embeddings.flatten(2)
        normed: Tensor = self.norm(products.float().flatten(1)[:, None])
        return normed.view(products.shape[:2] + embeddings.shape[2:])

    def forward(self, pixels: Tensor, queries: Tensor) -> Tensor:
        """(B, C_p, *spatial) and (B, C_q, N) -> responses (B, N, *spatial)."""
        return self.respond(self.kernels(queries), self.embed(pixels))


class QueryAttention(nn.Module):
    """Multi-head self-attention of queries with batch norm on scores and output, as kMaX-DeepLab has it.

    Args:
        channels: of the input.
        key_channels: of queries and keys, all heads together.
        value_channels: of the output.
        num_heads: must divide both.
        momentum: of the norms' running averages.

    """

    def __init__(self, channels: int, key_channels: int, value_channels: int, num_heads: int, momentum: float) -> None:
        super().__init__()
        self.split = [key_channels, key_channels, value_channels]
        self.num_heads = num_heads
        self.project = unit(channels, sum(self.split), 1, momentum, act=False)
        self.score_norm = nn.BatchNorm2d(num_heads, EPSILON, momentum)
        self.output_norm = nn.BatchNorm1d(value_channels, EPSILON, momentum)

    def forward(self, queries: Tensor) -> Tensor:
        """(B, C, N) -> (B, value_channels, N)."""
        parts = self.project(queries).split(self.split, dim=1)
        query, key, value = [part.unflatten(1, [self.num_heads, -1]) for part in parts]
        scores = self.score_norm(query.transpose(2, 3) @ key).float().softmax(dim=3).to(value.dtype)
        attended = (value @ scores.transpose(2, 3)).flatten(1, 2)
        y: Tensor = F.gelu(self.output_norm(attended))
        return y


class KMaxLayer(nn.Module):
    r"""One round of k-means for the queries, then self-attention and a feed-forward network.

    .. math:: C \leftarrow C + A V, \qquad A = \arg\max_N (C P^T)

    Wu et al., "Semi-supervised medical image segmentation via query distribution consistency", ISBI 2024, eq. 2, whose
    residual the print leaves out. No gradient passes through the assignment A, so that the embeddings which decide it
    learn only where the layer's responses are supervised (:meth:`MaskPredictor.respond`).

    Args:
        pixel_channels: C_p, of the voxel features.
        query_channels: C_q, of the queries.
        width: of the spaces in which voxels and queries meet.
        embedding: channels in which they are compared, and of the attention's keys.
        num_heads: of the self-attention.
        feed_forward: hidden channels of the feed-forward network.
        momentum: of the norms' running averages.

    """

    def __init__(
        self,
        pixel_channels: int,
        query_channels: int = 256,
        width: int = 256,
        embedding: int = 128,
        num_heads: int = 8,
        feed_forward: int = 2048,
        momentum: float = 0.01,
    ) -> None:
        super().__init__()
        self.pixels = unit(pixel_channels, width, 3, momentum)
        self.queries = unit(query_channels, width, 1, momentum)
        self.values = unit(width, width, 3, momentum, act=False)
        self.predictor = MaskPredictor(width, width, width, embedding, momentum)
        self.update_norm = nn.BatchNorm1d(width, EPSILON, momentum)
        self.update = unit(width, query_channels, 1, momentum, act=False, gain=0.0)
        self.attention = QueryAttention(width, embedding, width, num_heads, momentum)
        self.attended = unit(width, query_channels, 1, momentum, act=False, gain=0.0)
        self.feed_forward = nn.Sequential(
            unit(query_channels, feed_forward, 1, momentum),
            unit(feed_forward, query_channels, 1, momentum, act=False, gain=0.0),
        )

    def forward(self, pixels: Tensor, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Update the queries.

        Args:
            pixels: (B, C_p, *spatial).
            queries: (B, C_q, N).

        Returns:
            The queries (B, C_q, N); and the kernels (B, N, e) and embeddings (B, e, *spatial) that decided which voxel
            belongs to whom, for :meth:`MaskPredictor.respond`.

        """
        voxels = self.pixels(F.gelu(pixels))
        centers = self.queries(queries)
        kernels = self.predictor.kernels(centers)
        embeddings = self.predictor.embed(voxels)
        values = self.values(voxels).flatten(2).transpose(1, 2)
        collected, _ = kmax_attention(kernels, embeddings.flatten(2).transpose(1, 2), values)
        queries = queries + self.update(self.update_norm(collected.transpose(1, 2)))
        queries = F.gelu(queries + self.attended(self.attention(centers)))
        return F.gelu(queries + self.feed_forward(queries)), kernels, embeddings

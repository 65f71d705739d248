"""DK-UXNet: a 3D UX-Net whose voxels are clustered around learned queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from monai.networks.blocks import UnetrBasicBlock, UnetrUpBlock
from torch import Tensor, nn

from fewlabel.networks.dk_uxnet.encoder import UXNetEncoder
from fewlabel.networks.dk_uxnet.kmax_decoder import KMaxLayer, MaskPredictor, unit
from fewlabel.parsing import parse_arguments


class QueryOutputs(NamedTuple):
    """The outputs of :meth:`DKUXNet.outputs`.

    Attributes:
        logits: (B, K, *spatial).
        log_distribution: (B, K, *spatial), logarithms of the query distribution: the share of each voxel that the
            queries of class k have; they sum to 1 over k.
        layers: the same of each k-means layer at its own stride, coarsest first.

    """

    logits: Tensor
    log_distribution: Tensor
    layers: list[Tensor]


class DKUXNet(nn.Module):
    r"""3D UX-Net encoder, UNETR-like decoder and k-means cross-attention of queries with the decoder's maps.

    Wu et al., "Semi-supervised medical image segmentation via query distribution consistency", ISBI 2024, section 2.2.
    N queries belong to classes in groups. At strides 8, 4 and 2 they collect the voxels that resemble them; at full
    resolution their responses R become masks, and each query votes for the classes:

    .. math::
        M = \mathrm{softmax}_N(R), \qquad logits_k = \sum_n C_{nk} M_n, \qquad Q_k = \sum_{n \in group_k} M_n

    with C the classification of the queries by a small network and Q the query distribution.

    Args:
        in_channels: channels of the image.
        num_classes: K, background included.
        queries_per_class: queries in the group of each class, one number for all or one per class; the paper does not
            say. The released code for tumors has 16 of background, 4 of the organ and 12 (later 108) of the tumor.
        channels: of the encoder's first stage; they double with each of the three others and the bottleneck.
        depths: blocks of the encoder's stages.
        layers_per_stride: k-means layers at each of the three strides.
        width: channels of the queries and of the spaces in which they meet voxels, a multiple of 8; by default in the
            released proportion to ``channels``, 256 to 48.
        embedding: channels in which voxels and queries are compared, a multiple of 8; by default 128 to 48.
        feed_forward: hidden channels of the queries' feed-forward networks; by default 2048 to 48.
        joint_classifier: classify all queries by one network that sees them together, as the released code does,
            instead of each by itself, as the paper says.
        norm_momentum: of the running averages of the queries' and masks' batch norms; a training run of few steps needs
            more than the published 0.01.
        layer_scale: see :class:`fewlabel.networks.dk_uxnet.encoder.UXBlock`.

    Attributes:
        stride: sides of an image must be multiples of it.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> network = DKUXNet(channels=6, depths=(1, 1, 1, 1))
        >>> network(torch.zeros(2, 1, 32, 32, 32)).shape
        torch.Size([2, 2, 32, 32, 32])

    """

    @parse_arguments
    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        queries_per_class: int | Sequence[int] = 16,
        channels: int = 48,
        depths: Sequence[int] = (2, 2, 2, 2),
        layers_per_stride: int = 2,
        width: int | None = None,
        embedding: int | None = None,
        feed_forward: int | None = None,
        joint_classifier: bool = False,
        norm_momentum: float = 0.01,
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        groups = _groups(queries_per_class, num_classes)
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        if layers_per_stride < 1:
            raise ValueError(f"layers_per_stride must be at least 1, got {layers_per_stride}")
        dims = [channels * 2**stage for stage in range(4)]
        width = max(8, channels * 2 // 3 * 8) if width is None else width
        embedding = max(8, channels // 3 * 8) if embedding is None else embedding
        hidden = channels * 128 // 3 if feed_forward is None else feed_forward
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.groups = groups
        self.stride = 16
        self.joint_classifier = joint_classifier
        self.encoder = UXNetEncoder(in_channels, dims, depths, layer_scale)
        widths = [*dims, 2 * dims[3]]
        sources = [in_channels, *dims]
        self.skips = nn.ModuleList(
            UnetrBasicBlock(3, before, after, kernel_size=3, stride=1, norm_name="instance", res_block=True)
            for before, after in zip(sources, widths, strict=True)
        )
        self.decoder = nn.ModuleList(
            UnetrUpBlock(3, coarse, fine, 3, upsample_kernel_size=2, norm_name="instance", res_block=True)
            for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.queries = nn.Parameter(torch.empty(width, sum(groups)))
        nn.init.trunc_normal_(self.queries)
        self.layers_per_stride = layers_per_stride
        self.kmax = nn.ModuleList(
            KMaxLayer(pixel_channels, width, width, embedding, feed_forward=hidden, momentum=norm_momentum)
            for pixel_channels in widths[3:0:-1]
            for _ in range(layers_per_stride)
        )
        self.mask_queries = unit(width, width, 1, norm_momentum)
        self.predictor = MaskPredictor(widths[0], width, width, embedding, norm_momentum)
        together = sum(groups) if joint_classifier else 1
        self.classifier = nn.Sequential(
            nn.Linear(together * width, 64), nn.ReLU(), nn.Linear(64, together * num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, D, H, W) -> logits (B, num_classes, D, H, W)."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check_input(x)
        maps = self._decode(x)
        queries = self.queries.expand(x.shape[0], -1, -1)
        for number, layer in enumerate(self.kmax):
            queries = layer(maps[number // self.layers_per_stride], queries)[0]
        responses = self.predictor(maps[3], self.mask_queries(queries))
        return self._answer(responses, self._classify(queries))[0]

    def outputs(self, x: Tensor) -> QueryOutputs:
        """Return the logits of images (B, in_channels, D, H, W), and the query distributions."""
        self._check_input(x)
        maps = self._decode(x)
        queries = self.queries.expand(x.shape[0], -1, -1)
        distributions = []
        for number, layer in enumerate(self.kmax):
            queries, kernels, embeddings = layer(maps[number // self.layers_per_stride], queries)
            assert isinstance(layer, KMaxLayer)
            responses = layer.predictor.respond(kernels, embeddings)
            distributions.append(self._distribution(responses))
        responses = self.predictor(maps[3], self.mask_queries(queries))
        logits, log_distribution = self._answer(responses, self._classify(queries))
        return QueryOutputs(logits, log_distribution, distributions)

    def _decode(self, x: Tensor) -> list[Tensor]:
        """Return the decoder's maps at strides 8, 4, 2 and 1."""
        sources = [x]
        sources.extend(self.encoder(x))
        skips: list[Tensor] = []
        for number, skip in enumerate(self.skips):
            skips.append(skip(sources[number]))
        y = skips.pop()
        maps: list[Tensor] = []
        for up in self.decoder:
            y = up(y, skips.pop())
            maps.append(y)
        return maps

    def _classify(self, queries: Tensor) -> Tensor:
        """(B, width, N) -> votes (B, K, N)."""
        if self.joint_classifier:
            votes: Tensor = self.classifier(queries.flatten(1))
            return votes.view(queries.shape[0], self.num_classes, queries.shape[2])
        each: Tensor = self.classifier(queries.transpose(1, 2))
        return each.transpose(1, 2)

    def _answer(self, responses: Tensor, votes: Tensor) -> tuple[Tensor, Tensor]:
        """Responses (B, N, *spatial), votes (B, K, N) -> logits (B, K, *spatial) and the logarithms of Q, ditto.

        The masks' vote is the groups' mean votes, each counted by the group's share: so the responses, the largest
        tensor there is, are exponentiated once for both, and only their exponentials are kept for backward.
        """
        means: list[Tensor] = []
        masses: list[Tensor] = []
        ballots = torch.split(votes.to(responses.dtype), self.groups, dim=2)
        for number, group in enumerate(torch.split(responses.flatten(2), self.groups, dim=1)):
            peak = group.detach().amax(dim=1, keepdim=True)
            weights = (group - peak).exp()
            mass = weights.sum(dim=1, keepdim=True)  # not a row of the product, which autocast would round
            means.append(ballots[number] @ weights / mass)
            masses.append(mass.log() + peak)
        log_distribution = torch.cat(masses, dim=1).log_softmax(dim=1)
        shares = log_distribution.exp()
        logits = means[0] * shares[:, :1]
        for number in range(1, len(means)):
            logits = logits + means[number] * shares[:, number : number + 1]
        shape = logits.shape[:2] + responses.shape[2:]
        return logits.view(shape), log_distribution.view(shape)

    def _distribution(self, responses: Tensor) -> Tensor:
        """Responses (B, N, *spatial) -> logarithms of the groups' shares (B, K, *spatial)."""
        groups = torch.split(responses, self.groups, dim=1)
        masses = torch.stack([group.logsumexp(dim=1) for group in groups], dim=1)
        return masses.log_softmax(dim=1)

    @torch.jit.unused
    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 5 or x.shape[1] != self.in_channels:
            raise ValueError(f"DKUXNet expects images (B, {self.in_channels}, D, H, W), got {tuple(x.shape)}.")
        if any(side % self.stride for side in x.shape[2:]):
            raise ValueError(
                f"DKUXNet's coarsest map is {self.stride} times smaller than the image, whose sides must be multiples "
                f"of that, got {tuple(x.shape[2:])}; pad or crop the image."
            )


def _groups(queries_per_class: int | Sequence[int], num_classes: int) -> list[int]:
    if num_classes < 2:
        raise ValueError(f"num_classes counts the background too and must be at least 2, got {num_classes}")
    groups = [queries_per_class] * num_classes if isinstance(queries_per_class, int) else list(queries_per_class)
    if len(groups) != num_classes or min(groups) < 1:
        raise ValueError(
            f"queries_per_class must be one number of at least 1, or one for each of the {num_classes} classes, got "
            f"{queries_per_class!r}"
        )
    return groups

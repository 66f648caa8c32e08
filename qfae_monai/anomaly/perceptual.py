"""Perceptual distance of frozen vision-transformer features: training loss and anomaly map (paper section 3.4, Eq. 2).

The main text adds distances up; the supplement (6.2) and the released implementation multiply over patch sizes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Literal, NamedTuple, cast

import torch
from monai.utils import LossReduction
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.loss import _Loss

from qfae_monai.networks.encoders import as_three_channels, block_index, block_states, embed
from qfae_monai.networks.execution import compile_blocks
from qfae_monai.networks.grey import normalized
from qfae_monai.networks.patches import check_divisible
from qfae_monai.networks.precision import Precision, RoundedOnce, autocast, check_precision

COSINE_EPS = 1e-8

FOREGROUND_ABOVE = normalized(0.01)
"""A grey of 0.01 in [0, 1], normalised."""

METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": lambda a, b: 1 - F.cosine_similarity(a, b, dim=-1, eps=COSINE_EPS),
    "l1": lambda a, b: (a - b).abs().mean(dim=-1),
    "l2": lambda a, b: (a - b).square().mean(dim=-1),
}
"""How two token sequences (B, N, D) differ at each position: (B, N)."""

Features = list[list[Tensor]]
"""Hidden states of the patches, (B, N, D), by patch size and block."""


class Target(NamedTuple):
    """What a distance needs of a target image, computed once: it may stand for the image.

    Attributes:
        features: of the image.
        foreground: (B, 1, H, W) boolean; None where all pixels count alike.
    """

    features: Features
    foreground: Tensor | None


def at_patch_size(trunk: VisionTransformer, patch_size: int) -> VisionTransformer:
    """A view of a vision transformer at another patch size that shares everything but its patch and position embedding.

    Both embeddings are resampled as timm does it (pseudo-inverse; bicubic with antialias), so one checkpoint serves
    all patch sizes and its blocks are in memory once.

    Raises:
        ValueError: if the trunk's image size is not divisible by `patch_size`.
    """
    for side in trunk.patch_embed.img_size:
        check_divisible(side, patch_size)
    view = copy.copy(trunk)
    view._modules = {**trunk._modules, "patch_embed": copy.deepcopy(trunk.patch_embed)}
    view._parameters = dict(trunk._parameters)
    view.set_input_size(patch_size=(patch_size, patch_size))
    return view.requires_grad_(False)


class PerceptualLoss(_Loss):
    """Distance between an image and its reconstruction in the features of a frozen network.

    `A[i, p]`, the distance of the raw hidden states of block i at patch size p, is resized bilinearly to the image;
    `consensus="product"` multiplies over patch sizes, `"none"` keeps one map for each block and patch size.

    Args:
        trunk: a timm vision transformer (in the paper the MAE ViT-L/16), built at the image size; it is frozen here.
        blocks: block numbers counted from 0, negative ones from the end.
        patch_sizes: in pixels.
        metric: `cosine`, `l1` or `l2` (mean square) over feature channels.
        consensus: `product` (released implementation, supplement 6.2) or `none` (supplement 6.3).
        reduction: `mean` or `sum` for a scalar, `none` for the distance maps.
        precision, compile: as in `QFAE`.
        foreground_weight: how often a foreground pixel of the target counts for one of its background; the weights'
            mean over each image is 1, so that the scale stays.
        foreground_above: value of a normalised image above which a pixel is foreground.

    Raises:
        ValueError: for a block or patch size that the trunk does not admit, an unknown metric or consensus, or a
            foreground_weight that is not above 0.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        *,
        blocks: Sequence[int] = (15, 19),
        patch_sizes: Sequence[int] = (32, 56),
        metric: Literal["cosine", "l1", "l2"] = "cosine",
        consensus: Literal["product", "none"] = "product",
        reduction: str = "mean",
        precision: Precision = "float32",
        compile: bool = False,
        foreground_weight: float = 1.0,
        foreground_above: float = FOREGROUND_ABOVE,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        check_precision(precision)
        if foreground_weight <= 0:
            raise ValueError(f"foreground_weight must be above 0, got {foreground_weight}")
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {tuple(METRICS)}, got {metric!r}")
        if consensus not in ("product", "none"):
            raise ValueError(f"consensus must be 'product' or 'none', got {consensus!r}")
        if not blocks or not patch_sizes:
            raise ValueError(f"expected at least one block and one patch size, got {blocks} and {patch_sizes}")
        self.blocks = tuple(block_index(block, len(trunk.blocks)) for block in blocks)
        self.patch_sizes = tuple(patch_sizes)
        self.metric, self.consensus, self.precision = metric, consensus, precision
        self.foreground_weight, self.foreground_above = foreground_weight, foreground_above
        trunk.requires_grad_(False).eval()
        if compile:
            compile_blocks(trunk)
        self.trunks = torch.nn.ModuleList(at_patch_size(trunk, patch_size) for patch_size in patch_sizes)
        self._rounded = RoundedOnce[VisionTransformer]()
        # tokens at each patch size
        lengths = [view.num_prefix_tokens + view.patch_embed.num_patches for view in self._views]
        # (T, T), T tokens of all patch sizes: none attends to a token of another size
        visible = torch.block_diag(*(torch.ones(length, length) for length in lengths)).bool()
        self.visible: Tensor | None
        self.register_buffer("visible", visible if len(lengths) > 1 else None, persistent=False)

    @property
    def num_maps(self) -> int:
        """Number of distance maps an image."""
        return len(self.blocks) * (1 if self.consensus == "product" else len(self.patch_sizes))

    def train(self, mode: bool = True) -> PerceptualLoss:
        """The network never leaves eval mode."""
        return super().train(False)

    def forward(self, input: Tensor, target: Tensor | Target) -> Tensor:
        """Distance of a reconstruction from its image; gradients flow to `input` only.

        Args:
            input: reconstruction, (B, 1 or 3, H, W), normalised.
            target: image, (B, 1 or 3, H, W), normalised, or what `target` made of it.

        Returns:
            A scalar, or with `reduction="none"` the maps: (B, L, H, W) for L blocks, or (B, L * P, H, W) block by
            block without consensus.
        """
        with autocast(input.device, self.precision):
            if isinstance(target, Target):
                found, (wanted, foreground) = self._features(as_three_channels(input)), target
            else:
                found, wanted = self._both(as_three_channels(input), as_three_channels(target))
                foreground = self._foreground(target)
        with torch.autocast(input.device.type, enabled=False):
            return self.compare(found, wanted, input.shape[-2:], weights=self._weights(foreground))

    @torch.no_grad()
    def target(self, image: Tensor) -> Target:
        """What `forward` needs of a target image, (B, 1 or 3, H, W), normalised."""
        with autocast(image.device, self.precision):
            return Target(self._features(as_three_channels(image)), self._foreground(image))

    def depends_on(self) -> list[Any]:
        """All that `target` depends on beside the image."""
        weighted = self.foreground_weight != 1
        return [self.trunks, self.blocks, self.patch_sizes, self.foreground_above if weighted else None, self.precision]

    def features(self, image: Tensor, patch_size: int) -> list[Tensor]:
        """Raw hidden states of the patches, prefix tokens dropped: one (B, N, D) for each block."""
        return self._features(as_three_channels(image))[self.patch_sizes.index(patch_size)]

    def compare(
        self, found: Features, wanted: Features, size: Sequence[int], *, weights: Tensor | None = None
    ) -> Tensor:
        """Features of the input and of the target -> what `forward` returns.

        Args:
            found, wanted: of input and target.
            size: of the image, (H, W).
            weights: of its pixels, (B, 1, H, W); None for 1 everywhere.
        """
        metric = METRICS[self.metric]
        resized = []
        for trunk, found_states, wanted_states in zip(self._views, found, wanted, strict=True):
            # L of (B, N)
            distances = [metric(a.float(), b.float()) for a, b in zip(found_states, wanted_states, strict=True)]
            # (B, L, rows, columns) of patches
            grids = torch.stack(distances, dim=1).unflatten(-1, trunk.patch_embed.grid_size)
            resized.append(F.interpolate(grids, size=size, mode="bilinear", align_corners=False))  # (B, L, H, W)
        # (B, L, H, W); not prod, whose backward pass has the host wait for a GPU
        product = self.consensus == "product"
        maps = reduce(torch.mul, resized) if product else torch.stack(resized, dim=2).flatten(1, 2)
        maps = maps if weights is None else maps * weights
        if self.reduction == LossReduction.MEAN.value:
            return maps.mean()
        return maps.sum() if self.reduction == LossReduction.SUM.value else maps

    def _foreground(self, target: Tensor) -> Tensor | None:
        """Pixels that count more, (B, 1, H, W) boolean; None where all count alike."""
        if self.foreground_weight == 1:
            return None
        return (target > self.foreground_above).any(dim=1, keepdim=True)

    def _weights(self, foreground: Tensor | None) -> Tensor | None:
        """Of the pixels, (B, 1, H, W), with a mean of 1 in each image; None where all count alike."""
        if foreground is None:
            return None
        weights = torch.where(foreground, float(self.foreground_weight), 1.0)  # (B, 1, H, W)
        return weights / weights.mean(dim=(-2, -1), keepdim=True)

    def _both(self, input: Tensor, target: Tensor) -> tuple[Features, Features]:
        """One pass for both where no gradient is asked for; otherwise the target's keeps no graph."""
        if not (torch.is_grad_enabled() and input.requires_grad):
            with torch.no_grad():
                # (2 * B, N, D) by patch size and block
                pairs = self._features(torch.cat([input, target.expand_as(input)]))
            # not chunk(2): an exported graph of any batch size cannot split a length that it does not know
            halves = [[state.unflatten(0, (2, -1)).unbind() for state in states] for states in pairs]
            return [[a for a, _ in states] for states in halves], [[b for _, b in states] for states in halves]
        with torch.no_grad():
            wanted = self._features(target)
        return self._features(input), wanted

    def _features(self, image: Tensor) -> Features:
        """The sequences of all patch sizes side by side, so that the shared blocks run once."""
        sequences = [embed(trunk, image) for trunk in self._views]  # (B, prefix + N, D) by patch size
        # (B, T, D) by block
        states = block_states(self._views[0], torch.cat(sequences, dim=1), self.blocks, visible=self.visible)
        # (B, prefix + N, D) by block and patch size
        parts = [state.split([sequence.shape[1] for sequence in sequences], dim=1) for state in states]
        return [
            [part[index][:, trunk.num_prefix_tokens :] for part in parts] for index, trunk in enumerate(self._views)
        ]

    @property
    def _views(self) -> Sequence[VisionTransformer]:
        """The network at each patch size."""
        return self._rounded(cast(Sequence[VisionTransformer], self.trunks))

"""The method in its plain formulation, what the fast one is measured against: same weights, same numbers.

It does what the released implementation does: self-attention of the queries is computed for each image, the Q-Former
materialises its attention weights, every block of a frozen trunk runs, and the perceptual distance takes one pass for
the image, one for the reconstruction, for each patch size. Attention of the vision transformers is timm's own, fused
there, too: a baseline that materialised it would be slower than the released code and flatter what stands beside it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.networks import QFAE, FrozenViT
from qfae_monai.networks.encoders import as_three_channels
from qfae_monai.networks.qformer import CROSS_ATTENTION_HEAD_DIM, CrossAttention, MultiQuerySelfAttention, QFormerBlock


class PlainQFAE(nn.Module):
    """A `QFAE` run step by step.

    Args:
        network: whose weights are used; it is copied where it is changed, its frozen trunks are shared.
    """

    def __init__(self, network: QFAE) -> None:
        super().__init__()
        trunks = [parameter for parameter in network.parameters() if not parameter.requires_grad]
        self.network = copy.deepcopy(network, {id(trunk): trunk for trunk in trunks})

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 1 or 3, H, W), normalised -> reconstruction: (B, 3, H, W)."""
        encoders = cast(Sequence[FrozenViT], self.network.encoders)
        tokens = torch.cat([encode(encoder, image) for encoder in encoders], dim=1)
        queries = self.network.qformer.queries.expand(len(image), -1, -1)
        for block in cast(Sequence[QFormerBlock], self.network.qformer.blocks):
            queries = self_attention(block.self_attention, queries)
            if block.cross_attention is not None:
                queries = cross_attention(block.cross_attention, queries, tokens)
            queries = block.mlp(queries)
        return self.network.decoder(queries)


class PlainPerceptualLoss(nn.Module):
    """A `PerceptualLoss` run pass by pass.

    Args:
        loss: whose trunks, blocks, metric and reduction are used.
    """

    def __init__(self, loss: PerceptualLoss) -> None:
        super().__init__()
        self.loss = loss
        self.reduction = loss.reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """input, target: (B, 1 or 3, H, W), normalised -> what the loss returns."""
        with torch.no_grad():
            wanted = [self._features(trunk, target) for trunk in self._trunks]
        found = [self._features(trunk, input) for trunk in self._trunks]
        return self.loss.compare(found, wanted, target.shape[-2:])

    @property
    def _trunks(self) -> Sequence[VisionTransformer]:
        return cast(Sequence[VisionTransformer], self.loss.trunks)

    def _features(self, trunk: VisionTransformer, image: Tensor) -> list[Tensor]:
        states = all_states(trunk, image)
        return [states[block][:, trunk.num_prefix_tokens :] for block in self.loss.blocks]


def all_states(trunk: VisionTransformer, image: Tensor) -> list[Tensor]:
    """The residual stream after each block, all of which run: (B, prefix + N, D) each."""
    tokens = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(as_three_channels(image))))
    states = []
    for block in trunk.blocks:
        tokens = block(tokens)
        states.append(tokens)
    return states


def encode(encoder: FrozenViT, image: Tensor) -> Tensor:
    """(B, T, dim)."""
    with torch.no_grad():
        states = all_states(encoder.trunk, image)
    tokens = torch.cat([states[block] for block in encoder.blocks], dim=1)
    return encoder.projection(encoder.additional_block(tokens))


def self_attention(attention: MultiQuerySelfAttention, queries: Tensor) -> Tensor:
    """(B, Q, dim) -> (B, Q, dim), for each image anew."""
    batch, count, dim = queries.shape
    query, key, value = attention.qkv(queries).split([dim, attention.head_dim, attention.head_dim], dim=-1)
    query = query.view(batch, count, attention.heads, attention.head_dim).transpose(1, 2)
    hidden = torch.ones(count, count, dtype=torch.bool, device=queries.device).triu(1)
    scores = query @ key[:, None].transpose(-2, -1) / math.sqrt(attention.head_dim)
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
    return attention.projection((weights @ value[:, None]).transpose(1, 2).reshape(batch, count, dim))


def cross_attention(attention: CrossAttention, queries: Tensor, tokens: Tensor) -> Tensor:
    """queries: (B, Q, dim), tokens: (B, T, dim) -> (B, Q, dim)."""
    query, key, value = attention._heads(queries, tokens)
    weights = (query @ key.transpose(-2, -1) * CROSS_ATTENTION_HEAD_DIM**-0.5).softmax(dim=-1)
    return attention.output_norm(attention.projection((weights @ value).transpose(1, 2).flatten(2)))

"""Q-Former bottleneck: learned queries gather what the encoders saw (paper section 3.2, after Li et al., BLIP-2).

Two facts of the released implementation that the paper does not mention are the default here: the queries'
self-attention is causal and shares one key/value head (multi-query, Shazeer 2019); and there is no residual path.

It runs in float32 whatever the precision around it: on CPUs with native bfloat16, training with a Q-Former in that
format stops far above where float32 gets to, and everything else may be bfloat16 (docs/speed.md has the tables).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qfae_monai.networks.encoders import LayerNorm
from qfae_monai.networks.precision import in_float32, is_exporting

CROSS_ATTENTION_HEAD_DIM = 64
QUERY_INIT_STD = 1e-3


class MultiQuerySelfAttention(nn.Module):
    """Causal self-attention of the queries, `heads` query heads sharing one key/value head.

    Args:
        dim: width of the queries, divisible by `heads`.
        heads: number of query heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"Q-Former dim {dim} is not divisible by its {heads} heads")
        self.dim, self.heads, self.head_dim = dim, heads, dim // heads
        self.qkv = nn.Linear(dim, dim + 2 * self.head_dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, queries: Tensor) -> Tensor:
        """queries: (B, Q, dim) -> (B, Q, dim); query i attends to queries 0..i."""
        batch, count, _ = queries.shape
        # (B, Q, dim) and twice (B, Q, head_dim)
        query, key, value = self.qkv(queries).split([self.dim, self.head_dim, self.head_dim], dim=-1)
        query = query.view(batch, count, self.heads, self.head_dim).transpose(1, 2)  # (B, heads, Q, head_dim)
        # (B, heads, Q, head_dim), one head seen by all without a copy
        key, value = (shared[:, None].expand(-1, self.heads, -1, -1) for shared in (key, value))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)  # (B, heads, Q, head_dim)
        return self.projection(mixed.transpose(1, 2).reshape(batch, count, self.dim))


class CrossAttention(nn.Module):
    """Queries attend to image tokens, and to one learned null token that is always visible.

    Args:
        dim: width of queries and tokens.
        heads: number of heads, each 64 wide whatever `dim` is.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        inner = heads * CROSS_ATTENTION_HEAD_DIM
        self.heads = heads
        self.norm = LayerNorm(dim)
        self.query = nn.Linear(dim, inner, bias=False)
        self.key_value = nn.Linear(dim, 2 * inner, bias=False)
        # (2, 64), key and value, the same for all heads
        self.null_key_value = nn.Parameter(torch.randn(2, CROSS_ATTENTION_HEAD_DIM))
        self.projection = nn.Linear(inner, dim, bias=False)
        self.output_norm = LayerNorm(dim)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries (1 or B, Q, dim) and image tokens (B, T, dim) -> (B, Q, dim).

        Args:
            queries, tokens: of equal width.
            mask: (Q, T), (B, Q, T) or, the same for all queries, (B, 1, T); True is visible.
        """
        query, key, value = self._heads(queries, tokens)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=_with_null(mask))  # (B, heads, Q, 64)
        return self.output_norm(self.projection(mixed.transpose(1, 2).flatten(2)))

    def _heads(self, queries: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query (B, heads, Q, 64), key and value (B, heads, 1 + T, 64)."""
        batch = tokens.shape[0]
        query = self._split(self.query(self.norm(queries))).expand(batch, -1, -1, -1)  # (B, heads, Q, 64)
        key, value = (self._split(part) for part in self.key_value(tokens).chunk(2, dim=-1))  # (B, heads, T, 64)
        null = self.null_key_value.view(2, 1, 1, 1, -1)  # (2, 1, 1, 1, 64)
        null_key, null_value = null.expand(-1, batch, self.heads, -1, -1)  # (B, heads, 1, 64) each
        return query, torch.cat([null_key, key], dim=2), torch.cat([null_value, value], dim=2)

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, CROSS_ATTENTION_HEAD_DIM)).transpose(1, 2)  # (B, heads, N, 64)


def _with_null(mask: Tensor | None) -> Tensor | None:
    """(Q, T) or (B, Q, T) -> (1 or B, 1, Q, 1 + T), the null token visible to every query."""
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        raise TypeError(f"cross-attention mask must be boolean (True is visible), got {mask.dtype}")
    mask = mask[None] if mask.dim() == 2 else mask  # (1 or B, Q or 1, T)
    return F.pad(mask, (1, 0), value=True)[:, None]


class QueryMLP(nn.Module):
    """LayerNorm, two linear layers with exact GELU between, dropout."""

    def __init__(self, dim: int, output_dim: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm = LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, output_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, output_dim)."""
        return self.dropout(self.fc2(F.gelu(self.fc1(self.norm(tokens)))))


class QFormerBlock(nn.Module):
    """Self-attention, optional cross-attention, MLP; one after the other, no residual path."""

    def __init__(
        self, dim: int, output_dim: int, heads: int, *, mlp_ratio: float, dropout: float, cross_attention: bool
    ) -> None:
        super().__init__()
        self.self_attention = MultiQuerySelfAttention(dim, heads)
        self.cross_attention = CrossAttention(dim, heads) if cross_attention else None
        self.mlp = QueryMLP(dim, output_dim, mlp_ratio, dropout)

    def forward(self, mixed_queries: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """mixed_queries: (1 or B, Q, dim), the output of `self_attention` -> (B, Q, output_dim)."""
        if self.cross_attention is not None:
            mixed_queries = self.cross_attention(mixed_queries, tokens, mask)
        return self.mlp(mixed_queries)


class QFormer(nn.Module):
    """Learned queries, and blocks of which every other one (0, 2, ...) attends to the image.

    Args:
        dim: width of queries and image tokens.
        output_dim: width of the result; None for `dim`.
        num_queries: number of queries, the length of the sequence that the decoder gets.
        heads: attention heads.
        num_blocks: number of blocks.
        mlp_ratio: hidden width of the MLP over `dim`.
        dropout: after the MLP.
        query_init_std: spread of the queries at the start; a short training learns sooner with about 1.
        query_dropout: share of the queries that come out as zeros in training, drawn for each image: the decoder
            learns to fill their patches in from the others. Nothing is rescaled, and nothing is dropped in eval mode.

    Raises:
        ValueError: without a block, or if query_dropout is not in [0, 1).
    """

    def __init__(
        self,
        dim: int,
        num_queries: int,
        *,
        output_dim: int | None = None,
        heads: int = 8,
        num_blocks: int = 1,
        mlp_ratio: float = 4.0,
        dropout: float = 0.01,
        query_init_std: float = QUERY_INIT_STD,
        query_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, got {num_blocks}")
        if not 0 <= query_dropout < 1:
            raise ValueError(f"query_dropout must be in [0, 1), got {query_dropout}")
        self.dim = dim
        self.output_dim = dim if output_dim is None else output_dim
        self.query_dropout = query_dropout
        self.queries = nn.Parameter(torch.randn(1, num_queries, dim) * query_init_std)  # (1, Q, dim)
        self.blocks = nn.ModuleList(
            QFormerBlock(
                dim,
                self.output_dim if index == num_blocks - 1 else dim,
                heads,
                mlp_ratio=mlp_ratio,
                dropout=dropout,
                cross_attention=index % 2 == 0,
            )
            for index in range(num_blocks)
        )
        self._mixed: tuple[tuple, Tensor] | None = None

    @in_float32
    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """tokens: (B, T, dim), mask: (Q, T) or (B, Q, T), True is visible -> (B, Q, output_dim)."""
        first, *others = cast(Sequence[QFormerBlock], self.blocks)
        gathered = first(self.mixed_queries(), tokens, mask)  # (B, Q, dim), of a single block (B, Q, output_dim)
        for block in others:
            gathered = block(block.self_attention(gathered), tokens, mask)
        if self.training and self.query_dropout > 0:
            # (B, Q), True for queries that stay
            kept = torch.rand(gathered.shape[:2], device=gathered.device) >= self.query_dropout
            gathered = gathered * kept[..., None]
        return gathered

    def mixed_queries(self) -> Tensor:
        """Self-attention of the queries: (1, Q, dim). It does not see the image: once per step, kept at inference."""
        attention = cast(MultiQuerySelfAttention, self.blocks[0].self_attention)
        if torch.is_grad_enabled() or is_exporting():
            self._mixed = None
            return attention(self.queries)
        # The key changes with every in-place update, move or cast of the weights it was computed from.
        sources = [self.queries, *attention.parameters()]
        key = tuple((source.data_ptr(), source._version) for source in sources)
        if self._mixed is None or self._mixed[0] != key:
            self._mixed = (key, attention(self.queries))
        return self._mixed[1]

"""Whitening of tokens by those of normal images: every direction in which normal tokens vary counts alike.

Cosine and plain distances are ruled by the few directions along which tokens vary most, such as brightness and place.
After whitening, a distance of 0 is the mean normal token and the squared length is Mahalanobis' distance. Tokens of
random networks vary in few directions, and what is left is noise: there only the channels are scaled.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

RIDGE = 0.01  # of the mean variance, added to each: directions in which normal tokens hardly vary are noise


class Whitening(nn.Module):
    """Take the mean of normal tokens of each place away, and scale to unit variance in all directions.

    Nothing is changed until it is fitted.

    Args:
        groups: of blocks, each with tokens of its own.
        patches: places in an image.
        dim: width of the tokens.
        directions: whether all directions are scaled, and not the channels alone.

    Example:
        >>> tokens = torch.randn(500, 1, 2, 4) @ torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0])) + 5
        >>> whitening = Whitening(groups=1, patches=2, dim=4)
        >>> whitening.fit(tokens)
        >>> whitened = whitening(tokens)
        >>> bool((whitened.mean(0).abs() < 1e-4).all()), bool((whitened.std((0, 2)) - 1).abs().max() < 0.1)
        (True, True)
    """

    def __init__(self, groups: int, patches: int, dim: int, *, directions: bool = True) -> None:
        super().__init__()
        self.directions = directions
        self.mean: Tensor
        self.matrix: Tensor
        self.register_buffer("mean", torch.zeros(groups, patches, dim))
        self.register_buffer("matrix", torch.eye(dim).repeat(groups, 1, 1))

    @torch.no_grad()
    def fit(self, tokens: Tensor) -> None:
        """Learn from the tokens of M normal images, (M, G, N, D).

        Raises:
            ValueError: of fewer than two images.
        """
        if len(tokens) < 2:
            raise ValueError(f"expected the tokens of at least 2 normal images to whiten by, got {len(tokens)}")
        mean = tokens.mean(dim=0)  # (G, N, D)
        apart = (tokens - mean).transpose(0, 1).flatten(1, 2).double()  # (G, M * N, D)
        covariance = apart.transpose(1, 2) @ apart / apart.shape[1]  # (G, D, D)
        if not self.directions:
            covariance = torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
        values, vectors = torch.linalg.eigh(covariance)  # (G, D) and (G, D, D), columns
        values = values.clamp_min(0)
        scale = (values + RIDGE * values.mean(dim=1, keepdim=True)).rsqrt()
        self.mean.copy_(mean)
        self.matrix.copy_(vectors * scale[:, None] @ vectors.transpose(1, 2))  # symmetric: channels stay themselves

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (B, G, N, D) -> (B, G, N, D)."""
        return (tokens - self.mean) @ self.matrix

"""Q-Former Autoencoder: frozen encoders, learned queries as bottleneck, patch decoder (arXiv 2507.18481, figure 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from qfae_monai.networks.decoder import PatchDecoder
from qfae_monai.networks.encoders import FrozenViT, as_three_channels
from qfae_monai.networks.execution import WholeState, compile_blocks
from qfae_monai.networks.precision import Precision, autocast, check_precision
from qfae_monai.networks.qformer import QFormer
from qfae_monai.networks.token_decoder import Decoded, TokenDecoder


class QFAE(WholeState):
    """Reconstruct what is normal in an image.

    Images are normalised with mean 0.449 and standard deviation 0.226, one grey channel or three equal ones; the
    reconstruction lives in the same normalised space. With a `TokenDecoder` it is one of the encoder's own tokens, with
    a picture of them.

    Args:
        encoders: one or several frozen encoders, whose token sequences are concatenated.
        qformer: the bottleneck.
        decoder: `PatchDecoder`, which takes one token a patch, or `TokenDecoder`, which takes any number.
        precision: what matrix products run in, as in `compute_dtype`.
        compile: run the transformer blocks through `torch.compile`.
        token_dropout: share of the encoders' tokens that the Q-Former does not see in training, drawn for each image;
            all are seen in eval mode.

    Raises:
        ValueError: if token_dropout is not in [0, 1), or the parts do not fit together; the message says which and how.
    """

    def __init__(
        self,
        encoders: FrozenViT | Sequence[FrozenViT],
        qformer: QFormer,
        decoder: PatchDecoder | TokenDecoder,
        *,
        precision: Precision = "float32",
        compile: bool = False,
        token_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_precision(precision)
        if not 0 <= token_dropout < 1:
            raise ValueError(f"token_dropout must be in [0, 1), got {token_dropout}")
        self.encoders = nn.ModuleList([encoders] if isinstance(encoders, FrozenViT) else encoders)
        self.qformer = qformer
        self.decoder = decoder
        self.precision = precision
        self.token_dropout = token_dropout
        self._check_parts()
        if compile:
            compile_blocks(self)

    def forward(self, image: Tensor | Sequence[Tensor]) -> Tensor | Decoded:
        """Image (B, 1 or 3, H, W), normalised, or its `states` -> reconstruction (B, 3, H, W), float32, normalised.

        With a `TokenDecoder` the reconstruction is `Decoded`.
        """
        return self.reconstruct(image, self._seen_tokens(image) if self.training and self.token_dropout > 0 else None)

    def reconstruct(self, image: Tensor | Sequence[Tensor], mask: Tensor | None = None) -> Tensor | Decoded:
        """As `forward`, with an optional cross-attention mask: (Q, T) or (B, Q or 1, T), True is visible."""
        with autocast(self.qformer.queries.device, self.precision):
            states = self._read(image) if isinstance(image, Tensor) else image
            queries = self.qformer(self.encode(states), mask)  # (B, Q, output_dim)
            decoded = self.decoder(queries)
        if isinstance(decoded, Tensor):
            return decoded.float()  # losses and scores are computed in float32
        tokens, picture = decoded
        return Decoded(picture.float(), tokens.float(), *self._targets(states))

    def stand_in(self, picture: Tensor, image: Tensor) -> Tensor | Decoded:
        """A picture in the place of an image's reconstruction, such as the mean training image.

        Args:
            picture: (1 or B, 1 or 3, H, W), normalised.
            image: (B, 1 or 3, H, W), normalised.

        Returns:
            As `forward`.
        """
        picture = as_three_channels(picture).expand(len(image), -1, -1, -1)
        if not isinstance(self.decoder, TokenDecoder):
            return picture
        tokens, _ = self._targets(self.states(picture))
        return Decoded(picture, tokens, *self._targets(self.states(image)))

    @torch.no_grad()
    def fit_target(self, images: Callable[[], Tensor], batch_size: int = 16) -> None:
        """Learn what a `TokenDecoder` whitens by from normal images; nothing without one.

        Args:
            images: gives (M, 1 or 3, H, W), normalised; called where they are needed.
            batch_size: images in one pass of the encoder.
        """
        if isinstance(self.decoder, TokenDecoder):
            device = self.decoder.whitening.mean.device
            parts = [self._first.target(self.states(part.to(device))[0]) for part in images().split(batch_size)]
            self.decoder.whitening.fit(torch.cat(parts))  # (M, G, N, D)

    def _targets(self, states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """`states` -> the tokens that are to be decoded, (B, G, N, D): whitened, and as they are."""
        encoded = self._first.target(states[0])
        return cast(TokenDecoder, self.decoder).whitening(encoded), encoded

    def states(self, image: Tensor) -> list[Tensor]:
        """What the frozen trunks make of an image, (B, T, D) for each encoder: it never changes in training."""
        with autocast(image.device, self.precision):
            return self._read(image)

    def _read(self, image: Tensor) -> list[Tensor]:
        return [encoder.states(image) for encoder in cast(Sequence[FrozenViT], self.encoders)]

    def encode(self, image: Tensor | Sequence[Tensor]) -> Tensor:
        """Image, or its `states`, to the tokens of all encoders: (B, T, dim)."""
        encoders = cast(Sequence[FrozenViT], self.encoders)
        states = self._read(image) if isinstance(image, Tensor) else image
        return torch.cat([encoder.project(one) for encoder, one in zip(encoders, states, strict=True)], dim=1)

    @property
    def num_tokens(self) -> int:
        """T, the number of image tokens of all encoders: the width of a cross-attention mask."""
        return sum(encoder.num_tokens for encoder in cast(Sequence[FrozenViT], self.encoders))

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self._first.image_size

    @property
    def num_patches(self) -> int:
        """N, the places that a `TokenDecoder` decodes."""
        return int(self._first.trunk.patch_embed.num_patches)

    @property
    def _first(self) -> FrozenViT:
        return cast(FrozenViT, self.encoders[0])

    def _seen_tokens(self, image: Tensor | Sequence[Tensor]) -> Tensor:
        """Cross-attention mask (B, 1, T), the same for all queries of an image."""
        batch = image if isinstance(image, Tensor) else image[0]
        return torch.rand(len(batch), 1, self.num_tokens, device=batch.device) >= self.token_dropout

    def _check_parts(self) -> None:
        side = self.decoder.grid * self.decoder.patch_size  # pixels
        for number, encoder in enumerate(self.encoders):
            if encoder.output_dim != self.qformer.dim:
                raise ValueError(
                    f"encoder {number} gives tokens of width {encoder.output_dim}, "
                    f"the Q-Former expects {self.qformer.dim}"
                )
            if encoder.image_size != (side, side):
                raise ValueError(
                    f"encoder {number} takes images of {encoder.image_size} pixels, the decoder makes "
                    f"{self.decoder.grid} x {self.decoder.grid} patches of {self.decoder.patch_size}: "
                    f"{(side, side)}"
                )
        tokens = isinstance(self.decoder, TokenDecoder)
        if tokens and len(self.encoders) > 1:
            raise ValueError(f"expected one encoder, whose tokens are decoded, got {len(self.encoders)}")
        if not tokens and self.qformer.queries.shape[1] != self.decoder.grid**2:
            raise ValueError(
                f"{self.qformer.queries.shape[1]} queries do not fill the decoder's grid of "
                f"{self.decoder.grid} x {self.decoder.grid} patches"
            )
        if self.decoder.embed.in_features != self.qformer.output_dim:
            raise ValueError(
                f"the Q-Former gives tokens of width {self.qformer.output_dim}, "
                f"the decoder expects {self.decoder.embed.in_features}"
            )

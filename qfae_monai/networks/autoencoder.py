"""Plain autoencoder, the first row of the paper's Table 1: patch tokens go straight to the decoder, no bottleneck."""

from __future__ import annotations

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.networks.decoder import PatchDecoder
from qfae_monai.networks.encoders import as_three_channels, hidden_states
from qfae_monai.networks.execution import WholeState
from qfae_monai.networks.precision import Precision, autocast, check_precision


class PlainAutoencoder(WholeState):
    """Vision-transformer encoder and patch decoder, as many tokens as patches.

    Args:
        trunk: a timm vision transformer.
        decoder: takes one token a patch of the trunk's own grid.
        frozen: keep the trunk as it is (a pretrained one) instead of training it.
        precision: as in `QFAE`.

    Raises:
        ValueError: if the trunk's grid of patches is not the decoder's.
    """

    def __init__(
        self, trunk: VisionTransformer, decoder: PatchDecoder, *, frozen: bool = False, precision: Precision = "float32"
    ) -> None:
        super().__init__()
        check_precision(precision)
        if tuple(trunk.patch_embed.grid_size) != (decoder.grid, decoder.grid):
            raise ValueError(f"the encoder cuts an image into {tuple(trunk.patch_embed.grid_size)} patches, "
                             f"the decoder expects {(decoder.grid, decoder.grid)}")  # fmt: skip
        self.trunk = trunk.requires_grad_(not frozen)
        self.decoder = decoder
        self.frozen = frozen
        self.precision = precision

    def train(self, mode: bool = True) -> PlainAutoencoder:
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 1 or 3, H, W), normalised -> reconstruction: (B, 3, H, W), float32, normalised."""
        with autocast(image.device, self.precision):
            (tokens,) = hidden_states(self.trunk, as_three_channels(image), [-1])
            reconstruction = self.decoder(tokens[:, self.trunk.num_prefix_tokens :])
        return reconstruction.float()

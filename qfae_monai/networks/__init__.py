"""The method's networks: frozen encoders, Q-Former bottleneck, patch decoder (arXiv 2507.18481)."""

from qfae_monai.networks.decoder import PatchDecoder, PlainAutoencoder
from qfae_monai.networks.encoders import FrozenViT
from qfae_monai.networks.qfae import QFAE
from qfae_monai.networks.qformer import QFormer

__all__ = ["QFAE", "FrozenViT", "PatchDecoder", "PlainAutoencoder", "QFormer"]

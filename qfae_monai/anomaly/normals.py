"""What a score knows of normal scans beside the network: statistics of their maps, and their tokens to compare with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from qfae_monai.anomaly.standard_maps import StandardMaps
from qfae_monai.anomaly.token_distance import on_image
from qfae_monai.files import whole_file
from qfae_monai.networks.token_decoder import Decoded

FOLDS = 5
"""Parts of the held-out patients: a scan of one of them is standardised by the others when thresholds are taken."""
ALL = "all"
MOST_TOKENS = 12_000
"""Tokens of normal images that others are compared with, of each group of blocks."""
LOCATION, SPREAD, TOKENS = "location", "spread", "tokens"


def fold_of(patient: str) -> int:
    """Part that a patient belongs to, by the name alone.

    >>> fold_of("P-1") == fold_of("P-1"), 0 <= fold_of("P-2") < FOLDS
    (True, True)
    """
    return sha256(patient.encode("utf-8", "surrogatepass")).digest()[0] % FOLDS


class NearestTokens(nn.Module):
    """Distance of each token to the nearest one of normal images: anywhere in them, and at the same place.

    Anywhere as PatchCore (Roth et al. 2022), at the same place as anatomy allows where images are aligned.

    Args:
        tokens: (G, M, N, D), normalised over channels, of G groups of blocks, M images and N places.
    """

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.tokens: Tensor
        self.register_buffer("tokens", F.normalize(tokens.float(), dim=-1), persistent=False)

    def forward(self, found: Decoded) -> Tensor:
        """Maps (B, 2 * G, H, W) of the encoder's tokens: 1 - the largest cosine similarity, anywhere, then there."""
        wanted = F.normalize(found.encoded, dim=-1)  # (B, G, N, D)
        anywhere = torch.stack(
            [
                (wanted[:, group] @ known.flatten(0, 1).T).amax(dim=-1)  # (B, N), of M * N tokens
                for group, known in enumerate(self.tokens)
            ],
            dim=1,
        )
        there = torch.einsum("bgnd,gmnd->bgnm", wanted, self.tokens).amax(dim=-1)  # (B, G, N)
        return on_image(1 - torch.cat([anywhere, there], dim=1), tuple(found.image.shape[-2:]))


class Normals:
    """Statistics and tokens of normal images, as one file.

    Args:
        maps: statistics of the maps of held-out normals; `all` of them, and one by number for each fold without it.
        tokens: (G, M, N, D), normalised over channels, of training images; None where the score compares with none.
    """

    def __init__(self, maps: dict[str, StandardMaps], tokens: Tensor | None = None) -> None:
        self.maps, self.tokens = maps, tokens

    @classmethod
    def of(
        cls, maps: Tensor, patients: Sequence[str], position: Tensor | None = None, tokens: Tensor | None = None
    ) -> Normals:
        """Statistics of held-out normal maps.

        Args:
            maps: (N, L, h, w).
            patients: of each.
            position: (N,) along the stack, in [0, 1]; None of images without one.
            tokens: (G, M, N, D) of training images, to keep beside them.

        Raises:
            ValueError: of fewer than two maps.
        """
        folds = torch.tensor([fold_of(patient) for patient in patients])
        found = {ALL: StandardMaps.of(maps, position)}
        for fold in range(FOLDS):
            others = folds != fold
            # of a single patient nothing is left without it: its own then
            kept = others if int(others.sum()) > 1 else torch.ones_like(others)
            found[str(fold)] = StandardMaps.of(maps[kept], None if position is None else position[kept])
        return cls(found, tokens)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        values = {} if self.tokens is None else {TOKENS: self.tokens.half().contiguous()}
        for name, maps in self.maps.items():
            values |= {f"{LOCATION}.{name}": maps.location.contiguous(), f"{SPREAD}.{name}": maps.spread.contiguous()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            save_file({name: value.cpu() for name, value in values.items()}, partial)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Normals:
        """
        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged or holds something else.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: expected the statistics of normal scans of this model, got no such file")
        try:
            with safe_open(path, framework="pt") as file:
                values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            names = [name.removeprefix(f"{LOCATION}.") for name in values if name.startswith(f"{LOCATION}.")]
            maps = {name: StandardMaps(values[f"{LOCATION}.{name}"], values[f"{SPREAD}.{name}"]) for name in names}
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: expected statistics of normal scans, got another file ({error})") from error
        return cls(maps, values.get(TOKENS))

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
MOST_TOKENS = 48_000
"""Tokens of normal images that others are compared with, of each group of blocks."""
DIRECTIONS = 128
"""Most directions of tokens that are compared: those in which normal tokens lie, so that products stay the same."""
PART = 12_000  # tokens compared with at a time
NEAR = 0.2  # of the stack: slices farther along it show other anatomy, and are not compared with
LOCATION, SPREAD, TOKENS, BASIS, PLACES = "location", "spread", "tokens", "directions", "places"


def fold_of(patient: str) -> int:
    """Part that a patient belongs to, by the name alone.

    >>> fold_of("P-1") == fold_of("P-1"), 0 <= fold_of("P-2") < FOLDS
    (True, True)
    """
    return sha256(patient.encode("utf-8", "surrogatepass")).digest()[0] % FOLDS


class NearestTokens(nn.Module):
    """Distance of each token to the nearest one of normal images: anywhere in them, and at the same place.

    Anywhere as PatchCore (Roth et al. 2022), at the same place as anatomy allows where images are aligned. A slice is
    compared with those that lie near its place along the stack.

    Args:
        tokens: (G, M, N, D), normalised over channels, of G groups of blocks, M images and N places; with directions
            their parts in these, (G, M, N, d).
        directions: (G, D, d), orthonormal columns; None compares tokens as they are.
        places: (M,) of the images along their stack, in [0, 1]; None of images without one.

    Raises:
        ValueError: for shapes that do not fit together.
    """

    def __init__(self, tokens: Tensor, directions: Tensor | None = None, places: Tensor | None = None) -> None:
        super().__init__()
        self.tokens: Tensor
        self.directions: Tensor | None
        self.places: Tensor | None
        if directions is not None and (len(directions), directions.shape[-1]) != (len(tokens), tokens.shape[-1]):
            raise ValueError(
                f"expected directions (G, D, d) of tokens (G, M, N, d), got {tuple(directions.shape)} and "
                f"{tuple(tokens.shape)}"
            )
        if places is not None and places.shape != tokens.shape[1:2]:
            raise ValueError(
                f"expected places (M,) of tokens (G, M, N, d), got {tuple(places.shape)} and {tuple(tokens.shape)}"
            )
        known = F.normalize(tokens.float(), dim=-1) if directions is None else tokens.float()
        self.register_buffer("tokens", known, persistent=False)
        self.register_buffer("directions", None if directions is None else directions.float(), persistent=False)
        self.register_buffer("places", None if places is None else places.float(), persistent=False)

    @classmethod
    def of(cls, tokens: Tensor, places: Tensor | None = None) -> NearestTokens:
        """Of tokens (G, M, N, D), normalised over channels, the `DIRECTIONS` in which most of them lies.

        Known tokens lie in these, so a product of any token with them is the whole one's: what is unlike all normal
        tokens stays far from them.
        """
        if tokens.shape[-1] <= DIRECTIONS:
            return cls(tokens, None, places)
        known = F.normalize(tokens.float(), dim=-1)
        flat = known.flatten(1, 2)  # (G, M * N, D)
        vectors = torch.linalg.eigh(flat.transpose(1, 2) @ flat)[1]  # (G, D, D), by rising value
        directions = vectors[..., -DIRECTIONS:].contiguous()
        return cls(torch.einsum("gmnd,gde->gmne", known, directions), directions, places)

    def forward(self, found: Decoded, position: Tensor | None = None) -> Tensor:
        """Maps of the encoder's tokens: 1 - the largest cosine similarity, anywhere, then at the same place.

        Args:
            found: of B images.
            position: (B,) of slices along their stack, in [0, 1]; None for the middle.

        Returns:
            (B, 2 * G, H, W).
        """
        wanted = F.normalize(found.encoded, dim=-1)  # (B, G, N, D)
        if self.directions is not None:
            wanted = torch.einsum("bgnd,gde->bgne", wanted, self.directions)
        far = self._far(wanted, position)  # (B, M)
        anywhere = torch.stack(
            [self._anywhere(wanted[:, group], known, far) for group, known in enumerate(self.tokens)], dim=1
        )
        there = torch.einsum("bgnd,gmnd->bgnm", wanted, self.tokens) - far[:, None, None]
        nearest = torch.cat([anywhere, there.amax(dim=-1)], dim=1)  # (B, 2 * G, N)
        return on_image(1 - nearest, tuple(found.image.shape[-2:]))

    def _far(self, wanted: Tensor, position: Tensor | None) -> Tensor:
        """More than any two cosines differ by for images that are too far along the stack, 0 for the others: (B, M)."""
        if self.places is None:
            return wanted.new_zeros(len(wanted), self.tokens.shape[1])
        where = wanted.new_full((len(wanted),), 0.5) if position is None else position.to(wanted)
        gap = (where[:, None] - self.places).abs()
        # the nearest one is compared with, however far it is
        return 4.0 * (gap > gap.amin(dim=1, keepdim=True).clamp_min(NEAR)).to(wanted.dtype)

    def _anywhere(self, wanted: Tensor, known: Tensor, far: Tensor) -> Tensor:
        """wanted (B, N, d), known (M, N, d), far (B, M) -> (B, N), the largest of M * N products, some at a time."""
        images = max(1, PART // known.shape[1])
        largest = []
        for part, apart in zip(known.split(images), far.split(images, dim=1), strict=True):
            products = (wanted @ part.flatten(0, 1).T).unflatten(-1, part.shape[:2])  # (B, N, m, N)
            largest.append((products.amax(dim=-1) - apart[:, None]).amax(dim=-1))
        return torch.stack(largest).amax(dim=0)


class Normals:
    """Statistics and tokens of normal images, as one file.

    Args:
        maps: statistics of the maps of held-out normals; `all` of them, and one by number for each fold without it.
        neighbours: tokens of training images; None where the score compares with none.
    """

    def __init__(self, maps: dict[str, StandardMaps], neighbours: NearestTokens | None = None) -> None:
        self.maps, self.neighbours = maps, neighbours

    @classmethod
    def of(cls, maps: Tensor, patients: Sequence[str], position: Tensor | None = None) -> Normals:
        """Statistics of held-out normal maps.

        Args:
            maps: (N, L, h, w).
            patients: of each.
            position: (N,) along the stack, in [0, 1]; None of images without one.

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
        return cls(found)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        values: dict[str, Tensor] = {}
        if self.neighbours is not None:
            values[TOKENS] = self.neighbours.tokens.half().contiguous()
            if self.neighbours.directions is not None:
                values[BASIS] = self.neighbours.directions.contiguous()
            if self.neighbours.places is not None:
                values[PLACES] = self.neighbours.places.contiguous()
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
            known = values.get(TOKENS)
            neighbours = None if known is None else NearestTokens(known, values.get(BASIS), values.get(PLACES))
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: expected statistics of normal scans, got another file ({error})") from error
        return cls(maps, neighbours)

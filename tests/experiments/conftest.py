"""A small set of 2D images in BMAD's layout, and small random stand-ins for the frozen networks of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image
from torch import nn

from qfae_monai.weights import CATALOGUE, save_checkpoint

SMALL = {"embed_dim": 16, "num_heads": 2}
"""Depth, patch size, prefix tokens and native image size stay each network's own."""

make = timm.create_model


def make_small(name: str, **arguments: Any) -> nn.Module:
    """`timm.create_model`, narrower."""
    return make(name, **{**arguments, **SMALL})


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in BMAD's folders, a bright square in the abnormal ones."""
    folder = tmp_path_factory.mktemp("bmad")
    rng = np.random.default_rng(0)
    for split, kind, count in (("train", "good", 2), ("valid", "good", 1), ("test", "good", 1), ("test", "Ungood", 1)):
        for number in range(count):
            pixels = rng.integers(20, 200, (48, 48)).astype(np.uint8)
            mask = np.zeros_like(pixels)
            mask[10:20, 10:20] = 255 * (kind == "Ungood")
            for part, content in (("img", np.maximum(pixels, mask)), ("label", mask)):
                if part == "img" or split == "test":
                    path = folder / split / kind / part / f"{kind}-{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(content).save(path)
    return folder


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights folder: each frozen network of the catalogue under its name, random and 16 channels wide."""
    folder = tmp_path_factory.mktemp("weights")
    for entry in CATALOGUE:
        if entry.published_at is None:
            save_checkpoint(folder / f"{entry.name}.safetensors", make_small(entry.name, num_classes=0).state_dict())
    return folder


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network that is built is a stand-in."""
    monkeypatch.setattr(timm, "create_model", make_small)

"""Model folders without a training: a network as it was built, written as a training writes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import ModelFolder
from qfae_monai.model.writer import write_model


def make_model(folder: Path, *overlays: str, include_weights: bool | None = None, **settings: Any) -> ModelFolder:
    """Write a model folder of the smallest preset from train and overlays."""
    bundle = Bundle(["train", *overlays], {"preset": "tiny", "slice_axis": 2, "model_dir": str(folder), **settings})
    torch.manual_seed(1)
    network, perceptual = bundle.part("network_def"), bundle.part("perceptual_trunk")
    return write_model(folder, bundle.config, network, perceptual, include_weights=include_weights)


@pytest.fixture(scope="session")
def phantom_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read it, write nothing into it."""
    return make_model(tmp_path_factory.mktemp("written") / "model", "datasets/phantoms").path


@pytest.fixture
def copied(phantom_model: Path, tmp_path: Path) -> Path:
    """A model folder that a test may spoil."""
    return shutil.copytree(phantom_model, tmp_path / "model")


@pytest.fixture
def edit() -> Callable[[Path, str, str], None]:
    """Replace a text that stands once in a file."""

    def replace(path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert text.count(old) == 1, (path, old)
        path.write_text(text.replace(old, new))

    return replace

"""The card knows how to make the network, and whose licence binds it: that of the very first weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.pretraining import model_card, own_networks, read_card
from qfae_monai.pretraining.review import Survey
from qfae_monai.weights import create_vit, save_checkpoint
from qfae_monai.weights.checkpoints import CARD_KEY
from tests.pretraining.conftest import small_trunk

NAME = "vit_tiny_patch16_224"


def card(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "data": Survey(3, "abc", {"8 x 8": 3}),
        "initial_weights": None,
        "settings": {"seed": 1},
        "epochs": {"done": 2, "planned": 3},
        "last": {"epoch": 2},
    }
    return model_card("mae", changes.pop("name", NAME), small_trunk(), **{**arguments, **changes})


def test_a_card_makes_the_network_that_the_weights_fit(tmp_path: Path) -> None:
    path = tmp_path / "mae.safetensors"
    save_checkpoint(path, small_trunk().state_dict(), metadata={CARD_KEY: json.dumps(card())})
    found = read_card(path)
    assert found is not None
    assert found["data"] == {"images": 3, "sha256": "abc", "sizes": {"8 x 8": 3}}
    numbers = own_networks(path, path)
    for arguments in ({**found["create_vit"], "weights": path}, {**numbers["encoder"], "image_size": 32}):
        network = create_vit(**arguments)
        assert all(torch.equal(value, network.state_dict()[key]) for key, value in small_trunk().state_dict().items())
    assert create_vit(**numbers["perceptual"], image_size=64).patch_embed.grid_size == (8, 8)


def test_a_licence_is_handed_on_over_two_trainings(tmp_path: Path) -> None:
    public, own = tmp_path / "public.safetensors", tmp_path / "own.safetensors"
    save_checkpoint(public, {"a": torch.zeros(1)})
    first = card(name="vit_base_patch16_224.mae", initial_weights=public)
    assert first["licence"].startswith("CC BY-NC 4.0")
    assert first["started_from"]["file"] == "public.safetensors"
    save_checkpoint(own, {"a": torch.zeros(1)}, metadata={CARD_KEY: json.dumps(first)})
    assert card(initial_weights=own)["licence"] == first["licence"]


def test_a_start_from_scratch_is_its_owners_and_an_unknown_file_is_unknown(tmp_path: Path) -> None:
    assert card()["licence"].startswith("that of whoever trained it")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    assert card(initial_weights=tmp_path / "other.pt")["licence"].startswith("unknown")


def test_a_network_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pretrain_mae or pretrain_dino"):
        own_networks(tmp_path / "mae.safetensors", tmp_path / "mae.safetensors")
    save_checkpoint(tmp_path / "other.safetensors", small_trunk().state_dict())
    with pytest.raises(ValueError, match="expected weights with a card"):
        own_networks(tmp_path / "other.safetensors", tmp_path / "other.safetensors")


def test_only_safetensors_hold_a_card(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="alone holds metadata"):
        save_checkpoint(tmp_path / "x.pt", {"a": torch.zeros(1)}, metadata={"a": "b"})
    assert not list(tmp_path.iterdir())

"""Frozen networks to choose between: overlays from model cards, and what is no network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qfae_monai.experiments.frozen import Role, built_in, parse_network, read_architecture
from qfae_monai.model.presets import MODELS
from qfae_monai.weights import save_checkpoint
from tests.experiments.own_weights import ARCHITECTURE, write_own


def test_encoder_is_made_as_its_card_says(tmp_path: Path) -> None:
    path = write_own(tmp_path / "fold-0" / "dino.safetensors", seed=1)
    network = parse_network(f"dino={tmp_path}/{{fold}}/dino.safetensors", "encoder")
    found = network.settings("fold-0")
    assert found["changes::encoder"] == {**ARCHITECTURE, "weights": str(path)}
    assert found["changes::encoder_blocks"] == [-2]
    assert found["_encoder_"].startswith("dino.safetensors, ")
    assert network.in_house
    with pytest.raises(FileNotFoundError, match=r"--encoder dino: .*fold-1/dino\.safetensors"):
        network.settings("fold-1")


def test_perceptual_network_takes_its_blocks_at_the_papers_depths(tmp_path: Path) -> None:
    path = write_own(tmp_path / "mae.safetensors", seed=1)
    found = parse_network(f"mae={path}", "perceptual").settings("any")
    numbers = [found[f"changes::{name}"] for name in ("loss_blocks", "score_blocks", "metric")]
    assert numbers == [[2], [1, 2], "cosine"]
    assert found["changes::perceptual"]["weights"] == str(path)


def test_untrained_twin_has_the_architecture_and_no_weights(tmp_path: Path) -> None:
    path = write_own(tmp_path / "mae.safetensors", seed=1)
    network = parse_network(f"twin=random:{path}", "encoder")
    found = network.settings("any")
    assert found["changes::encoder"] == {**ARCHITECTURE, "seed": 7, "positions": "sincos"}
    assert not network.in_house


def test_overlay_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"changes::encoder": {"name": "x"}, "changes::encoder_blocks": [-1]}))
    assert parse_network(f"other={path}", "encoder").settings("any") == json.loads(path.read_text())
    with pytest.raises(ValueError, match=r"other\.json: expected an overlay with changes::perceptual"):
        parse_network(f"other={path}", "perceptual").settings("any")


def test_card_inside_the_file_will_do(tmp_path: Path) -> None:
    path = write_own(tmp_path / "dino.safetensors", seed=1, inside=True)
    assert not path.with_suffix(".json").exists()
    assert read_architecture(path) == ARCHITECTURE


def test_missing_card_and_card_without_architecture_are_refused(tmp_path: Path) -> None:
    path = write_own(tmp_path / "dino.safetensors", seed=1)
    card = path.with_suffix(".json")
    card.write_text(json.dumps({"create_vit": {key: ARCHITECTURE[key] for key in ARCHITECTURE if key != "depth"}}))
    with pytest.raises(ValueError, match=r"dino\.json: .*create_vit: .* missing depth"):
        read_architecture(path)
    card.unlink()
    with pytest.raises(FileNotFoundError, match=r"model card beside it, dino\.json"):
        read_architecture(path)


@pytest.mark.parametrize("text", ["dino", "=file", "dino=", "a b=file", "random=file", "public=file"])
def test_what_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--encoder: expected NAME=FILE"):
        parse_network(text, "encoder")


@pytest.mark.parametrize("role", ["encoder", "perceptual"])
def test_public_weights_are_a_choice_where_they_are(role: Role, stand_ins: Path, tmp_path: Path) -> None:
    assert [one.settings("any") for one in built_in(["train"], role, {"preset": "tiny"})] == [{}]  # seeded already
    (unfilled,) = built_in(["train"], role, {"preset": "small", "weights_dir": str(tmp_path)})
    trunk = unfilled.settings("any")[f"changes::{role}"]
    seed = 7 if role == "encoder" else 11
    assert trunk == {"name": MODELS["small"][role]["name"], "seed": seed, "positions": "sincos"}
    found = built_in(["train"], role, {"preset": "small", "weights_dir": str(stand_ins)})
    assert [one.name for one in found] == ["random", "public"]
    assert not any(one.in_house for one in found)


def test_weights_file_of_another_format_has_no_card(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "dino.pt", {})
    with pytest.raises(FileNotFoundError, match=r"dino\.json, got none"):
        read_architecture(tmp_path / "dino.pt")

"""Rules of a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from qfae_monai.model.frozen import network_changes
from qfae_monai.model.plan import Plan
from qfae_monai.model.planning import make_plan
from qfae_monai.model.split import split
from qfae_monai.weights.checkpoints import CARD_KEY
from tests.model.made_up import found, scan

SMALL = "vit_small_patch14_dinov2.lvd142m"
PAPER = ("vit_large_patch14_reg4_dinov2.lvd142m", "vit_large_patch16_224.mae")


def plan(*, weights: tuple[Path, ...] = (), memory: float | None = None, **of_scans: Any) -> Plan:
    scans = found(*[scan(f"n{number}", **of_scans) for number in range(10)])
    return make_plan(scans, split(scans), device_memory=memory, cores=2, weights_dirs=weights)


@pytest.mark.parametrize(("plane", "axis", "flip"), [(0, 0, 0.0), (1, 1, 0.5), (2, 2, 0.5), (None, 2, 0.5)])
def test_the_plane_of_acquisition_is_cut(plane: int | None, axis: int, flip: float) -> None:
    made = plan(plane=plane)
    assert (made.axis, made.flip) == (axis, flip)


@pytest.mark.parametrize(
    ("of_scans", "intensity", "levels"),
    [
        ({"modality": "CT"}, "window", [-200, 250]),
        ({"modality": "MR"}, "foreground", [0.5, 99.5]),
        ({"modality": ""}, "foreground", [0.5, 99.5]),
        ({"modality": "OPT"}, "image", [0.5, 99.5]),
        ({"kind": "image", "modality": ""}, "image", [0.5, 99.5]),
    ],
)
def test_intensity_by_modality(of_scans: dict[str, Any], intensity: str, levels: list[float]) -> None:
    made = plan(**of_scans)
    assert (made.intensity, made.levels) == (intensity, levels)


def test_without_weights_a_warning_says_what_to_do() -> None:
    made = plan()
    assert (made.preset, made.encoder, made.perceptual) == ("tiny_tokens", "random", "none")
    assert (made.image_size, made.score) == (64, "chosen")
    assert "detection is weak" in made.warnings[0]
    assert "qfae pretrain" in made.warnings[0]


def test_the_best_pair_that_fits_the_device(tmp_path: Path) -> None:
    for name in (SMALL, *PAPER):
        (tmp_path / f"{name}.safetensors").touch()
    made = plan(weights=(tmp_path / "none", tmp_path))
    assert (made.encoder, made.image_size, made.batch_size) == (SMALL, 224, 16)
    assert "paper needs a GPU of 24 GB, there is no GPU" in made.why["preset"]
    assert (made.preset, made.perceptual, made.score) == ("dinov2_small", "none", "chosen")
    large = plan(weights=(tmp_path,), memory=80e9)
    assert (large.preset, large.encoder) == ("paper", PAPER[0])
    assert large.settings()["changes"] == {"image_size": 224, "score_over_pixels": "max"}
    assert (large.score, large.views) == ("preset", None)  # as published


def test_tokens_of_a_small_encoder_are_decoded_from_kept_views(tmp_path: Path) -> None:
    (tmp_path / f"{SMALL}.safetensors").touch()
    made = plan(weights=(tmp_path,))
    settings = made.settings()
    assert settings["changes"] == {"image_size": 224, "score_over_pixels": "mean"}
    assert (settings["preset"], settings["weights_dir"]) == ("dinov2_small", str(tmp_path))
    assert settings["score_fit::choose"] is True
    assert made.views == 4  # of 100 images; of thousands fewer


def test_another_encoder_can_be_decoded(tmp_path: Path) -> None:
    changes = network_changes("dinov2_small", "vit_base_patch14_dinov2.lvd142m", "none", tmp_path, 168)
    assert changes["encoder"] == {"name": "vit_base_patch14_dinov2.lvd142m", "weights": str(tmp_path)}
    with pytest.raises(ValueError, match="image_size: expected a multiple of 14"):
        network_changes("dinov2_small", SMALL, "none", tmp_path, 100)
    with pytest.raises(ValueError, match="encoder: expected another than random with preset dinov2_small"):
        network_changes("dinov2_small", "random", "none", None, 224)
    with pytest.raises(ValueError, match="perceptual: expected none with preset dinov2_small, got"):
        network_changes("dinov2_small", SMALL, SMALL, tmp_path, 224)


def test_pixels_are_decoded_from_normalised_tokens_of_a_public_encoder(tmp_path: Path) -> None:
    in_house(tmp_path, "mae.safetensors", 0.7)
    in_house(tmp_path, "dino.safetensors", 0.7)
    assert network_changes("tiny", SMALL, SMALL, tmp_path, 112)["encoder_norm"]
    assert not network_changes("tiny", "in-house", "in-house", tmp_path, 64)["encoder_norm"]
    assert "encoder_norm" not in network_changes("small", SMALL, SMALL, tmp_path, 224)  # as published


def in_house(folder: Path, name: str, auroc: float | None, **sizes: int) -> None:
    """A file with a card, as pretraining writes it."""
    made = {"name": "vit_tiny_patch16_224", "image_size": 64, "patch_size": 8, "embed_dim": 128, "num_heads": 4}
    card = {"create_vit": made | {"depth": 4} | sizes, "judgement": {"summary": "", "auroc": auroc}}
    save_file({"x": torch.zeros(1)}, folder / name, metadata={CARD_KEY: json.dumps(card)})


@pytest.mark.parametrize(("mae", "dino", "taken"), [(0.7, 0.6, "mae"), (0.6, 0.7, "dino"), (None, 0.1, "dino")])
def test_in_house_the_better_judged_encoders_tokens_are_decoded(
    tmp_path: Path, mae: float | None, dino: float, taken: str
) -> None:
    in_house(tmp_path, "mae.safetensors", mae, image_size=48 if taken == "mae" else 64)
    in_house(tmp_path, "dino.safetensors", dino, image_size=48 if taken == "dino" else 64)
    made = plan(weights=(tmp_path,))
    assert (made.preset, made.encoder, made.perceptual) == ("tiny_tokens", "in-house", "none")
    assert (made.image_size, made.score_over_pixels) == (48, "mean")
    changes = made.settings()["changes"]
    assert changes["encoder"]["weights"] == str(tmp_path / f"{taken}.safetensors")
    assert changes["target_blocks"] == [[0], [1], [2], [3]]
    assert changes["encoder_blocks"] == [-2]
    assert "a random one" in made.warnings[0]


def test_one_in_house_network_is_enough_for_tokens(tmp_path: Path) -> None:
    in_house(tmp_path, "mae.safetensors", 0.7)
    assert plan(weights=(tmp_path,)).encoder == "in-house"
    with pytest.raises(FileNotFoundError, match=r"dino\.safetensors: expected weights that `qfae pretrain` wrote"):
        network_changes("tiny", "in-house", "in-house", tmp_path, 64)
    (tmp_path / "mae.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected dino\.safetensors or mae\.safetensors, got neither"):
        network_changes("tiny_tokens", "in-house", "none", tmp_path, 64)


def test_epochs_are_a_budget_of_images() -> None:
    scans = found(*[scan(f"n{number}") for number in range(10)])  # 5 train, of 20 slices
    assert make_plan(scans, split(scans), images=1000).epochs == 10

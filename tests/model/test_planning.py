"""Rules of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qfae_monai.model.plan import Plan
from qfae_monai.model.planning import make_plan
from qfae_monai.model.split import split
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
    assert (made.preset, made.encoder, made.image_size) == ("tiny", "random", 64)
    assert "detection is weak" in made.warnings[0]
    assert "qfae pretrain" in made.warnings[0]


def test_the_best_pair_that_fits_the_device(tmp_path: Path) -> None:
    for name in (SMALL, *PAPER):
        (tmp_path / f"{name}.safetensors").touch()
    made = plan(weights=(tmp_path / "none", tmp_path))
    assert (made.encoder, made.image_size, made.batch_size) == (SMALL, 112, 16)
    assert "paper needs a GPU of 24 GB, there is no GPU" in made.why["preset"]
    assert plan(weights=(tmp_path,), memory=8e9, side=256).image_size == 224
    assert plan(weights=(tmp_path,), memory=8e9, side=64).image_size == 112
    large = plan(weights=(tmp_path,), memory=80e9)
    assert (large.preset, large.encoder) == ("paper", PAPER[0])
    assert large.settings()["changes"] == {"image_size": 224, "score_over_pixels": "max"}


def test_a_small_pretrained_pair_has_the_measured_sizes(tmp_path: Path) -> None:
    (tmp_path / f"{SMALL}.safetensors").touch()
    changes = plan(weights=(tmp_path,)).settings()["changes"]
    assert changes["encoder"] == {"name": SMALL, "weights": str(tmp_path)}
    assert (changes["encoder_blocks"], changes["loss_blocks"], changes["score_blocks"]) == ([-2, -4], [7, 9], [5, 7, 9])
    assert (changes["loss_patch_sizes"], changes["score_patch_sizes"]) == ([28, 56], [14, 28])
    assert (changes["dim"], changes["grid"], changes["metric"]) == (192, 7, "cosine")


def test_epochs_are_a_budget_of_images() -> None:
    scans = found(*[scan(f"n{number}") for number in range(10)])  # 5 train, of 20 slices
    assert make_plan(scans, split(scans), images=1000).epochs == 10

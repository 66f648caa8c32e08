"""Fit of the score to held-out normal scans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qfae_monai.anomaly import NormalImages, Normals
from qfae_monai.model import ScoreFit, create_distance, create_qfae, create_scorer, model_settings
from qfae_monai.model.folder import NORMALS
from qfae_monai.model.presets import score_layers
from qfae_monai.networks.grey import MEAN, STD

SIDE = 32
SEEDED = {"name": "vit_tiny_patch16_224", "patch_size": 8, "depth": 3, "num_heads": 2, "embed_dim": 32, "seed": 1}
CHANGES = {"image_size": SIDE, "encoder": SEEDED, "encoder_blocks": [1], "target_blocks": [[0], [1]], "dim": 32}
TOKENS = model_settings("dinov2_small", {**CHANGES, "queries": 3, "decoder_heads": 2, "decoder_depth": 1})


def heads(count: int, patients: int | None = None, grey: float = 0.5) -> list[dict[str, Any]]:
    """Textured discs in a black background, normalised."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    disc = np.hypot(y, x) < SIDE // 3
    draw = np.random.default_rng(0)
    images = [(grey * (0.8 + 0.4 * draw.random((SIDE, SIDE))) * disc - MEAN) / STD for _ in range(count)]
    return [
        {"image": torch.tensor(image, dtype=torch.float32)[None], "patient": f"P{number % (patients or count)}"}
        for number, image in enumerate(images)
    ]


def fit(folder: Path, settings: dict[str, Any] = TOKENS, *, choose: bool = True, **of_heads: Any) -> ScoreFit:
    torch.manual_seed(0)
    network = create_qfae(settings)
    reference = NormalImages(lambda: heads(12))  # type: ignore[arg-type, return-value]
    network.fit_target(lambda: reference.images)
    made = ScoreFit(
        network,
        settings,
        create_distance(settings, "score"),
        folder=str(folder),
        reference=reference,
        held_out=NormalImages(lambda: heads(**{"count": 12, **of_heads})),  # type: ignore[arg-type, return-value]
        choose=choose,
        device=torch.device("cpu"),
    )
    made()
    return made


def test_what_is_chosen_builds_a_scorer_from_the_file(tmp_path: Path) -> None:
    made = fit(tmp_path)
    assert set(made.chosen) == {
        "score_layers",
        "score_standardised",
        "score_over_pixels",
        "score_share",
        "score_body",
        "score_neighbours",
    }
    assert made.synthetic is not None
    assert 0.5 < made.synthetic["auroc"] <= 1
    json.dumps(made.record())
    settings = {**TOKENS, **made.chosen}
    scorer = create_scorer(settings, normals=tmp_path / NORMALS)
    images = torch.stack([item["image"] for item in heads(4)])
    found = scorer(images, made.network(images))
    assert found.anomaly_map.shape == (4, 1, SIDE, SIDE)
    assert torch.isfinite(found.score).all()


def test_without_a_choice_the_presets_score_is_fitted(tmp_path: Path) -> None:
    made = fit(tmp_path, choose=False)
    assert made.record() is None
    read = Normals.load(tmp_path / NORMALS)
    assert read.maps["all"].location.shape[1] == 4  # two groups, neighbours of two kinds
    assert read.neighbours is not None
    assert read.neighbours.tokens.shape == (2, 12, 16, 32)


@pytest.mark.parametrize(("changes", "maps"), [({"score_layers": None}, 6), ({"score_neighbours": False}, 2)])
def test_the_reconstruction_is_scored_where_it_is_asked_for(
    tmp_path: Path, changes: dict[str, object], maps: int
) -> None:
    settings = {**TOKENS, **changes}
    made = fit(tmp_path, settings, choose=False)
    read = Normals.load(tmp_path / NORMALS)
    assert read.maps["all"].location.shape[1] == maps
    images = torch.stack([item["image"] for item in heads(4)])
    found = create_scorer(settings, normals=read)(images, made.network(images))
    assert torch.isfinite(found.score).all()


def test_another_word_for_the_maps_of_a_score_is_refused() -> None:
    with pytest.raises(ValueError, match="score_layers: expected numbers of maps, 'neighbours' or null, got 'all'"):
        score_layers({**TOKENS, "score_layers": "all"})


@pytest.mark.parametrize(("patients", "chooses"), [(4, False), (5, True)])
def test_a_score_is_not_chosen_by_few_patients(tmp_path: Path, patients: int, chooses: bool) -> None:
    made = fit(tmp_path, patients=patients)
    assert bool(made.chosen) == chooses
    told = any("at least 5 patients, got those of 4; it is the preset's" in one for one in made.warnings)
    assert told != chooses
    assert (tmp_path / NORMALS).is_file()


def test_the_papers_score_needs_no_file(tmp_path: Path) -> None:
    file = tmp_path / NORMALS
    file.parent.mkdir()
    file.write_bytes(b"of an earlier model in this folder")
    plain = {**TOKENS, "score_standardised": False, "score_neighbours": False}
    assert fit(tmp_path, plain, choose=False).chosen == {}
    assert not file.exists()


def test_thresholds_of_one_patient_are_told_to_be_too_low(tmp_path: Path) -> None:
    made = fit(tmp_path, choose=False, patients=1)
    assert "standardised by the same held-out patients whose scans give the thresholds" in made.warnings[0]


def test_few_held_out_images_standardise_nothing(tmp_path: Path) -> None:
    made = fit(tmp_path, count=3)
    assert made.chosen == {"score_standardised": False}
    assert "expected at least 10 held-out images, got 3" in made.warnings[0]
    assert Normals.load(tmp_path / NORMALS).maps == {}
    create_scorer({**TOKENS, **made.chosen}, normals=tmp_path / NORMALS)


def test_images_without_a_body_keep_the_presets_score(tmp_path: Path) -> None:
    made = fit(tmp_path, grey=0.0)
    assert made.chosen == {}
    assert "expected a body to paint them into, got none in 12 held-out images" in made.warnings[0]


def test_pixels_are_scored_so_too(tmp_path: Path) -> None:
    settings = model_settings("tiny")
    images = [
        {"image": torch.nn.functional.interpolate(item["image"][None], (64, 64))[0], "patient": item["patient"]}
        for item in heads(12)
    ]
    normal = NormalImages(lambda: images)  # type: ignore[arg-type, return-value]
    made = ScoreFit(
        create_qfae(settings),
        settings,
        create_distance(settings, "score"),
        folder=str(tmp_path),
        reference=normal,
        held_out=normal,
        choose=True,
        device=torch.device("cpu"),
    )
    made()
    assert made.chosen["score_layers"] == [0]


def test_settings_that_ask_for_normals_need_them(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="normals: expected the file of what the score knows of normal scans, got none"
    ):
        create_scorer(TOKENS)
    with pytest.raises(FileNotFoundError, match="expected the statistics of normal scans"):
        create_scorer(TOKENS, normals=tmp_path / "none.safetensors")
    Normals({}).save(tmp_path / "empty.safetensors")
    with pytest.raises(ValueError, match="expected tokens of normal images to compare with, got none"):
        create_scorer(TOKENS, normals=tmp_path / "empty.safetensors")

"""What is exported is the checkpoint's network or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.export import read_source
from qfae_monai.networks import QFAE
from qfae_monai.scoring import fingerprint
from qfae_monai.weights import save_checkpoint
from tests.export.checkpoints import BUNDLE, PAPER_LIKE, TINY, make_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("source") / "model.pt", TINY)


def test_record_names_checkpoint_and_settings(checkpoint: Path) -> None:
    record = read_source(BUNDLE, checkpoint, preset="tiny", settings={"score_over_pixels": "mean"}).record
    assert record.checkpoint_sha256 == fingerprint(checkpoint)
    assert (record.graph, record.image_size) == ("detector", 64)
    assert record.settings["score_over_pixels"] == "mean"
    assert "slice_axis" not in record.settings  # a matter of use, not of the graph
    assert record.differing_settings({**record.settings, "slice_axis": 0}) == []
    assert record.differing_settings({**record.settings, "metric": "cosine"}) == ["metric: expected cosine, got l2"]


def test_weights_are_the_checkpoints(checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)["model"]
    found = read_source(BUNDLE, checkpoint, "reconstruction", preset="tiny").module.state_dict()
    assert all(torch.equal(found[name], saved[name]) for name in saved)


def test_half_precision_of_this_machine_stays_out(checkpoint: Path) -> None:
    source = read_source(BUNDLE, checkpoint, preset="tiny", settings={"precision": "bfloat16", "compile": True})
    network = source.module.get_submodule("network")
    assert isinstance(network, QFAE)
    assert network.precision == "float32"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ({"graph": "map"}, {}, "graph must be one of"),
        ({"preset": "huge"}, {}, r"presets/huge\.json"),
        ({}, {"score_block": [1]}, "got 'score_block'"),
        ({}, PAPER_LIKE, "does not fit QFAE"),
    ],
)
def test_what_does_not_fit_is_refused(
    checkpoint: Path, arguments: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_source(BUNDLE, checkpoint, **{"preset": "tiny", **arguments}, settings=settings)


def test_a_missing_or_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.pt"):
        read_source(BUNDLE, tmp_path / "model.pt", preset="tiny")
    (tmp_path / "model.pt").write_bytes(b"half of a file")
    with pytest.raises(ValueError, match=r"model\.pt.*damaged"):
        read_source(BUNDLE, tmp_path / "model.pt", preset="tiny")
    state = torch.load(make_checkpoint(tmp_path / "whole.pt", TINY), weights_only=True)["model"]
    state["decoder.prediction.bias"][0] = torch.nan
    save_checkpoint(tmp_path / "nan.pt", {"model": state})
    with pytest.raises(ValueError, match="NaN"):
        read_source(BUNDLE, tmp_path / "nan.pt", preset="tiny")


def test_missing_perceptual_weights_are_an_error(checkpoint: Path, tmp_path: Path) -> None:
    settings = {"perceptual_trunk": {"_target_": "qfae_monai.weights.create_vit", "name": "vit_base_patch16_224.mae",
                                     "weights": "@weights_dir", "image_size": "@image_size"},
                "weights_dir": str(tmp_path)}  # fmt: skip
    with pytest.raises(FileNotFoundError, match=r"vit_base_patch16_224\.mae"):
        read_source(BUNDLE, checkpoint, preset="tiny", settings=settings)

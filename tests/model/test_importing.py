"""Checkpoints of earlier versions as model folders: the same scores, thresholds that fit, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai import load_model
from qfae_monai.files import sha256_of
from qfae_monai.model.folder import CALIBRATION, NETWORK, ModelFolder
from qfae_monai.model.importing import FORMER_NAMES, OF_DATA, import_checkpoint
from qfae_monai.weights import save_checkpoint

OVERLAYS = ["train", "datasets/phantoms"]
TINY = {"preset": "tiny"}
RELEASED = Path(__file__).parents[1] / "reference" / "data" / "caseA_model.safetensors"


@pytest.fixture
def former(model_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint as the first version wrote it, with its calibration beside it."""
    folder = tmp_path / "former"
    state = torch.load(model_folder / NETWORK, weights_only=True)
    save_checkpoint(folder / "model.pt", {"model": state})
    content = json.loads((model_folder / CALIBRATION).read_text())
    names = {now: then for then, now in FORMER_NAMES.items()}
    settings = {
        names.get(name, name.removeprefix("model::")): value
        for name, value in content["settings"].items()
        if name in OF_DATA or name in names or name in ("model::metric", "model::score_blocks", "model::image_size")
    }
    content.update(version=1, checkpoint=sha256_of(folder / "model.pt"), settings=settings)
    (folder / CALIBRATION).write_text(json.dumps(content))
    return folder / "model.pt"


def test_an_imported_model_scores_as_before_with_its_thresholds(
    former: Path, model_folder: Path, scans: Path, tmp_path: Path
) -> None:
    made = import_checkpoint(former, tmp_path / "model", OVERLAYS, TINY)
    made.check(list(made.files))
    scan = scans / "image" / "test-000.nii.gz"
    found, wanted = load_model(tmp_path / "model").predict(scan), load_model(model_folder).predict(scan)
    assert found.score == wanted.score
    assert found.p_value == wanted.p_value
    assert found.warnings == ()  # nothing is known of the training scans


def test_thresholds_of_other_settings_are_refused_by_name(former: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"calibration\.json: .*slice_range: \[3, 20\] then, None now"):
        import_checkpoint(former, tmp_path / "model", ["train"], TINY)
    with pytest.raises(ValueError, match=r"metric: l2 then, cosine now"):
        import_checkpoint(former, tmp_path / "model", OVERLAYS, {**TINY, "changes::metric": "cosine"})
    content = json.loads(former.with_name(CALIBRATION).read_text())
    former.with_name(CALIBRATION).write_text(json.dumps({**content, "checkpoint": "0" * 64}))
    with pytest.raises(ValueError, match=r"calibration\.json"):
        import_checkpoint(former, tmp_path / "model", OVERLAYS, TINY)
    assert not (tmp_path / "model").exists()


def test_without_thresholds_there_are_none(former: Path, tmp_path: Path) -> None:
    former.with_name(CALIBRATION).unlink()
    import_checkpoint(former, tmp_path / "model", OVERLAYS, TINY)
    assert CALIBRATION not in ModelFolder.open(tmp_path / "model").files
    assert load_model(tmp_path / "model").calibration is None


def test_what_does_not_fit_is_refused(former: Path, tmp_path: Path) -> None:
    cases: list[tuple[Path, dict[str, Any], str]] = [
        (former, {"preset": "huge"}, "preset: expected one of paper, small, dinov2_small, tiny, tiny_tokens"),
        (former, {**TINY, "changes::dim": 64}, "does not fit QFAE"),
        (RELEASED, TINY, "does not fit QFAE"),
    ]
    for checkpoint, settings, message in cases:
        with pytest.raises(ValueError, match=message):
            import_checkpoint(checkpoint, tmp_path / "model", OVERLAYS, settings)
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        import_checkpoint(tmp_path / "none.pt", tmp_path / "model", OVERLAYS, TINY)
    shutil.copy(former.with_name(CALIBRATION), tmp_path / "text.pt")
    with pytest.raises(ValueError, match=r"text\.pt"):
        import_checkpoint(tmp_path / "text.pt", tmp_path / "model", OVERLAYS, TINY)
    assert not (tmp_path / "model").exists()

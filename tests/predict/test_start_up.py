"""What a prediction of one study does not import: most of its time is imports, and MONAI's own cannot be left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NEEDLESS = {
    "SimpleITK",
    "cc3d",
    "highdicom",
    "lightly",
    "onnx",
    "onnxruntime",
    "pandas",
    "qfae_monai.evaluation.evaluation_report",
    "qfae_monai.experiments",
    "qfae_monai.model.planning",
    "qfae_monai.model.training",
    "qfae_monai.pretraining",
    "qfae_monai.recipes",
    "qfae_monai.viewer",
    "skimage",
    "torch._inductor.compile_fx",
}
RUN = "import sys; from qfae_monai.cli import app; app(standalone_mode=False); print(*sys.modules, file=sys.stderr)"


def test_predict_imports_nothing_that_it_does_not_need(model_folder: Path, scans: Path, tmp_path: Path) -> None:
    study = min((scans / "image").iterdir())
    command = ["predict", "-i", str(study), "-o", str(tmp_path / "out"), "-m", str(model_folder)]
    ended = subprocess.run([sys.executable, "-c", RUN, *command], check=True, capture_output=True, text=True)
    loaded = set(ended.stderr.split())
    assert "qfae_monai.predict.cohort" in loaded
    assert sorted(NEEDLESS & loaded - monai_alone()) == []


def monai_alone() -> set[str]:
    """What MONAI imports wherever it finds it, such as pandas beside the extra `rivals`."""
    command = "import sys, monai.data, monai.transforms; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True).stdout.split()
    )

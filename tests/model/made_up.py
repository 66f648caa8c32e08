"""Small scans that cost nothing to read."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from qfae_monai.model.scan import Features, Found, Scan


def volume(path: Path, seed: int, *, spacing: tuple[float, float, float] = (1, 1, 3), low: int = 0) -> Path:
    """A NIfTI of 6 x 5 x 4 voxels, from `low` on."""
    values = np.random.default_rng(seed).integers(low, low + 900, (6, 5, 4)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([*spacing, 1.0])), path)
    return path


def mask(path: Path, *, lesion: bool, shape: tuple[int, int, int] = (6, 5, 4)) -> Path:
    values = np.zeros(shape, np.uint8)
    values[2, 2, 2] = lesion
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 7)).astype(np.uint8)).save(path)
    return path


def scan(
    patient: str,
    label: str = "normal",
    *,
    kind: str = "volume",
    section: str | None = None,
    plane: int | None = 2,
    modality: str = "MR",
    side: int = 64,
) -> Scan:
    """A scan that was looked at, without a file."""
    axes, spacing = ((0, 1, 2), (1.0, 1.0, 3.0)) if kind == "volume" else (None, None)
    shape = (side, side, 20) if kind == "volume" else (side, side)
    features = Features(shape, spacing, plane, axes, (0, 0, 50, 99, 100), modality, 16, patient)
    path = Path("scans", f"{patient}.nii.gz")
    return Scan(path, (path,), kind, patient, patient, "folder", label, section=section, features=features)


def found(*scans: Scan) -> Found:
    return Found(scans, (), "patients told apart by folder", "folder")

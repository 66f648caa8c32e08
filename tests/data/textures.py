"""Made-up scans whose every picture is another texture: smooth noise, as different as scans of different patients."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter


def texture(seed: int, shape: tuple[int, ...] = (96, 80), *, blur: float = 3.0) -> NDArray[np.uint8]:
    """Noise of blobs, from 0 to 255."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur)
    return np.rint(255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)


def head(seed: int, shape: tuple[int, int, int] = (40, 44, 36)) -> NDArray[np.float32]:
    """A volume whose means along its axes differ from those of others."""
    return 100 + texture(seed, shape).astype(np.float32)


def save_image(path: Path, image: NDArray[np.uint8], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)  # type: ignore[arg-type]
    return path


def save_volume(path: Path, volume: NDArray[np.float32], affine: NDArray[np.float64] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume, np.diag([1.0, 1.0, 1.2, 1.0]) if affine is None else affine), path)
    return path

"""The grid of a volume in a NIfTI header: every program that opens the file places it alike, or says it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

__all__ = ["drops_shear", "is_sheared", "set_grid"]

SHEAR = 1e-4  # cosine between two axes of a grid: 0.02 mm over 200 mm


def is_sheared(affine: NDArray) -> bool:
    """Whether a grid's axes are not perpendicular, as of CT with a tilted gantry."""
    axes = np.asarray(affine, dtype=np.float64)[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)  # columns of unit length
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR)


def drops_shear(file: Path) -> bool:
    """Whether a NIfTI file has a sheared grid, and beside it a qform without the shear; False of what is no NIfTI."""
    try:
        header: Any = nib.load(file).header
        codes = int(header["sform_code"]), int(header["qform_code"])
        return min(codes) > 0 and is_sheared(header.get_sform())
    except (OSError, ValueError, KeyError, nib.filebasedimages.ImageFileError):
        return False


def set_grid(header: nib.Nifti1Header, affine: NDArray) -> None:
    """State a grid: sform always, qform where it can hold it.

    A qform is a rotation and lengths. Of a sheared grid it would keep those alone and misplace slices without a word,
    in programs that look at it first (ITK's); without one they refuse the file.

    Args:
        header: what is changed.
        affine: (4, 4), voxel to RAS+ mm.
    """
    header.set_qform(affine, code=0 if is_sheared(affine) else 1)
    header.set_sform(affine, code=1)
    header.set_xyzt_units("mm")

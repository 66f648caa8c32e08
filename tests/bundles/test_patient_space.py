"""Saved maps lie where the scan lies: same shape, same affine, and the peak where the lesion is, in millimetres."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.bundles.conftest import run_bundle

SHAPE = (40, 48, 20)
SPACING = (2.0, 2.0, 4.0)
LESION_MM = np.array([12.0, -14.0, 9.0])  # right, anterior, superior
SIDE = 64  # of the network's image: a patch of 8 pixels is at most 6 x 6 x 4 voxels, 12 mm

# columns: which way rows, columns and slices of the file run in the patient
ORIENTATIONS: dict[str, NDArray] = {
    "axial": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "oblique": Rotation.from_euler("xyz", [25, -10, 15], degrees=True).as_matrix() @ np.diag([-1.0, -1.0, 1.0]),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_map_peaks_at_the_lesions_millimetres(name: str, tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[:3, :3] = ORIENTATIONS[name] @ np.diag(SPACING)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    positions = apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    body = (np.linalg.norm(positions, axis=-1) < 34) * 0.5
    lesion = np.linalg.norm(positions - LESION_MM, axis=-1) < 6
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image((body + lesion).astype(np.float32), affine), tmp_path / "scans" / "case.nii.gz")
    run_bundle(
        "inference",
        run_id="run",
        dataset_dir=tmp_path / "scans",
        output_dir=tmp_path / "out",
        initialize=[],
        network_def={"_target_": "tests.bundles.clipped_image.ClippedImage", "limit": (0.5 - 0.449) / 0.226},
        scorer={
            "_target_": "qfae_monai.anomaly.AnomalyScorer",
            "distance": {"_target_": "torch.nn.L1Loss", "reduction": "none"},
        },
        intensity={"_target_": "monai.transforms.Identityd", "keys": "image"},
        handlers=[],
    )
    found = nib.Nifti1Image.from_filename(tmp_path / "out" / "case_anomaly_map.nii.gz")
    assert found.shape == SHAPE
    np.testing.assert_allclose(found.affine, affine, atol=1e-4)
    pixels = np.asarray(found.dataobj)
    peak = np.mean(np.argwhere(pixels > 0.9 * pixels.max()), axis=0)
    assert np.linalg.norm(apply_affine(affine, peak) - LESION_MM) < 6

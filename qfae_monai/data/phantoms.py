"""Head-like phantoms: a cohort of NIfTI volumes with varying anatomy, texture and noise, some with lesions.

They stand in for scans where there are none: every machine can train, evaluate and look at maps. A lesion is brighter
or darker than its surroundings and stays within the range of normal tissue, so that brightness alone does not give it
away. They say nothing about accuracy on patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from qfae_monai.files import write_json
from qfae_monai.reading.nifti_file import write_nifti

SHAPE = (64, 64, 24)  # voxels
SPACING = (3.0, 3.0, 5.0)
"""Voxel size in mm: a head of about 190 x 190 x 120 mm."""

SCALP, SKULL, GREY, WHITE, VENTRICLE = 1000.0, 400.0, 480.0, 600.0, 320.0
"""Mean intensities, arbitrary units as of a T1-weighted MR."""


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid with soft edges: centre and radii in voxels, contrast as a share of the white-matter intensity."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    contrast: float


def head_phantom(rng: np.random.Generator, *, lesions: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One head: image and lesion mask (1 is lesion), both of shape `SHAPE`.

    Args:
        rng: draws anatomy, texture, bias field, noise and lesions.
        lesions: how many lesions to put into the brain.
    """
    anatomy, brain = _anatomy(rng)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    for _ in range(lesions):
        lesion = _draw_lesion(rng, brain)
        distance = _ellipsoid_distance(lesion.center, lesion.radii, flat=True)  # 1 is the surface
        # an edge that fades from 0.75 to 1.25 of the radii
        anatomy += lesion.contrast * WHITE * np.clip((1.25 - distance) / 0.5, 0, 1) * brain
        mask |= ((distance < 1) & brain).astype(np.uint8)
    inside = anatomy > 0
    texture = 0.02 * WHITE * _smooth_field(rng, 1.2) * inside  # 2 % of white matter, alike over about 1 voxel
    bias = 1 + 0.04 * _smooth_field(rng, 16.0)  # 4 %, alike over 16 voxels, as receive coils shade an image
    # partial volume: deviations in voxels
    signal = gaussian_filter(np.clip(anatomy + texture, 0, None) * bias, (0.8, 0.8, 0.5))
    sigma = rng.uniform(6.0, 12.0)  # of the noise, in units of intensity
    # noise in the real and the imaginary part, as of MR magnitudes
    rician = np.hypot(signal + rng.normal(0, sigma, SHAPE), rng.normal(0, sigma, SHAPE))
    return (rician * rng.uniform(0.8, 1.25)).astype(np.float32), mask


def write_phantom_cohort(
    folder: Path, *, train: int = 48, validation: int = 8, test_normal: int = 16, test_abnormal: int = 24, seed: int = 0
) -> Path:
    """Write a cohort as NIfTI volumes with a Decathlon-style `dataset.json`, and return that file's path.

    Sections: `training` and `validation` (normal only), `test` (normal and abnormal, all with masks). Volumes lie
    slightly oblique in patient space and are stored left-posterior-superior, as scanners do.
    """
    rng = np.random.default_rng(seed)
    sections: dict[str, list[dict[str, str]]] = {}
    plan = {"training": [0] * train, "validation": [0] * validation, "test": [0] * test_normal + [1] * test_abnormal}
    for section, abnormal in plan.items():
        sections[section] = []
        for number, is_abnormal in enumerate(abnormal):
            image, mask = head_phantom(rng, lesions=int(rng.integers(1, 3)) if is_abnormal else 0)
            affine = _patient_affine(rng)
            case = f"{section}-{number:03d}"
            entry = {"case": case}
            for key, array in (("image", np.rint(image).astype(np.int16)), ("label", mask)):
                path = folder / key / f"{case}.nii.gz"
                write_nifti(path, array, affine)
                entry[key] = str(path.relative_to(folder))
            sections[section].append(entry)
    datalist = folder / "dataset.json"
    header = {"name": "head phantoms", "description": f"seed {seed}", "labels": {"0": "normal", "1": "lesion"}}
    write_json(datalist, {**header, **sections})
    return datalist


def _anatomy(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Noise-free intensities, and the brain as a boolean mask; shells of wobbling ellipsoids."""
    center = np.array(SHAPE) / 2 - 0.5 + rng.normal(0, (0.5, 0.5, 0.4))  # voxels
    head = np.array([26.0, 29.0, 14.0]) * rng.uniform(0.95, 1.04, 3)  # radii in voxels
    angle = rng.normal(0, np.deg2rad(2))  # radians
    wobble = 1 + 0.01 * _smooth_field(rng, 6.0)
    outer = _ellipsoid_distance(center, head, angle) * wobble
    image = np.zeros(SHAPE)
    scalp, skull = rng.uniform(0.07, 0.10), rng.uniform(0.06, 0.09)  # thickness, as a share of the head's radii
    image[outer < 1] = SCALP
    image[outer < 1 - scalp] = SKULL
    brain = outer < 1 - scalp - skull
    image[brain] = GREY
    folds = 1 + 0.04 * _smooth_field(rng, 3.0)
    white = _ellipsoid_distance(center, head * 0.62 * rng.uniform(0.95, 1.05, 3), angle) * folds
    image[(white < 1) & brain] = WHITE
    spread, size = rng.uniform(3.2, 4.6), rng.uniform(0.8, 1.3)  # voxels from the midline, and a factor
    for side in (-1, 1):
        offset = np.array([side * spread, rng.normal(0.5, 0.7), rng.normal(0, 0.5)])
        radii = np.array([2.2, 6.5, 4.5]) * size * rng.uniform(0.9, 1.1, 3)
        image[_ellipsoid_distance(center + offset, radii, angle - side * 0.25) < 1] = VENTRICLE
        nucleus = np.array([side * (spread + 5.0), 2.0, -1.0])  # voxels
        image[_ellipsoid_distance(center + nucleus, np.array([2.6, 4.0, 3.0]) * size, angle) < 1] = GREY
    return image, brain


def _draw_lesion(rng: np.random.Generator, brain: NDArray[np.bool_]) -> Lesion:
    """A lesion of 3 to 6 voxels in plane, well inside the brain, brighter or darker with equal chance."""
    radius = rng.uniform(3.0, 6.0)
    # voxels: as many mm along the thicker slices
    radii = radius * rng.uniform(0.8, 1.2, 3) * (1.0, 1.0, SPACING[0] / SPACING[2])
    # (M, 3) voxels deep enough in the brain
    candidates = np.argwhere(gaussian_filter(brain.astype(float), radii / 2) > 0.97)
    center = candidates[rng.integers(len(candidates))] + rng.uniform(-0.5, 0.5, 3)
    return Lesion(tuple(center), tuple(radii), float(rng.choice([-0.6, 0.45]) * rng.uniform(0.9, 1.1)))


def _ellipsoid_distance(
    center: object, radii: object, angle: float = 0.0, *, flat: bool = False
) -> NDArray[np.float64]:
    """Distance from a centre in units of the radii, turned by `angle` (radians) in the axial plane; < 1 is inside.

    `flat` makes a cylinder-like shape, whose outermost slices are as wide as its middle.
    """
    x, y, z = (axis - c for axis, c in zip(np.ogrid[tuple(map(slice, SHAPE))], np.asarray(center), strict=True))
    cos, sin = np.cos(angle), np.sin(angle)
    rx, ry, rz = np.asarray(radii)
    in_plane = ((cos * x + sin * y) / rx) ** 2 + ((cos * y - sin * x) / ry) ** 2
    return np.sqrt(np.sqrt(in_plane**2 + (z / rz) ** 16) if flat else in_plane + (z / rz) ** 2)


def _smooth_field(rng: np.random.Generator, sigma: float) -> NDArray[np.float64]:
    """Gaussian random field of unit standard deviation and correlation length `sigma` in voxels."""
    field = gaussian_filter(rng.normal(size=SHAPE), sigma)
    return (field - field.mean()) / field.std()


def _patient_affine(rng: np.random.Generator) -> NDArray[np.float64]:
    """Voxel to RAS+ mm of a left-posterior-superior volume, tilted by a few degrees."""
    tilt = np.deg2rad(rng.uniform(-5, 5))  # radians
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, -1.0, 1.0]) @ np.diag(SPACING)  # mm
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) / 2) + rng.normal(0, 5, 3)
    return affine

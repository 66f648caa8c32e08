"""Features of a scan without its picture: modality, plane, spacing, size and intensities; nothing personal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import ArrayLike, NDArray

from qfae_monai.reading import Series
from qfae_monai.reading.background import evenly_taken
from qfae_monai.reading.series_files import VOLUME_SUFFIXES
from qfae_monai.reading.series_summary import MODALITIES
from qfae_monai.transforms import LoadGreyImage
from qfae_monai.transforms.foreground import foreground_percentiles

__all__ = ["NOT_STATED", "PLANES", "STATED", "ScanFeatures", "features_of", "same_modality", "volume_features"]

Kind = Literal["volume", "image"]

NOT_STATED = "not stated"
PLANES = ("sagittal", "coronal", "axial")  # by the patient's axis that slices lie across: x, y, z of RAS+
OBLIQUE_PLANE = "oblique"
OBLIQUE = 30.0  # degrees between the slices' normal and the patient's next axis: heads are tilted by up to 20
CLEARLY = 1.2  # times as long is a voxel across slices as within them, where its file does not say how it was scanned
PERCENTILES = (0.5, 99.5)  # of the foreground, as intensities are scaled by default

# last word of a file's name -> contrast by its BIDS suffix, or modality: the words of BIDS and of the BraTS challenges
WORDS = {
    "t1": "T1w",
    "t1w": "T1w",
    "t1n": "T1w",  # n: native, without contrast agent
    "t1c": "T1ce",
    "t1ce": "T1ce",
    "t1gd": "T1ce",
    "t2": "T2w",
    "t2w": "T2w",
    "flair": "FLAIR",
    "t2f": "FLAIR",  # BraTS 2023
    "pd": "PDw",
    "pdw": "PDw",
    "t2star": "T2starw",
    "t2starw": "T2starw",
    "t1map": "T1map",
    "t2map": "T2map",
    "unit1": "UNIT1",
    "swi": "swi",
    "dwi": "dwi",
    "adc": "adc",
    "bold": "bold",
    "angio": "angio",
    "asl": "asl",
    "mr": "MR",
    "ct": "CT",
    "pet": "PT",
}
STATED = MODALITIES | set(WORDS.values())


@dataclass(frozen=True)
class ScanFeatures:
    """One scan in numbers and known words.

    Attributes:
        kind: `volume`, or `image` of one slice.
        modality: of DICOM's list, or a BIDS suffix such as `T1w`, or `not stated`.
        spacing: mm, left to right, back to front, foot to head; of an image between rows, between columns; None where
            it is not known.
        size: voxels along the same axes.
        plane: `axial`, `coronal`, `sagittal` or `oblique`; None for an image.
        slices: number of slices in that plane.
        intensity: 0.5 and 99.5 percentile of the foreground, in the unit of the file (CT: HU); None where all is equal.
    """

    kind: Kind
    modality: str
    spacing: tuple[float, ...] | None
    size: tuple[int, ...]
    plane: str | None
    slices: int
    intensity: tuple[float, float] | None

    @property
    def field_of_view(self) -> tuple[float, ...] | None:
        """mm along the axes of `spacing`."""
        return None if self.spacing is None else tuple(a * b for a, b in zip(self.spacing, self.size, strict=True))

    @property
    def isotropic(self) -> bool:
        """Whether voxels are about as long as wide: such a volume can be cut in any plane."""
        return self.spacing is not None and max(self.spacing) <= CLEARLY * min(self.spacing)


def features_of(read: Series | Path) -> ScanFeatures:
    """Features of what was read: a series, or the file of an image.

    Raises:
        ValueError: if the file is no image that can be read.
    """
    if isinstance(read, Path):
        pixels = LoadGreyImage()(read)[0].numpy()  # (rows, columns)
        return ScanFeatures("image", NOT_STATED, None, _shape(pixels), None, 1, _intensity(pixels))
    dicom = read.attributes.get("kind") == "DICOM"
    # the affine holds 1 mm then, which nobody measured
    known = not any(risk.startswith("no-spacing") for risk in read.risks)
    return volume_features(read.array, read.affine, modality=_modality(read), as_acquired=dicom, spacing_is_known=known)


def volume_features(
    array: NDArray[Any],
    affine: ArrayLike,
    *,
    modality: str = NOT_STATED,
    as_acquired: bool = False,
    spacing_is_known: bool = True,
) -> ScanFeatures:
    """Features of an array.

    Args:
        array: (X, Y, Z), in the unit of its modality; one slice alone is an image.
        affine: (4, 4), voxel to RAS+ mm.
        modality: as in `ScanFeatures`.
        as_acquired: whether the third axis is known to run across the acquired slices, as in DICOM. Otherwise slices
            lie across the axis whose voxels are clearly the longest, and across the third where none are.
        spacing_is_known: whether the affine's lengths were measured.

    Example:
        >>> found = volume_features(np.arange(60).reshape(3, 4, 5), np.diag([-1, 5, 1, 1]))
        >>> found.plane, found.slices, found.spacing
        ('coronal', 4, (1.0, 5.0, 1.0))
    """
    directions = np.asarray(affine, dtype=np.float64)[:3, :3]
    lengths = np.linalg.norm(directions, axis=0)  # mm along each axis of the array
    if array.shape[2] == 1:  # a series of one slice is a picture, rows x columns as seen
        # between rows, between columns
        spacing = (_millimetres(lengths[1]), _millimetres(lengths[0])) if spacing_is_known else None
        return ScanFeatures("image", modality, spacing, _shape(array[..., 0].T), None, 1, _intensity(array))
    across = 2 if as_acquired else _across(lengths)
    order = _patient_order(directions)
    return ScanFeatures(
        kind="volume",
        modality=modality,
        spacing=tuple(_millimetres(lengths[axis]) for axis in order) if spacing_is_known else None,
        size=tuple(int(array.shape[axis]) for axis in order),
        plane=_plane(directions, across),
        slices=int(array.shape[across]),
        intensity=_intensity(array),
    )


def same_modality(one: str, other: str) -> bool:
    """Whether two words can mean the same kind of scan: `MR` is any of its contrasts, T1 is not FLAIR.

    >>> same_modality("MR", "T1w"), same_modality("T1w", "FLAIR"), same_modality("CT", "T1w")
    (True, False, False)
    """
    return one == other or (_broad(one) == _broad(other) and _broad(one) in (one, other))


def _broad(modality: str) -> str:
    return modality if modality in MODALITIES else "MR"  # CT and PT of a file's name are DICOM's words already


def _modality(series: Series) -> str:
    stated = str(series.attributes.get("modality") or "")
    if stated:
        return stated if stated in MODALITIES else NOT_STATED
    name = series.files[0].name.lower() if series.files else ""
    stem = next((name[: -len(end)] for end in VOLUME_SUFFIXES if name.endswith(end)), "")
    return WORDS.get(re.split(r"[_\-. ]", stem)[-1], NOT_STATED)


def _millimetres(length: float) -> float:
    """Without the round-off of an affine, which would make two numbers of one."""
    return float(f"{length:.6g}")


def _across(lengths: NDArray[np.float64]) -> int:
    """Axis of the array that slices lie across, by the length of its voxels alone."""
    *_, second, longest = np.argsort(lengths, kind="stable").tolist()
    return longest if lengths[longest] > CLEARLY * lengths[second] else 2


def _plane(directions: NDArray[np.float64], across: int) -> str:
    normal = np.cross(directions[:, (across + 1) % 3], directions[:, (across + 2) % 3])
    cosines = np.abs(normal / np.linalg.norm(normal))
    axis = int(cosines.argmax())
    angle = float(np.degrees(np.arccos(min(1.0, cosines[axis]))))  # min: rounding may give a cosine above 1
    return PLANES[axis] if angle <= OBLIQUE else OBLIQUE_PLANE


def _patient_order(directions: NDArray[np.float64]) -> list[int]:
    """Axes of the array that run most nearly along x, y and z of the patient."""
    affine = np.eye(4)
    affine[:3, :3] = directions
    along = io_orientation(affine)[:, 0]
    # NaN: an axis that no patient axis is near
    return [0, 1, 2] if np.isnan(along).any() else np.argsort(along).tolist()


def _shape(pixels: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(length) for length in pixels.shape)


def _intensity(array: NDArray[Any]) -> tuple[float, float] | None:
    """Range of the foreground, of voxels taken evenly from all of them."""
    taken = evenly_taken(array)
    low, high = (float(taken.min()), float(taken.max())) if taken.size else (0.0, 0.0)
    return foreground_percentiles(taken, *PERCENTILES) if low < high and isfinite(high - low) else None

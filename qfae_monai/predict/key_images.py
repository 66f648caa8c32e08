"""Key images: the slices with the highest scores as Secondary Capture, which any viewer and any PACS shows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from qfae_monai.outline import draw_outline
from qfae_monai.predict.dicom_identity import is_anonymous, without_dates
from qfae_monai.predict.dicom_stand_ins import refer_to, stand_ins
from qfae_monai.predict.model_identity import NOTICE, ModelIdentity, import_highdicom, new_uid
from qfae_monai.predict.source_planes import SourcePlanes
from qfae_monai.reading.series import Series

__all__ = ["BANNER", "highest", "key_images", "key_picture", "patient_orientation"]

# The picture of a key image: a slice in grey, the anomaly map in colour over it, the mask outlined, and a warning.

BANNER = "RESEARCH USE - NOT FOR DIAGNOSIS"
LONGER_SIDE = 768  # pixels of the slice
LEAST_WIDTH = 512  # pixels, so that the banner can be read
STRIP = 40  # pixels above and below the slice, for the text: it covers no anatomy
OPACITY = 0.6  # of the colour where the map is highest
TEXT = (255, 255, 255)


def key_picture(
    grey: np.ndarray, heat: np.ndarray, mask: np.ndarray | None, *, spacing: Sequence[float], caption: str
) -> tuple[np.ndarray, float]:
    """A picture with square pixels, turned as the slice is stored.

    Args:
        grey: (rows, columns) in [0, 1].
        heat: (rows, columns) in [0, 1], anomaly.
        mask: (rows, columns) boolean; None where there is no threshold.
        spacing: between rows, between columns, mm.
        caption: the line below the slice.

    Returns:
        (rows, columns, 3) uint8 RGB, and the size of its pixels in mm.
    """
    heights = np.array(grey.shape) * np.asarray(spacing, dtype=float)
    pixel = float(heights.max()) / LONGER_SIDE
    height, width = (max(1, round(length / pixel)) for length in heights)
    shown = cv2.resize(grey.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    weight = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    colours = cv2.applyColorMap((weight * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    picture = shown[..., None] * 255 * (1 - OPACITY * weight) + colours * OPACITY * weight
    canvas = np.ascontiguousarray(picture.round().clip(0, 255).astype(np.uint8))
    if mask is not None:
        large = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        draw_outline(canvas, large)
    return _framed(canvas, caption), pixel


def _framed(picture: np.ndarray, caption: str) -> np.ndarray:
    """The picture between two black strips of text."""
    missing = max(0, LEAST_WIDTH - picture.shape[1])
    framed = np.pad(picture, ((STRIP, STRIP), (missing // 2, missing - missing // 2), (0, 0)))
    for line, baseline in ((BANNER, STRIP - 12), (caption, framed.shape[0] - 12)):
        _write(framed, line, baseline)
    return framed


def _write(picture: np.ndarray, line: str, baseline: int) -> None:
    """One line in the middle, as large as fits."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (length, _), _ = cv2.getTextSize(line, font, 1.0, 2)
    scale = min(0.8, 0.95 * picture.shape[1] / length)
    left = round((picture.shape[1] - length * scale) / 2)
    cv2.putText(picture, line, (left, baseline), font, scale, TEXT, 2 if scale > 0.6 else 1, cv2.LINE_AA)


SERIES_NUMBER = 9003
DARKEST, BRIGHTEST = 1.0, 99.8  # percentiles of the series that are shown black and white
SHOWN = 99.9  # percentile of the map that gets the brightest colour
OBLIQUE = 0.25  # direction cosine from which a second letter is written


def key_images(
    source: SourcePlanes,
    series: Series,
    anomaly_map: np.ndarray,
    mask: np.ndarray | None,
    *,
    scores: np.ndarray,
    model: ModelIdentity,
    count: int,
) -> list[Dataset]:
    """One RGB image for each of the highest-scored slices, highest first.

    Args:
        source: the planes.
        series: the voxels that are shown in grey.
        anomaly_map: (Z, rows, columns) float32.
        mask: (Z, rows, columns) boolean, or None.
        scores: (Z,), NaN for slices that were not scored.
        model: what made it.
        count: how many at most.
    """
    valid = series.array if series.padding is None else series.array[~series.padding]
    low, high = np.percentile(valid if valid.size else series.array, [DARKEST, BRIGHTEST])
    limit = float(np.percentile(anomaly_map, SHOWN))
    images, series_uid = stand_ins(source), new_uid()
    captures = []
    for rank, place in enumerate(highest(scores, count), start=1):
        picture, pixel = key_picture(
            _window(series.array[..., place].T, float(low), float(high)),
            _window(anomaly_map[place], 0.0, limit),
            None if mask is None else mask[place],
            spacing=source.spacing,
            caption=f"{model.name} {model.version}, slice {place + 1} of {len(scores)}, score {scores[place]:.4g}",
        )
        capture = _capture(picture, pixel, images[place], source, model=model, series_uid=series_uid, rank=rank)
        capture.SourceImageSequence = [refer_to(source.planes[place])]
        capture.DerivationDescription = model.derivation(f"Anomaly overlay of slice {place + 1}")
        captures.append(capture)
    return captures


def highest(scores: np.ndarray, count: int) -> list[int]:
    """Slices with the highest scores, highest first, the first of equals first; those without a score never."""
    ranked = np.argsort(-scores, kind="stable")  # NaN comes last
    return [int(place) for place in ranked[:count] if np.isfinite(scores[place])]


def patient_orientation(orientation: np.ndarray) -> list[str]:
    """Directions of rows and columns as letters of the nearest patient directions, such as ["L", "PF"]."""
    letters = (("L", "R"), ("P", "A"), ("H", "F"))
    words = []
    for direction in orientation:
        axes = sorted(range(3), key=lambda axis: -abs(direction[axis]))
        near = [axis for number, axis in enumerate(axes) if number == 0 or abs(direction[axis]) > OBLIQUE]
        words.append("".join(letters[axis][0 if direction[axis] > 0 else 1] for axis in near))
    return words


def _capture(
    picture: np.ndarray,
    pixel: float,
    image: Dataset,
    source: SourcePlanes,
    *,
    model: ModelIdentity,
    series_uid: str,
    rank: int,
) -> Dataset:
    highdicom = import_highdicom()
    dataset = highdicom.sc.SCImage(
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=image.StudyInstanceUID,
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=new_uid(),
        instance_number=rank,
        patient_orientation=tuple(word[0] for word in patient_orientation(source.orientation)),
        series_description=f"QFAE key images ({NOTICE})",
        specific_character_set=image.SpecificCharacterSet,
        **model.equipment,
    )
    dataset.PatientOrientation = patient_orientation(source.orientation)
    dataset.copy_patient_and_study_information(image)
    dataset.update(source.lossy)
    dataset.ConversionType = "WSD"  # made at a workstation, not captured from a screen
    dataset.Laterality = ""  # not known
    dataset.PixelSpacing = [format_number_as_ds(pixel)] * 2
    dataset.ImageComments = f"{NOTICE}."
    if source.burned_in:  # the attribute is about names and dates: the banner has none, the source says for itself
        dataset.BurnedInAnnotation = source.burned_in
    if is_anonymous(source.identity):
        without_dates(dataset)
    return dataset


def _window(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` -> [0, 1]."""
    return ((pixels.astype(np.float64) - low) / (high - low if high > low else 1.0)).clip(0, 1)

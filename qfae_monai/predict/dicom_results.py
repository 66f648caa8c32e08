"""DICOM objects of a study, written beside its other results."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset

from qfae_monai.files import write_whole
from qfae_monai.predict.dicom_maps import parametric_map, segmentation
from qfae_monai.predict.key_images import key_images
from qfae_monai.predict.model_identity import ModelIdentity, check_region, import_highdicom
from qfae_monai.predict.source_planes import source_planes
from qfae_monai.privacy.pseudonyms import KEY_BYTES, Pseudonyms
from qfae_monai.reading.series import Series

if TYPE_CHECKING:
    from qfae_monai.predict.prediction import Prediction
    from qfae_monai.predict.studies import Study

# A result beside its source: anomaly map, mask and key images written as DICOM objects, all of them or none.


def write_dicom_results(  # noqa: PLR0917  # source, result and folder have one natural order
    series: Series,
    source: str | PathLike | Sequence[str | PathLike],
    anomaly_map: np.ndarray,
    mask: np.ndarray | None,
    slice_scores: ArrayLike | None,
    output_dir: str | PathLike,
    *,
    model: ModelIdentity,
    anonymous: bool = False,
    key: bytes | None = None,
    region: str | None = None,
    pixel_threshold: float | None = None,
    key_image_count: int = 3,
) -> tuple[Path, ...]:
    """Write `parametric_map.dcm`, `segmentation.dcm` (where there is a mask), and `key_image_1.dcm` and on.

    Nothing is written before each object is complete in memory, and each file is renamed into its place.

    Args:
        series: as `qfae_monai.reading.read_series` gave it.
        source: what was given to it: folder, file, list of files or .zip archive.
        anomaly_map: (X, Y, Z) finite numbers, in the order of `series.array`: column, row, slice. Kept as float32.
        mask: (X, Y, Z), above 0 is above the threshold; None where there is no threshold.
        slice_scores: (Z,), of the slices of `series.array`, NaN where there is none. None takes each slice's largest
            map value, for a model that scored slices of another direction.
        output_dir: made where it is missing.
        model: what made the result.
        anonymous: nothing of the patient, the study or the scanner; UIDs replaced by keyed hashes.
        key: for `anonymous`, at least 32 secret bytes (`qfae_monai.privacy.read_or_create_key`): the same
            source has the same pseudonyms in each run. None draws one that is forgotten: nothing can be linked.
        region: a name of `qfae_monai.predict.model_identity.REGIONS`; None says "Entire body".
        pixel_threshold: what the mask is above, map units, stated in the segmentation.
        key_image_count: how many slices are shown, those with the highest scores.

    Returns:
        Paths of the files.

    Raises:
        FileNotFoundError: when the source is gone.
        ValueError: when highdicom is missing, arrays do not fit the series, or the series cannot carry a result: no
            DICOM, filled slices, several series, no place in the patient, no frame of reference, burned-in annotation.
    """
    import_highdicom()
    body = check_region(region)
    if key is not None and not anonymous:
        raise ValueError("expected anonymous with a key, got a key alone: it replaces identities")
    volume, above, scores = _checked(series, anomaly_map, mask, slice_scores, key_image_count)
    names = Pseudonyms(key or secrets.token_bytes(KEY_BYTES)) if anonymous else None
    planes = source_planes(series, source, names=names)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*person name.*")  # the patient's name is written as the source has it
        objects = {"parametric_map.dcm": parametric_map(planes, volume, model, region=body)}
        if above is not None:
            mask_object = segmentation(planes, above, model, region=body, pixel_threshold=pixel_threshold)
            objects["segmentation.dcm"] = mask_object
        captures = key_images(planes, series, volume, above, scores=scores, model=model, count=key_image_count)
    objects.update({f"key_image_{number}.dcm": capture for number, capture in enumerate(captures, start=1)})
    contents = {Path(output_dir) / name: _content(dataset) for name, dataset in objects.items()}
    for path, content in contents.items():
        write_whole(path, content)
    return tuple(contents)


def _checked(
    series: Series, anomaly_map: np.ndarray, mask: np.ndarray | None, slice_scores: ArrayLike | None, count: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Map and mask as DICOM stores them, (Z, rows, columns), and a score per slice."""
    shape, title = series.array.shape, series.files[0]
    for name, part in (("anomaly_map", anomaly_map), ("mask", mask)):
        if part is not None and np.shape(part) != shape:
            raise ValueError(f"{title}: expected {name} of the series' shape {shape}, got {np.shape(part)}")
    volume = np.ascontiguousarray(np.asarray(anomaly_map, dtype=np.float32).T)
    if not np.isfinite(volume).all():
        raise ValueError(f"{title}: expected finite numbers in anomaly_map, got {(~np.isfinite(volume)).sum()} others")
    scores = np.asarray(volume.max(axis=(1, 2)) if slice_scores is None else slice_scores, dtype=np.float64)
    if scores.shape != shape[2:]:
        raise ValueError(f"{title}: expected slice_scores of {shape[2]} slices, got shape {scores.shape}")
    if count < 0:
        raise ValueError(f"expected key_image_count of 0 or more, got {count}")
    return volume, None if mask is None else np.ascontiguousarray(np.asarray(mask).T > 0), scores


def _content(dataset: Dataset) -> bytes:
    """The bytes of a DICOM file."""
    with BytesIO() as stream:
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
        return stream.getvalue()


# The DICOM objects of a study, written beside its other results.


class DicomResults:
    """Segmentation, Parametric Map and key images of each DICOM study.

    Args:
        pseudonyms: what stands for the patient's identity; None keeps that.
        region: body region that they state.

    Raises:
        ValueError: if highdicom is missing or the region unknown: before any study is scored.
    """

    name = "dicom"

    def __init__(self, pseudonyms: Pseudonyms | None = None, region: str | None = None) -> None:
        import_highdicom()
        check_region(region)
        self.pseudonyms, self.region = pseudonyms, region

    @property
    def made_with(self) -> dict[str, Any]:
        """Region; whose pseudonyms they are, the study says."""
        return {"region": self.region}

    def write(self, folder: Path, study: Study, read: Series | Path, found: Prediction, scores: dict[str, Any]) -> None:
        """Into `dicom/` of the study's folder."""
        assert isinstance(read, Series)
        write_dicom_results(
            read,
            list(study.files),
            found.anomaly_map,
            found.mask,
            scores_in_file_order(found, read.affine),
            folder / self.name,
            model=ModelIdentity(scores["model"]["checkpoint_sha256"]),
            anonymous=self.pseudonyms is not None,
            key=None if self.pseudonyms is None else self.pseudonyms.key,
            region=self.region,
            pixel_threshold=scores["pixel_threshold"],
        )


def scores_in_file_order(found: Prediction, affine: NDArray) -> NDArray[np.float64] | None:
    """Slice scores in the order of the series' slices; None if slices were scored along another axis than these."""
    axis, flip = nib.orientations.io_orientation(affine)[2]
    if axis != found.axis:
        return None
    return found.slice_scores if flip > 0 else found.slice_scores[::-1].copy()

"""The DICOM objects of a study, written beside its other results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from qfae_monai.predict.dicom_objects import write_dicom_results
from qfae_monai.predict.dicom_regions import check_region
from qfae_monai.predict.model import Prediction
from qfae_monai.predict.model_identity import ModelIdentity, import_highdicom
from qfae_monai.predict.studies import Study
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading import Series


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

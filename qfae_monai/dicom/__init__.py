"""DICOM objects made of a result: Segmentation, Parametric Map and key images. Needs the extra `dicom` to write."""

from __future__ import annotations

from qfae_monai.dicom.model_identity import NOTICE, ModelIdentity
from qfae_monai.dicom.regions import REGIONS
from qfae_monai.dicom.results import write_dicom_results

__all__ = ["NOTICE", "REGIONS", "ModelIdentity", "write_dicom_results"]

"""The anomaly map as DICOM Parametric Map (32-bit floating point) on the source's own planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from qfae_monai.predict.dicom_regions import FACELESS, REGIONS
from qfae_monai.predict.dicom_stand_ins import finish, stand_ins
from qfae_monai.predict.dicom_uids import new_uid
from qfae_monai.predict.model_identity import CONTENT_LABEL, NOTICE, ModelIdentity, import_highdicom
from qfae_monai.predict.source_planes import SourcePlanes

__all__ = ["parametric_map"]

NO_UNITS = Code("1", "UCUM", "no units")
SERIES_NUMBER = 9002
SHOWN = 99.9  # percentile of the map that viewers show brightest


def parametric_map(source: SourcePlanes, anomaly_map: np.ndarray, model: ModelIdentity, *, region: str) -> Dataset:
    """A map of all planes, values as they are.

    Args:
        source: the planes.
        anomaly_map: (Z, rows, columns) float32.
        model: what made it.
        region: a name of :data:`qfae_monai.predict.dicom_regions.REGIONS`.
    """
    highdicom = import_highdicom()
    low, high = float(anomaly_map.min()), float(anomaly_map.max())
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label="ANOMALY",
        lut_explanation=f"Anomaly. {NOTICE}",
        unit=NO_UNITS,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
    )
    dataset = highdicom.pm.ParametricMap(
        source_images=stand_ins(source),
        pixel_array=np.ascontiguousarray(anomaly_map, dtype=np.float32),
        series_instance_uid=new_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=new_uid(),
        instance_number=1,
        contains_recognizable_visual_features=region not in FACELESS,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[_window(highdicom, anomaly_map)],
        content_label=CONTENT_LABEL,
        content_description=f"QFAE anomaly map. {NOTICE}",
        content_qualification="RESEARCH",
        series_description=f"QFAE anomaly map ({NOTICE})",
        **model.equipment,
    )
    dataset.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy(region)]
    finish(dataset, source, anomaly_map.astype("<f4").tobytes(), model.derivation("Anomaly map"))
    return dataset


def _window(highdicom: Any, anomaly_map: np.ndarray) -> Dataset:
    """From 0, or the least value, to a high percentile; exact, since a linear window is at least 1 wide."""
    low, high = min(0.0, float(anomaly_map.min())), float(np.percentile(anomaly_map, SHOWN))
    width = high - low if high > low else 1.0
    return highdicom.VOILUTTransformation(
        window_center=low + width / 2, window_width=width, voi_lut_function="LINEAR_EXACT"
    )


def _anatomy(region: str) -> Dataset:
    code, anatomy = Dataset(), Dataset()
    code.CodeValue, code.CodeMeaning = REGIONS[region]
    code.CodingSchemeDesignator = "SCT"
    anatomy.AnatomicRegionSequence = [code]
    anatomy.FrameLaterality = "U"
    return anatomy

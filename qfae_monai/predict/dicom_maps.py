"""Segmentation and Parametric Map objects of a study."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from qfae_monai.predict.dicom_stand_ins import finish, stand_ins
from qfae_monai.predict.model_identity import (
    CONTENT_LABEL,
    FACELESS,
    NOTICE,
    REGIONS,
    ModelIdentity,
    import_highdicom,
    new_uid,
)
from qfae_monai.predict.source_planes import SourcePlanes

__all__ = ["parametric_map", "segmentation"]

# The mask as DICOM Segmentation (binary, one segment) on the source's own planes.

# Not "Lesion": the model says that something looks unlike its normal scans, not what it is.
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
MASK_SERIES_NUMBER = 9001


def segmentation(
    source: SourcePlanes, mask: np.ndarray, model: ModelIdentity, *, region: str, pixel_threshold: float | None = None
) -> Dataset:
    """A segmentation of all planes, empty ones too, so that each reader finds the source's whole grid.

    Args:
        source: the planes.
        mask: (Z, rows, columns) boolean, True is above the threshold.
        model: what made it.
        region: a name of `qfae_monai.predict.model_identity.REGIONS`.
        pixel_threshold: of the anomaly map; None where it is not known.
    """
    highdicom = import_highdicom()
    parameters = {"checkpoint_sha256": model.checkpoint_sha256}
    if pixel_threshold is not None:
        parameters["pixel_threshold"] = f"{pixel_threshold:.9g}"
    value, meaning = REGIONS[region]
    segment = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Anomaly (research use, not for diagnosis)",
        segmented_property_category=ABNORMAL,
        segmented_property_type=ABNORMAL,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=model.name,
            version=model.version,
            family=Code("123110", "DCM", "Artificial Intelligence"),
            parameters=parameters,
        ),
        tracking_id="QFAE anomaly",
        tracking_uid=new_uid(),
        anatomic_regions=[Code(value, "SCT", meaning)],
    )
    segment.SegmentDescription = f"Voxels whose anomaly value is above the model's threshold. {NOTICE}."
    segment.RecommendedDisplayCIELabValue = [45000, 48000, 20000]  # a strong orange-red
    dataset = highdicom.seg.Segmentation(
        source_images=stand_ins(source),
        pixel_array=np.ascontiguousarray(mask, dtype=np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=new_uid(),
        series_number=MASK_SERIES_NUMBER,
        sop_instance_uid=new_uid(),
        instance_number=1,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        content_label=CONTENT_LABEL,
        content_description=f"QFAE anomaly mask. {NOTICE}",
        series_description=f"QFAE anomaly mask ({NOTICE})",
        omit_empty_frames=False,
        **model.equipment,
    )
    finish(dataset, source, np.packbits(mask, bitorder="little").tobytes(), model.derivation("Anomaly mask"))
    return dataset


# The anomaly map as DICOM Parametric Map (32-bit floating point) on the source's own planes.

NO_UNITS = Code("1", "UCUM", "no units")
MAP_SERIES_NUMBER = 9002
SHOWN = 99.9  # percentile of the map that viewers show brightest


def parametric_map(source: SourcePlanes, anomaly_map: np.ndarray, model: ModelIdentity, *, region: str) -> Dataset:
    """A map of all planes, values as they are.

    Args:
        source: the planes.
        anomaly_map: (Z, rows, columns) float32.
        model: what made it.
        region: a name of `qfae_monai.predict.model_identity.REGIONS`.
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
        series_number=MAP_SERIES_NUMBER,
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

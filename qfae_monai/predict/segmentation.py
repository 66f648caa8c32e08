"""The mask as DICOM Segmentation (binary, one segment) on the source's own planes."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from qfae_monai.predict.dicom_regions import REGIONS
from qfae_monai.predict.dicom_stand_ins import finish, stand_ins
from qfae_monai.predict.dicom_uids import new_uid
from qfae_monai.predict.model_identity import CONTENT_LABEL, NOTICE, ModelIdentity, import_highdicom
from qfae_monai.predict.source_planes import SourcePlanes

__all__ = ["segmentation"]

# Not "Lesion": the model says that something looks unlike its normal scans, not what it is.
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
SERIES_NUMBER = 9001


def segmentation(
    source: SourcePlanes, mask: np.ndarray, model: ModelIdentity, *, region: str, pixel_threshold: float | None = None
) -> Dataset:
    """A segmentation of all planes, empty ones too, so that each reader finds the source's whole grid.

    Args:
        source: the planes.
        mask: (Z, rows, columns) boolean, True is above the threshold.
        model: what made it.
        region: a name of :data:`qfae_monai.predict.dicom_regions.REGIONS`.
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
        series_number=SERIES_NUMBER,
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

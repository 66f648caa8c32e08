"""Stand-ins for the source's images: what highdicom may copy from, and nothing else of the source.

highdicom copies patient, study and equipment of what it is given, takes no more than one file of multi-frame images,
and refuses headers that are not valid. So each plane is given to it as a small valid single-frame image, whose UID
gives way to the true instance and frame number afterwards.
"""

from __future__ import annotations

from copy import deepcopy

from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from qfae_monai.predict.dicom_identity import is_anonymous, without_dates
from qfae_monai.predict.source_planes import Plane, SourcePlanes

__all__ = ["finish", "refer_to", "stand_ins"]

SINGLE_FRAME = "1.2.840.10008.5.1.4.1.1.4"  # MR Image: has the same patient and study modules as any other


def stand_ins(source: SourcePlanes) -> list[Dataset]:
    """One image a plane, in slice order."""
    shared = deepcopy(source.identity)
    shared.SeriesInstanceUID, shared.FrameOfReferenceUID = source.series_uid, source.frame_of_reference
    shared.PositionReferenceIndicator = ""
    shared.Modality = source.modality
    shared.Rows, shared.Columns = source.shape
    shared.ImageOrientationPatient = [format_number_as_ds(float(cosine)) for cosine in source.orientation.ravel()]
    shared.PixelSpacing = [format_number_as_ds(length) for length in source.spacing]
    shared.SliceThickness = format_number_as_ds(source.thickness)
    if source.gap is not None:
        shared.SpacingBetweenSlices = format_number_as_ds(source.gap)
    shared.update(source.lossy)
    images = []
    for number, plane in enumerate(source.planes):
        image = Dataset()
        image.update(shared)
        image.SOPClassUID, image.SOPInstanceUID = SINGLE_FRAME, _stand_in_uid(number)
        image.ImagePositionPatient = [format_number_as_ds(length) for length in plane.position]
        images.append(image)
    return images


def finish(dataset: Dataset, source: SourcePlanes, pixels: bytes, derivation: str) -> None:
    """References to stand-ins become references to the source; how the planes came about is said; dates go.

    highdicom stores frames from the last slice to the first where that makes its own axes right-handed; they are put
    back into the source's order, so that a reader which goes by file order finds the source's first slice first.

    Args:
        dataset: of highdicom, with a frame for each plane.
        source: the planes.
        pixels: of all frames in slice order, as they are stored.
        derivation: a sentence on how the planes came about.
    """
    places = {_stand_in_uid(number): number for number in range(len(source.planes))}
    groups: dict[int, Dataset] = {}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        (item,) = group.DerivationImageSequence
        (reference,) = item.SourceImageSequence
        place = places[str(reference.ReferencedSOPInstanceUID)]
        groups[place] = group
        reference.update(refer_to(source.planes[place]))
        item.DerivationDescription = derivation
        indices = group.FrameContentSequence[0]["DimensionIndexValues"]
        indices.value = [1] * (indices.VM - 1) + [place + 1]  # of the segment, where there is one, and of the position
    dataset.PerFrameFunctionalGroupsSequence = [groups[place] for place in range(len(source.planes))]
    dataset["FloatPixelData" if "FloatPixelData" in dataset else "PixelData"].value = pixels + b"\0" * (len(pixels) % 2)
    instances = list({plane.uid: refer_to(plane, whole=True) for plane in source.planes}.values())
    dataset.SourceImageSequence = instances
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence = deepcopy(instances)
    if is_anonymous(source.identity):
        without_dates(dataset)


def refer_to(plane: Plane, *, whole: bool = False) -> Dataset:
    """An item that names a plane, or the whole instance that holds it."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = plane.class_uid, plane.uid
    if plane.frame is not None and not whole:
        item.ReferencedFrameNumber = plane.frame
    return item


def _stand_in_uid(number: int) -> str:
    """A UID that lives until the references are true again."""
    return f"2.25.{number + 1}"

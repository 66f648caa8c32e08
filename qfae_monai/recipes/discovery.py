"""Discovery of images, masks and their patients in a tree of series or in a data list."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from qfae_monai.data.patients import BY_HEADER, BY_NAME, tell_patients
from qfae_monai.data.volumes import check_patient_disjoint, stem_of, told_entries, volume_datalist
from qfae_monai.reading.left_aside import LeftAside, lines_of
from qfae_monai.reading.masks import GRID_TOLERANCE, turns_onto
from qfae_monai.reading.series_contents import contents_of
from qfae_monai.reading.series_summary import SeriesSummary
from qfae_monai.reading.volume_choice import Choice
from qfae_monai.recipes.source import Source

__all__ = ["datalist_sources", "tree_sources"]

logger = logging.getLogger(__name__)

MASK_KINDS = ("segmentation", "secondary-capture", "parametric-map")
SECTIONS = {"training": "train", "validation": "valid", "test": "test"}


@dataclass(frozen=True)
class _Found:
    summary: SeriesSummary
    path: Path
    name: str
    patient: str = ""
    told_by: str = ""
    refusal: str = ""
    kind: str = "volume"

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def names(self) -> tuple[str, ...]:
        """Names that patterns match: file name (of a volume), or description and folder (of a DICOM series)."""
        file = self.summary.files[0]
        return (file.name,) if self.summary.kind != "DICOM" else (self.summary.description, self.folder.name)


def tree_sources(
    folder: Path,
    *,
    image: str = "*",
    label: str | None = None,
    patient: str | None = None,
    normal: bool = False,
    volume: Choice = None,
    include: Collection[str] = (),
    allow: Collection[str] = (),
) -> list[Source]:
    """Sources of a tree of DICOM, NIfTI, NRRD and MetaImage files.

    Args:
        folder: the tree.
        image: shell pattern of images: of a volume's file name, or of a DICOM series' description or folder.
        label: the same of masks; what matches both is a mask. None where there are none.
        patient: regular expression that tells the patient from a file's name or path, as in `tell_patients`; None for
            its other rules.
        normal: whether an image without a mask is normal; otherwise it is refused.
        volume: of series that have several, as in `qfae_monai.reading.read_series`; `all` makes a source of each.
        include: kinds that are no scans, and are wanted all the same.
        allow: risks that the reader may let pass.

    Returns:
        Sources sorted by patient and name. A mask belongs to the patient's image on its grid, in its own folder rather
        than elsewhere.

    Raises:
        FileNotFoundError: when the tree holds no image.
        ValueError: when the patient's expression is none, or fits no image at all.
    """
    kinds = {*include, *(MASK_KINDS if label is not None else ())}  # a mask may be what is no scan
    contents = contents_of(folder, volume=volume, allow=allow, include=kinds)
    for line in lines_of([*contents.aside, *map(_picture, filter(lambda one: one.picture, contents.series))]):
        logger.warning("%s", line)
    found = [_found(summary, folder) for summary in contents.series if not summary.picture]
    wanted = {"", *include}
    found = [item for item in found if item.summary.category in wanted or (label is not None and _fits(item, label))]
    masks = [item for item in found if label is not None and _fits(item, label)]
    images = [item for item in found if item not in masks and _fits(item, image)]
    if not images:
        seen = sorted({item.names[-1] for item in found})  # descriptions are of headers, and stay there
        raise FileNotFoundError(f"{folder}: expected images named {image!r}, found {', '.join(seen[:10]) or 'none'}")
    images, masks = _told(images, patient), _told(masks, patient, like=images)
    sources = [_source(item, masks, folder, normal=normal) for item in images]
    return sorted(sources, key=lambda source: (source.patient, source.name))


def datalist_sources(
    path: Path, *, normal: bool = False, volume: Choice = None, include: Collection[str] = ()
) -> list[Source]:
    """Sources of a Decathlon-style data list, whose sections training, validation and test are the splits.

    Args:
        path: JSON file, see `qfae_monai.data.volume_datalist`. An image may be a file or a DICOM folder.
        normal: whether an image without mask and `image_label` is normal; otherwise it is refused.
        volume, include: as in `tree_sources`, of entries that do not say it themselves.

    Raises:
        FileNotFoundError: when the list or a file that it names is missing.
        ValueError: when it has none of the sections, or a patient is in two of them.
    """
    filled = [section for section in SECTIONS if _entries(path, section)]
    check_patient_disjoint(path, filled)
    sources = []
    for section, entry, told in told_entries(path, filled):
        image_label = entry.get("image_label", 0 if normal and "label" not in entry else None)
        known = "label" in entry or image_label is not None
        sources.append(
            Source(
                told.patient,
                str(entry["case"]),
                (str(entry["image"]),),
                (str(entry["label"]),) if "label" in entry else (),
                image_label=image_label,
                split=SECTIONS[section],
                refusal="" if known else f"{entry['image']}: expected a label or image_label, got neither",
                told_by=told.told_by,
                volume=entry.get("volume", volume),
                include=tuple(entry.get("include", include)),
            )
        )
    if not sources:
        raise ValueError(f"{path}: expected the sections {', '.join(SECTIONS)}, found none of them filled")
    return sources


def _entries(path: Path, section: str) -> list[dict[str, Any]]:
    try:
        return volume_datalist(path, section)
    except ValueError as error:
        if "expected a section" in str(error) or "expected volumes in section" in str(error):
            return []
        raise


def _picture(summary: SeriesSummary) -> LeftAside:
    return LeftAside(summary.files[0], "single image", "it has no slices to cut: models of images take it as it is")


def _found(summary: SeriesSummary, folder: Path) -> _Found:
    file = summary.files[0]
    name = file.relative_to(folder).with_name(stem_of(file)).as_posix()
    patient = str(summary.attributes.get("patient_id") or "").strip()
    return _Found(summary, file, name, patient, BY_HEADER if patient else "")


def _told(items: Sequence[_Found], pattern: str | None, *, like: Sequence[_Found] | None = None) -> list[_Found]:
    """The same with their patients; an image that the pattern does not fit is refused, such a mask is nobody's."""
    if like is not None and not items:
        return []
    told, others = tell_patients(items, pattern=pattern, like=like)
    reasons = {one.path: one.reason for one in others}
    # a patient of its own, so that it joins nobody's scans
    refused = [replace(item, patient=item.name, refusal=reasons[item.path]) for item in items if item.path in reasons]
    return [*told, *refused]


def _fits(item: _Found, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in item.names)


def _source(item: _Found, masks: Sequence[_Found], folder: Path, *, normal: bool) -> Source:
    own = [mask for mask in masks if _is_of(mask, item)]
    # a patient may have masks of several images: those on the grid of this one
    fitting = [mask for mask in own if _on_grid(mask.summary, item.summary)]
    near = [mask for mask in fitting if mask.folder == item.folder]
    named = [mask for mask in near if PurePath(mask.name).name.startswith(PurePath(item.name).name)]
    chosen = (named if len(near) > 1 else near) or near or fitting  # the nearest: by name, by folder, by grid
    refusal = item.refusal or item.summary.refusal or ""
    title = item.summary.files[0]
    if not refusal and len(chosen) > 1:
        refusal = f"{title}: expected one mask, got {len(chosen)}: {', '.join(str(m.summary.files[0]) for m in chosen)}"
    if not refusal and not chosen and not normal:
        refusal = f"{title}: expected a mask on its grid to tell normal slices, got none of {len(own)} of its patient"
    mask = chosen[0].summary if len(chosen) == 1 else None
    name = item.summary.uid or item.summary.files[0].relative_to(folder).as_posix()
    return Source(
        patient=item.patient,
        name=name if item.summary.volume is None else f"{name} volume {item.summary.volume}",
        image=tuple(str(file) for file in item.summary.files),
        label=() if mask is None else tuple(str(file) for file in mask.files),
        image_label=0 if mask is None and normal else None,
        refusal=refusal,
        told_by=item.told_by or "a refused name",
        volume=item.summary.volume,
        include=(item.summary.category,) if item.summary.category else (),
    )


def _is_of(mask: _Found, image: _Found) -> bool:
    """Whether a mask is of an image's patient; of a patient that a file's name stands for, it lies beside the image."""
    if image.told_by != BY_NAME:
        return mask.patient == image.patient
    named = PurePath(mask.name).name.startswith(PurePath(image.name).name)
    return mask.folder == image.folder and (named or len(PurePath(image.name).parts) > 1)


def _on_grid(mask: SeriesSummary, image: SeriesSummary) -> bool:
    """Whether a mask is on an image's grid, perhaps with its axes in another order; a sparse SEG says so when read."""
    if mask.attributes.get("modality") == "SEG":
        frames = {one.attributes.get("frame_of_reference_uid") for one in (mask, image)}
        return len(frames) == 1 and frames != {""}  # a SEG holds only slices with a lesion: no shape to compare
    if mask.affine is None or image.affine is None or mask.shape is None or image.shape is None:
        return False
    if mask.shape == image.shape and np.abs(mask.affine - image.affine).max() <= GRID_TOLERANCE:
        return True
    return turns_onto(mask.shape, mask.affine, image.shape, image.affine) is not None

"""Summary of a model's training scans in counts and ranges, and the comparison of another scan with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from os import PathLike
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from qfae_monai import __version__
from qfae_monai.data.acquisition import IMAGE_SUFFIXES
from qfae_monai.files import checked, read_object, shown, write_json
from qfae_monai.files.schema import choice, items, number, optional, record, text, whole
from qfae_monai.model.differences import differences
from qfae_monai.model.scan_features import (
    NOT_STATED,
    OBLIQUE_PLANE,
    PLANES,
    STATED,
    Kind,
    ScanFeatures,
    features_of,
)
from qfae_monai.reading import Series, read_series
from qfae_monai.reading.quiet_libraries import quiet_libraries

__all__ = ["ScanFingerprint", "Spread", "fingerprint_of_files"]

VERSION = 1  # of the file's layout
MOST = 200  # scans that are looked at, evenly taken: their least and most are those of nearly all

Scan = str | PathLike | Series | Sequence[str | PathLike] | Mapping[str, Any]

SPREAD = record({"least": number(), "median": number(), "most": number()})
SCHEMA = record(
    {
        "version": whole(1),
        "software": text(),
        "kind": choice("volume", "image"),
        "scans": whole(1),
        "looked_at": whole(1),
        "unreadable": whole(),  # scans, left out of everything below
        "patients": optional(whole(1)),
        "modalities": record({}, dict.fromkeys((*sorted(STATED), NOT_STATED), whole(1))),
        "planes": record({}, dict.fromkeys((*PLANES, OBLIQUE_PLANE), whole(1))),
        "spacing": optional(items(SPREAD, fewest=2, most=3)),
        "size": items(SPREAD, fewest=2, most=3),
        "field_of_view": optional(items(SPREAD, fewest=2, most=3)),
        "slices": SPREAD,
        "intensity_low": optional(SPREAD),
        "intensity_high": optional(SPREAD),
        "intensity_width": optional(SPREAD),
    }
)
"""Schema of `fingerprint.json`."""


class Spread(NamedTuple):
    """A number over several scans."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Collection[float]) -> Spread:
        """Of at least one value."""
        return cls(float(min(values)), float(median(values)), float(max(values)))


@dataclass(frozen=True)
class ScanFingerprint:
    """The training scans in counts and ranges; nothing that tells a person.

    Attributes:
        kind: of the scans.
        scans: number of training scans; `looked_at` of them were read, beside `unreadable` ones.
        patients: number of patients; None where it is not known.
        modalities, planes: how many of those looked at.
        spacing: mm along each axis as in `ScanFeatures`; None where no scan states it.
        size: voxels along the same axes; `field_of_view`: mm; `slices`: in the plane of each scan.
        intensity_low, intensity_high, intensity_width: of the foreground's range, in the unit of the files.

    Example:
        >>> from dataclasses import replace
        >>> scan = ScanFeatures("volume", "MR", (1.0, 1.0, 4.0), (256, 256, 24), "axial", 24, (10.0, 900.0))
        >>> ScanFingerprint.of([scan]).outside(replace(scan, modality="CT"))
        ['the modality is CT: that of the training scans is MR']
    """

    kind: Kind
    scans: int
    looked_at: int
    unreadable: int
    patients: int | None
    modalities: dict[str, int]
    planes: dict[str, int]
    spacing: tuple[Spread, ...] | None
    size: tuple[Spread, ...]
    field_of_view: tuple[Spread, ...] | None
    slices: Spread
    intensity_low: Spread | None
    intensity_high: Spread | None
    intensity_width: Spread | None

    @classmethod
    def of(
        cls,
        features: Sequence[ScanFeatures],
        *,
        patients: int | None = None,
        scans: int | None = None,
        unreadable: int = 0,
    ) -> ScanFingerprint:
        """
        Args:
            features: of the scans that were looked at.
            patients: number of patients.
            scans: number of training scans, where not all were looked at.
            unreadable: number of further scans that were looked at and could not be read.

        Raises:
            ValueError: if there are no scans, or volumes and images among them.
        """
        kinds = Counter(one.kind for one in features)
        if len(kinds) != 1:  # mm of volumes and pixels of images have no common range
            came = " and ".join(f"{count} {kind}s" for kind, count in kinds.items()) or "none"
            raise ValueError(f"expected training scans of one kind, volumes or images, got {came}")
        spacings = [one.spacing for one in features if one.spacing is not None]
        # mm; scans without spacing have none
        fields_of_view = [one.field_of_view for one in features if one.field_of_view is not None]
        # unit of the file; constant scans have none
        ranges = [one.intensity for one in features if one.intensity is not None]
        return cls(
            kind=features[0].kind,
            scans=len(features) + unreadable if scans is None else scans,
            looked_at=len(features),
            unreadable=unreadable,
            patients=patients,
            modalities=dict(sorted(Counter(one.modality for one in features).items())),
            planes=dict(sorted(Counter(one.plane for one in features if one.plane is not None).items())),
            spacing=_by_axis(spacings) if spacings else None,
            size=_by_axis([one.size for one in features]),
            field_of_view=_by_axis(fields_of_view) if fields_of_view else None,
            slices=Spread.of([one.slices for one in features]),
            intensity_low=Spread.of([low for low, _ in ranges]) if ranges else None,
            intensity_high=Spread.of([high for _, high in ranges]) if ranges else None,
            intensity_width=Spread.of([high - low for low, high in ranges]) if ranges else None,
        )

    @classmethod
    def read(cls, path: Path) -> ScanFingerprint:
        """Read a file that `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no fingerprint, or one of a newer version; the message names file and key.
        """
        content = read_object(path, what="a fingerprint of training scans")
        if content.get("version") != VERSION:
            raise ValueError(
                f"{path}: expected a fingerprint of training scans of version {VERSION}, got "
                f"{shown(content.get('version'))} (written by qfae-monai {shown(content.get('software'))})"
            )
        checked(content, SCHEMA, path, what="a fingerprint of training scans")
        _check_fits(content, path)
        values = {field.name: _plain(content[field.name]) for field in fields(cls)}
        return cls(**values)

    def save(self, path: Path) -> None:
        """Write JSON, whole or not at all.

        Raises:
            ValueError: if it could not be read again.
        """
        write_json(path, checked(self._content(), SCHEMA, path))

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, which identifies the fingerprint."""
        return sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()

    def outside(
        self, features: ScanFeatures, *, slice_axis: int | None = None, slice_range: Sequence[int] | None = None
    ) -> list[str]:
        """Sentences on properties of a scan that lie outside of the training scans; empty if all lie inside.

        Args:
            features: of the scan.
            slice_axis: axis of the patient that the model cuts across: 0 left to right, 1 back to front, 2 foot to
                head; None for the scan's own plane.
            slice_range: first and last index along it that the model scores; None for all.
        """
        return differences(self, features, slice_axis, slice_range)

    def _content(self) -> dict[str, Any]:
        found = {field.name: _named(getattr(self, field.name)) for field in fields(self)}
        return {"version": VERSION, "software": __version__, **found}


def fingerprint_of_files(
    scans: Sequence[Scan], *, most: int = MOST, patients: int | None = None, allow: Collection[str] = ()
) -> ScanFingerprint:
    """Fingerprint of training scans, read as training reads them.

    Args:
        scans: files, folders of DICOM, lists of its files, entries of a data list, or series that were read.
        most: so many are looked at, evenly taken; the others are counted.
        patients: number of patients.
        allow: risks that the reader lets pass, as in `qfae_monai.reading.read_series`.

    Raises:
        ValueError: if none of those looked at can be read; one that cannot is counted.
    """
    taken = [scans[place * len(scans) // most] for place in range(most)] if len(scans) > most else scans
    found: list[ScanFeatures] = []
    reasons: list[str] = []
    with quiet_libraries():
        for scan in taken:
            try:
                found.append(_features(scan, allow))
            except (ValueError, OSError, MemoryError) as error:  # which is what both readers turn anything into
                reasons.append(str(error))
    if not found:
        raise ValueError(
            f"expected training scans that can be read, got none of {len(taken)}; the first: "
            f"{reasons[0] if reasons else 'there is none'}"
        )
    kind = Counter(one.kind for one in found).most_common(1)[0][0]  # a localiser of one slice is no training volume
    kept = [one for one in found if one.kind == kind]
    return ScanFingerprint.of(kept, patients=patients, scans=len(scans), unreadable=len(taken) - len(kept))


def _features(scan: Scan, allow: Collection[str]) -> ScanFeatures:
    if isinstance(scan, Series):
        return features_of(scan)
    entry: Mapping[str, Any] = scan if isinstance(scan, Mapping) else {"image": scan}
    image = entry["image"]
    if isinstance(image, str | PathLike) and str(image).lower().endswith(IMAGE_SUFFIXES):
        return features_of(Path(image))
    chosen = {key: entry[key] for key in ("volume", "include") if key in entry}
    return features_of(read_series(image, allow=allow, **chosen))


def _by_axis(scans: Sequence[Sequence[float]]) -> tuple[Spread, ...]:
    return tuple(Spread.of(axis) for axis in zip(*scans, strict=True))


def _named(value: Any) -> Any:
    """Spreads with their names, for JSON."""
    if isinstance(value, Spread):
        return value._asdict()
    return [_named(one) for one in value] if isinstance(value, tuple) else value


def _plain(value: Any) -> Any:
    """Spreads as they were before `_named`."""
    if isinstance(value, list):
        return tuple(map(_plain, value))
    return Spread(**value) if isinstance(value, dict) and value.keys() == {*Spread._fields} else value


def _check_fits(content: dict[str, Any], path: Path) -> None:
    """Refuse ranges that are upside down, and axes that do not fit the kind."""
    axes = 3 if content["kind"] == "volume" else 2
    for key, value in content.items():
        spreads = value if isinstance(value, list) else [value] if isinstance(value, dict) and "least" in value else []
        if any(not one["least"] <= one["median"] <= one["most"] for one in spreads):
            raise ValueError(f"{path}: {key}: expected least, median and most in ascending order, got others")
        if isinstance(value, list) and len(value) != axes:
            raise ValueError(f"{path}: {key}: expected {axes} axes of {content['kind']}s, got {len(value)}")
    if (content["spacing"] is None) != (content["field_of_view"] is None):
        raise ValueError(f"{path}: expected spacing and field_of_view, or neither, got one of them")
    known = [content[f"intensity_{part}"] is not None for part in ("low", "high", "width")]
    if len(set(known)) > 1:
        raise ValueError(f"{path}: expected intensity_low, intensity_high and intensity_width, or none, got some")

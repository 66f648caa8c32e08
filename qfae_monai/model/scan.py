"""One scan of a training, before and after it was looked at, and what was left aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qfae_monai.data.patients import warnings_on
from qfae_monai.reading.left_aside import LeftAside, counted

__all__ = ["SECTIONS", "Features", "Found", "LeftAside", "Scan", "counted"]

SHOWN = 3  # backgrounds that a line names
SECTIONS = ("training", "validation", "test")


@dataclass(frozen=True)
class Features:
    """Features of a scan that planning needs.

    Attributes:
        shape: voxels in the order that they are stored in, or rows and columns of an image.
        spacing: mm along each of these; None for an image, whose file does not say.
        plane: patient axis that the slices lie across: 0 left to right, 1 posterior to anterior, 2 inferior to
            superior; None where all spacings are alike, and for an image.
        axes: patient axis of each stored axis; None for an image.
        levels: minimum, percentiles 0.5, 50 and 99.5 and maximum of the values, in the scan's unit.
        modality: of the DICOM header; `CT` where values tell Hounsfield units; empty where nothing tells.
        bits: that each value is stored in; 0 where they are no whole numbers.
        sha256: of shape and values, by which the same scan under two names is found.
        background: of a volume, as `Background.name`; empty for an image.
        overshoots: whether voxels lie below the background.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    plane: int | None
    axes: tuple[int, ...] | None
    levels: tuple[float, float, float, float, float]
    modality: str
    bits: int
    sha256: str
    background: str = ""
    overshoots: bool = False

    def slices(self, axis: int) -> int:
        """Number of slices across a patient axis; 1 for an image."""
        return 1 if self.axes is None else self.shape[self.axes.index(axis)]

    def matrix(self, axis: int) -> tuple[int, int]:
        """Pixels of a slice across a patient axis, or of an image."""
        sides = self.shape if self.axes is None else [self.shape[self.axes.index(a)] for a in range(3) if a != axis]
        return int(sides[0]), int(sides[1])


@dataclass(frozen=True)
class Scan:
    """One volume or image.

    Attributes:
        path: file, or folder of DICOM files.
        files: that it is read from.
        kind: `volume` or `image`.
        name: path below what the user pointed at, without suffix.
        patient: whose it is. Real names and numbers of patients stand here: never write it, see `write_datalist`.
        told_by: how the patient was told, in words.
        label: `normal`, `abnormal` or `unknown`.
        mask: file of lesions on the scan's grid, above 0 is lesion.
        section: that a data list or prepared folder put it in; None where patients are to be split.
        sequence: what tells apart scans of one visit, such as `T1w`.
        visit: folder, or study of DICOM.
        volume: which one of several in its series; all of them are one patient's, and of one visit.
        include: kinds of what is no scan that it is one of.
        columns: what a data list says of it besides, by key; its `class` may be a folder's name.
        features: None before it was read.
    """

    path: Path
    files: tuple[Path, ...]
    kind: str
    name: str
    patient: str = ""
    told_by: str = ""
    label: str = "normal"
    mask: Path | None = None
    section: str | None = None
    sequence: str = ""
    visit: str = ""
    modality: str = ""
    volume: str | int | None = None
    include: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict, compare=False)
    features: Features | None = field(default=None, compare=False)

    @property
    def looked_at(self) -> Features:
        """Its features, of a scan that was read."""
        assert self.features is not None, "a scan that look() gave"
        return self.features


@dataclass(frozen=True)
class Found:
    """Scans that were found for a training.

    Attributes:
        scans: by path.
        left_aside: with reasons.
        patients_told_by: how patients were told apart, in one sentence.
        layout: `folder`, `BIDS data set`, `data list` or `prepared folder`.
    """

    scans: tuple[Scan, ...]
    left_aside: tuple[LeftAside, ...]
    patients_told_by: str
    layout: str

    @property
    def kind(self) -> str:
        """`volume` or `image`: all scans are of one kind."""
        return self.scans[0].kind

    def sentences(self) -> list[str]:
        """Report of the scans for the screen; names no patient."""
        patients = len({scan.patient for scan in self.scans})
        labels = Counter(scan.label for scan in self.scans)
        counts = ", ".join(f"{labels[label]} {label}" for label in ("normal", "abnormal", "unknown") if labels[label])
        lines = [f"{counted(len(self.scans), self.kind)} of {counted(patients, 'patient')} ({self.layout}): {counts}"]
        lines.append(self.patients_told_by)
        lines += [f"warning: {warning}" for warning in warnings_on(self.scans)]
        lines += _backgrounds([scan.features for scan in self.scans if scan.features is not None])
        for kind, reasons in _by_kind(self.left_aside).items():
            others = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            lines.append(f"left aside, {kind}: {len(reasons)}; {reasons[0]}{others}")
        return lines


def _backgrounds(features: Sequence[Features]) -> list[str]:
    """Lines that count the backgrounds of the volumes, and a warning where voxels lie below them."""
    counts = Counter(one.background for one in features if one.background).most_common()
    if not counts:
        return []
    others = sum(count for _, count in counts[SHOWN:])
    parts = [f"{name} in {counted(count, 'volume')}" for name, count in counts[:SHOWN]]
    lines = [f"background: {', '.join(parts)}" + (f", others in {others}" if others else "")]
    below = sum(one.overshoots for one in features)
    if below:
        lines.append(
            f"warning: {below} of {counted(len(features), 'volume')} with voxels below the background, as resampling "
            "leaves them: they are taken for background"
        )
    return lines


def _by_kind(left_aside: Iterable[LeftAside]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in left_aside:
        found.setdefault(one.kind, []).append(one.reason)
    return dict(sorted(found.items()))

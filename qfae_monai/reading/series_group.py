"""Files that make one series, and the volumes that they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from qfae_monai.reading.dicom_file import DicomFile
from qfae_monai.reading.dicom_frames import frames_of
from qfae_monai.reading.geometry_guard import stack_frames
from qfae_monai.reading.geometry_risks import Stack
from qfae_monai.reading.left_aside import PICTURE_MODALITIES, LeftAside
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.volume_choice import Choice, chosen_volume
from qfae_monai.reading.volume_files import VolumeHeader

__all__ = [
    "Group",
    "Grouped",
    "is_one_slice",
    "is_picture",
    "mixture_of",
    "named_errors",
    "number_of",
    "places_of",
    "stacks_of",
    "stated_of",
    "text_of",
    "volume_names",
]

SHOWN = 3  # damaged files that a refusal names


@dataclass
class Group:
    """Files that make one series, or one file that cannot be read.

    Attributes:
        identity: of DICOM: series, patient, study, frame of reference, kind; and object where each is an image.
        dicom: headers.
        volume: the file of another format.
        problems: why it is refused: what is wrong with damaged files that belong to it.
        damaged: these files.
        source: the file that cannot be read, where it belongs to nothing.
        notes: what was found in putting it together.
        kind: of `KINDS`, of what has pixels; empty for a scan.
    """

    identity: tuple[str, ...]
    dicom: list[DicomFile] = field(default_factory=list)
    volume: SourceFile | None = None
    problems: list[ValueError] = field(default_factory=list)
    damaged: list[SourceFile] = field(default_factory=list)
    source: SourceFile | None = None
    notes: list[str] = field(default_factory=list)
    kind: str = ""

    @property
    def name(self) -> Path:
        """Of its first file."""
        file = self.dicom[0].source if self.dicom else self.volume or self.source
        assert file is not None
        return file.name

    @property
    def is_picture(self) -> bool:
        """Whether it is one image by itself, such as a radiograph."""
        return len(self.dicom) == 1 and is_picture(self.dicom[0])

    def check(self) -> None:
        """Refuse a series with damaged files: what is left of it would be taken for all of it.

        Raises:
            ValueError: names them.
        """
        if not self.problems:
            return
        if not self.damaged:
            raise self.problems[0]
        shown = "; ".join(str(problem) for problem in self.problems[:SHOWN])
        total = len(self.dicom) + len(self.damaged)
        raise ValueError(f"{self.name.parent}: {len(self.damaged)} of the {total} files of the series damaged: {shown}")


@dataclass
class Grouped:
    """Files of a source, sorted into series, pictures and the rest.

    Attributes:
        groups: series, volumes and files that cannot be read.
        pictures: image files.
        aside: what is none of these.
    """

    groups: list[Group] = field(default_factory=list)
    pictures: list[SourceFile] = field(default_factory=list)
    aside: list[LeftAside] = field(default_factory=list)


def is_picture(header: DicomFile) -> bool:
    return header.frame_count == 1 and str(header.values.get("Modality")) in PICTURE_MODALITIES and not header.kind


def is_one_slice(group: Group) -> bool:
    return len(group.dicom) == 1 and group.dicom[0].frame_count == 1 and group.dicom[0].mosaic is None


def text_of(header: Mapping[str, Any] | Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


@contextmanager
def named_errors(name: Path) -> Iterator[None]:
    """Whatever a damaged file leads to, in reading its header too, becomes a ValueError with its name."""
    try:
        yield
    except ValueError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # errors of decoders written in Rust are no Exception
        raise ValueError(
            f"{name}: expected a readable series, got a damaged one ({type(error).__name__}: {error})"
        ) from error


# Volumes that a group of files holds, from headers alone: stacks of slices, or places along a fourth axis.


def stacks_of(group: Group, choice: Choice, allow: frozenset[str]) -> tuple[Stack, ...]:
    frames = [frame for file in group.dicom for frame in frames_of(file)]
    name = group.dicom[0].source.name
    title = str(name if len(group.dicom) == 1 else name.parent)
    return stack_frames(frames, title=title, volume=choice, allow=allow)


def stated_of(group: Group, stack: Stack) -> dict[str, Any]:
    excess = sum(file.excess > 0 for file in group.dicom)
    behind = [f"{excess} files have bytes behind their pixels, which are left out"] if excess else []
    if any(file.mosaic is not None for file in group.dicom):
        behind.append("slices taken from sheets on which they lie side by side (mosaic)")
    return {"notes": (*group.notes, *behind, *stack.notes), "volumes": len(stack.volumes)}


def mixture_of(group: Group) -> tuple[str, ...]:
    uids = sorted({str(file.values.get("SeriesInstanceUID")) for file in group.dicom})
    return (f"mixed-series: {len(uids)} series read as one",) if len(uids) > 1 else ()


def places_of(source: SourceFile, header: VolumeHeader, choice: Choice) -> tuple[int, ...]:
    """Indices of the chosen volumes along the fourth axis, from 0."""
    if len(header.shape) > 4:
        raise ValueError(f"{source.name}: expected 3 axes, or 4 with volumes, got shape {header.shape}")
    names = volume_names(header)
    return chosen_volume(choice, names, [{} for _ in names], str(source.name))


def volume_names(header: VolumeHeader) -> list[str]:
    count = header.shape[3] if len(header.shape) > 3 else 1
    return [f"volume {number} of {count}" for number in range(1, count + 1)]


def number_of(place: int, header: VolumeHeader) -> int | None:
    return place + 1 if len(header.shape) > 3 else None

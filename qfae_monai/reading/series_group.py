"""Files that make one series, and what a source holds of such groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from qfae_monai.reading.dicom_file import DicomFile
from qfae_monai.reading.dicom_kinds import PICTURE_MODALITIES
from qfae_monai.reading.left_aside import LeftAside
from qfae_monai.reading.series_files import SourceFile

__all__ = ["Group", "Grouped", "is_one_slice", "is_picture", "named_errors", "text_of"]

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
        kind: of ``KINDS``, of what has pixels; empty for a scan.
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
            f"{name}: expected a readable series, got a damaged one ({type(error).__name__}: {error})."
        ) from error

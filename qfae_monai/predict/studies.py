"""Studies to score in a folder, archive or file: DICOM series, volumes, images, each with a unique name."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from qfae_monai.files import sha256_of_files
from qfae_monai.privacy.identifiers import plain_name
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading import Series, SeriesSummary, contents_of, read_series
from qfae_monai.reading.left_aside import INCLUDABLE, LeftAside
from qfae_monai.reading.series_files import VOLUME_SUFFIXES
from qfae_monai.reading.series_summary import MODALITIES
from qfae_monai.reading.volume_choice import Choice
from qfae_monai.reading.voxel_check import check_voxels
from qfae_monai.reading.voxel_files import voxel_files

__all__ = ["folder_name", "short_hash", "told_apart"]

# Names of result folders: whatever a file is called, its results get a plain folder that is no file of ours.

SHORT = 8  # hexadecimal digits of a hash in a name
LONGEST = 180  # bytes of UTF-8: file systems take 255, and an unfinished folder's name is longer
FORBIDDEN = '<>:"/\\|?*'  # by some file systems
OURS = (".json", ".csv", ".html", ".key", ".lock", ".log", ".partial", ".unfinished")  # files beside result folders
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
WORDS = {"report", "summary"}  # of files beside them, too


def folder_name(text: str) -> str:
    """A name that every file system takes as it is, and that neither the software nor Windows keeps for itself.

    Args:
        text: what the results would be called.

    Example:
        >>> folder_name("anna T1"), folder_name("Summary.JSON"), folder_name("aux.v2. ")
        ('anna T1', 'Summary.JSON-study', 'study-aux.v2')
    """
    name = unicodedata.normalize("NFC", plain_name(text))
    name = "".join("_" if letter in FORBIDDEN else letter for letter in name).strip(". ")
    if not name:
        return f"unnamed-{short_hash(text)}"
    if len(name.encode()) > LONGEST:
        name = f"{name.encode()[:LONGEST].decode(errors='ignore').strip('. ')}-{short_hash(text)}"
    lower = name.casefold()
    if lower.split(".")[0].strip() in DEVICES:
        return f"study-{name}"
    return f"{name}-study" if lower.endswith(OURS) or lower in WORDS else name


def told_apart(names: Iterable[str]) -> list[str]:
    """The same names in their order; those that occur again (a.png beside a.jpg, or beside A.png) get a number."""
    taken: set[str] = set()
    kept = []
    for name in names:
        other, count = name, 1
        while other.casefold() in taken:
            count += 1
            other = f"{name}-{count}"
        taken.add(other.casefold())
        kept.append(other)
    return kept


def short_hash(text: str) -> str:
    """A few digits that tell one text from another."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:SHORT]


RADIOGRAPH = "DICOM image"  # kind of a single image in DICOM
MAX_NUMBER = 9999  # of a series in a name


@dataclass(frozen=True)
class Study:
    """One series, volume or image.

    name: of its results, which holds nothing that a DICOM header says of a person.
    kind: `DICOM`, `NIfTI`, `NRRD`, `MetaImage`, `image` or `unreadable`.
    source: what the user pointed at; `files`: what it is read from, within it.
    series: which one within an archive; None where the files alone say it.
    refusal: why it cannot be read, where the headers say so already.
    pseudonyms: what its results are named by where they are anonymous.
    volume: which one, from 1, where its series has several.
    shape: (X, Y, Z) by its headers; None where they do not say it.
    """

    name: str
    kind: str
    source: Path
    files: tuple[Path, ...]
    series: str | None = None
    refusal: str | None = None
    pseudonyms: Pseudonyms | None = None
    volume: int | None = None
    shape: tuple[int, ...] | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is a single image and no volume."""
        return self.kind in ("image", RADIOGRAPH)

    def under(self, pseudonyms: Pseudonyms) -> Study:
        """The same study under a pseudonym: its results say nothing of its source to who has not the key."""
        return replace(self, name=pseudonyms.study(self.name), pseudonyms=pseudonyms)

    def read(self, allow: Collection[str] = ()) -> Series:
        """The volume, behind the geometry guard.

        Raises:
            ValueError: if it is refused, or its voxels cannot be used.
        """
        if self.refusal is not None:
            raise ValueError(self.refusal)
        found = read_series(list(self.files), volume=self.volume, allow=allow, include=INCLUDABLE)
        check_voxels(found.array, self.files[0], picture=self.is_image)
        return found

    def identity(self) -> str:
        """Hash that identifies the input; a keyed hash of it where results are anonymous."""
        return self.hash() if self.pseudonyms is None else self.pseudonyms.content(self.hash())

    def hash(self) -> str:
        """SHA-256 of the input: of the sums, in ascending order, of all files that its voxels come from.

        File names do not count.

        Raises:
            ValueError: if a header names a file that it must not.
        """
        content = self._content()
        return content if self.volume is None else sha256(f"{content} volume {self.volume}".encode()).hexdigest()

    def _content(self) -> str:
        """SHA-256 of its files, or of its archive and its name in it."""
        if self.series is not None:
            stat = self.source.stat()
            archive = _sha256_of_archive(self.source, stat.st_size, stat.st_mtime_ns)
            return sha256(f"{archive} {self.series}".encode("utf-8", "surrogatepass")).hexdigest()
        files = [file for named in self.files for file in voxel_files(named)]
        if len(files) == 1:
            return sha256_of_files(files)
        sums = sorted(sha256_of_files([file]) for file in files)
        return sha256("".join(sums).encode()).hexdigest()


def find_studies(source: Path, **how: Any) -> list[Study]:
    """All studies of a folder (with its sub-folders), archive or file, in the order of their names.

    Args:
        source: as in `studies_and_rest`.
        how: as there.
    """
    return studies_and_rest(source, **how)[0]


def studies_and_rest(
    source: Path,
    *,
    series: str | None = None,
    volume: Choice = None,
    allow: Collection[str] = (),
    include: Collection[str] = (),
) -> tuple[list[Study], tuple[LeftAside, ...]]:
    """All studies of a source, in the order of their names, and what of it is none.

    Args:
        source: folder, .zip, DICOM file, NIfTI, NRRD or MetaImage file, or an image file.
        series: UID, number, description or file name of those wanted; None for all.
        volume: of series that have several, as in `qfae_monai.reading.read_series`; `all` makes a study of each.
        allow: risks that may pass, as in `qfae_monai.reading.read_series`.
        include: kinds that are no scans, and are wanted all the same.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if nothing in it can be scored, or none is called `series`.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: expected a folder, file or .zip archive with studies, got no such path")
    contents = contents_of(source, volume=volume, allow=allow, include=include)
    inside = source.suffix.lower() == ".zip" and source.is_file()
    pictures = () if inside else contents.pictures  # images are read from files of their own
    images = [_image(path, source) for path in pictures if series in (None, path.name)]
    wanted = [summary for summary in contents.series if series is None or summary.matches(series)]
    found = [*images, *(_study(summary, source) for summary in wanted)]
    if not found:
        others = f"{len(contents.series)} others" if contents.series else "none"
        aside = "; ".join(dict.fromkeys(f"{one.kind} ({one.reason})" for one in contents.aside))
        left = f"; left aside: {aside}" if aside else ""
        raise ValueError(f"{source}: expected {_expected(series)}, got {others}: `qfae check` lists them{left}")
    found.sort(key=lambda study: study.name)
    names = told_apart(study.name for study in found)
    return [replace(study, name=name) for study, name in zip(found, names, strict=True)], contents.aside


def _image(path: Path, source: Path) -> Study:
    return Study(_path_name(path, source), "image", source, (path,))


def _study(summary: SeriesSummary, source: Path) -> Study:
    first = summary.files[0]
    if summary.kind == "DICOM":
        modality, number = str(summary.attributes.get("modality")), summary.number
        numbered = [str(number)] if number is not None and 0 <= number <= MAX_NUMBER else []
        name = "-".join(
            [
                modality if modality in MODALITIES else "DICOM",
                *numbered,
                short_hash(summary.uid + (str(first.name) if summary.picture else "")),
            ]
        )
    elif first.name.lower().endswith(VOLUME_SUFFIXES):
        name = _path_name(first, source)
    else:
        name = f"unreadable-{short_hash(str(first))}"
    if summary.volume is not None:
        name = f"{name}-volume-{summary.volume}"
    kind = RADIOGRAPH if summary.picture else summary.kind
    inside = None  # which one it is within an archive
    if source.suffix.lower() == ".zip" and source.is_file():
        inside = f"{summary.uid} {first.relative_to(source) if first.is_relative_to(source) else first}".strip()
    return Study(name, kind, source, summary.files, inside, summary.refusal, volume=summary.volume, shape=summary.shape)


def _path_name(path: Path, source: Path) -> str:
    """Path below the source without suffix, in one word."""
    folder = path.parent.relative_to(source) if path != source and path.is_relative_to(source) else Path()
    suffix = next((end for end in VOLUME_SUFFIXES if path.name.lower().endswith(end)), path.suffix)
    return folder_name("_".join((*folder.parts, path.name[: len(path.name) - len(suffix)])))


@lru_cache(maxsize=1)
def _sha256_of_archive(path: Path, size: int, changed: int) -> str:
    """Of an archive as it is now: its series come one after another, and it is read once for all of them."""
    return sha256_of_files([path])


def _expected(series: str | None) -> str:
    return "DICOM, NIfTI, NRRD, MetaImage or image files" if series is None else f"a series named {series!r}"

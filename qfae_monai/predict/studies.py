"""What there is to score in a folder, archive or file: DICOM series, volumes, images, each with a name of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from qfae_monai.data import Series, SeriesSummary, find_series, read_series
from qfae_monai.data.file_features import IMAGE_SUFFIXES
from qfae_monai.data.prepare.pseudonyms import Pseudonyms
from qfae_monai.data.series_attributes import MODALITIES
from qfae_monai.data.series_files import VOLUME_SUFFIXES, files_below, is_hidden
from qfae_monai.data.voxel_files import voxel_files
from qfae_monai.files import sha256_of_files
from qfae_monai.predict.folder_names import folder_name, short_hash, told_apart

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
    """

    name: str
    kind: str
    source: Path
    files: tuple[Path, ...]
    series: str | None = None
    refusal: str | None = None
    pseudonyms: Pseudonyms | None = None

    def under(self, pseudonyms: Pseudonyms) -> Study:
        """The same study under a pseudonym: its results say nothing of its source to who has not the key."""
        return replace(self, name=pseudonyms.study(self.name), pseudonyms=pseudonyms)

    def read(self, allow: Collection[str] = ()) -> Series:
        """The volume, behind the geometry guard.

        Raises:
            ValueError: if it is refused, or has one slice only.
        """
        if self.refusal is not None:
            raise ValueError(self.refusal)
        found = read_series(list(self.files), allow=allow)
        if found.array.shape[2] == 1:
            raise ValueError(
                f"{self.files[0]}: expected a volume of several slices, got one slice; a single image is scored as "
                f"{' or '.join(IMAGE_SUFFIXES[:2])} by a model that was trained on images"
            )
        return found

    def identity(self) -> str:
        """What tells the input again: its hash, or the keyed hash of that where results are anonymous."""
        return self.hash() if self.pseudonyms is None else self.pseudonyms.content(self.hash())

    def hash(self) -> str:
        """SHA-256 of the input: of the sums, in ascending order, of all files that its voxels come from.

        File names do not count.

        Raises:
            ValueError: if a header names a file that it must not.
        """
        if self.series is not None:
            stat = self.source.stat()
            archive = _sha256_of_archive(self.source, stat.st_size, stat.st_mtime_ns)
            return sha256(f"{archive} {self.series}".encode("utf-8", "surrogatepass")).hexdigest()
        files = [file for named in self.files for file in voxel_files(named)]
        if len(files) == 1:
            return sha256_of_files(files)
        sums = sorted(sha256_of_files([file]) for file in files)
        return sha256("".join(sums).encode()).hexdigest()


def find_studies(source: Path, *, series: str | None = None, allow: Collection[str] = ()) -> list[Study]:
    """All studies of a folder (with its sub-folders), archive or file, in the order of their names.

    Args:
        source: folder, .zip, DICOM file, NIfTI, NRRD or MetaImage file, or an image file.
        series: UID, number, description or file name of those wanted; None for all.
        allow: risks that may pass, as in `qfae_monai.data.read_series`.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if nothing in it can be scored, or none is called `series`.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: expected a folder, file or .zip archive with studies, got no such path")
    images = [_image(path, source) for path in _image_files(source) if series in (None, path.name)]
    volumes: list[SeriesSummary] = []
    if source.is_dir() or not images:
        volumes = _summaries(source, allow, lenient=bool(images))
    wanted = [summary for summary in volumes if series is None or summary.matches(series)]
    found = [*images, *(_study(summary, source) for summary in wanted)]
    if not found:
        others = f"{len(volumes)} others: `qfae check` lists them" if volumes else "none"
        raise ValueError(f"{source}: expected {_expected(series)}, got {others}")
    found.sort(key=lambda study: study.name)
    names = told_apart(study.name for study in found)
    return [replace(study, name=name) for study, name in zip(found, names, strict=True)]


def _summaries(source: Path, allow: Collection[str], *, lenient: bool) -> list[SeriesSummary]:
    try:
        return find_series(source, allow=allow)
    except FileNotFoundError:
        if lenient:
            return []
        raise


def _image_files(source: Path) -> list[Path]:
    paths = [source] if source.is_file() else files_below(source)
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path, source)]


def _image(path: Path, source: Path) -> Study:
    return Study(_path_name(path, source), "image", source, (path,))


def _study(summary: SeriesSummary, source: Path) -> Study:
    first = summary.files[0]
    if summary.kind == "DICOM":
        modality, number = str(summary.attributes.get("modality")), summary.number
        numbered = [str(number)] if number is not None and 0 <= number <= MAX_NUMBER else []
        name = "-".join([modality if modality in MODALITIES else "DICOM", *numbered, short_hash(summary.uid)])
    elif first.name.lower().endswith(VOLUME_SUFFIXES):
        name = _path_name(first, source)
    else:
        name = f"unreadable-{short_hash(str(first))}"
    inside = source.suffix.lower() == ".zip"
    return Study(
        name, summary.kind, source, summary.files, (summary.uid or str(first)) if inside else None, summary.refusal
    )


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

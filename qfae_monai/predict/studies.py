"""What there is to score in a folder, archive or file: DICOM series, volumes, images, each with a name of its own."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from qfae_monai.data import Series, SeriesSummary, find_series, read_series
from qfae_monai.data.series_files import VOLUME_SUFFIXES, is_hidden
from qfae_monai.data.voxel_files import voxel_files
from qfae_monai.file_names import is_file_name
from qfae_monai.files import sha256_of_files

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SHORT = 8  # hexadecimal digits of a hash in a name


@dataclass(frozen=True)
class Study:
    """One series, volume or image.

    name: of its results, which holds nothing that a DICOM header says of a person.
    kind: `DICOM`, `NIfTI`, `NRRD`, `MetaImage`, `image` or `unreadable`.
    source: what the user pointed at; `files`: what it is read from, within it.
    series: which one within an archive; None where the files alone say it.
    refusal: why it cannot be read, where the headers say so already.
    """

    name: str
    kind: str
    source: Path
    files: tuple[Path, ...]
    series: str | None = None
    refusal: str | None = None

    def read(self, allow: Collection[str] = ()) -> Series:
        """The volume, behind the geometry guard.

        Raises:
            ValueError: if it is refused, or has one slice only.
        """
        if self.refusal is not None:
            raise ValueError(self.refusal)
        if self.series is None:
            found = read_series(list(self.files), allow=allow)
        else:
            found = read_series(self.source, series=self.series, allow=allow)
        if found.array.shape[2] == 1:
            raise ValueError(
                f"{self.files[0]}: expected a volume of several slices, got one slice; a single image is scored as "
                f"{' or '.join(IMAGE_SUFFIXES[:2])} by a model that was trained on images"
            )
        return found

    def hash(self) -> str:
        """SHA-256 of the input: of the sums, in ascending order, of all files that its voxels come from.

        File names do not count.

        Raises:
            ValueError: if a header names a file that it must not.
        """
        if self.series is not None:
            return sha256(f"{sha256_of_files([self.source])} {self.series}".encode()).hexdigest()
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
        raise ValueError(f"{source}: expected {_expected(series)}, got {_listed(volumes)}")
    return _distinct(sorted(found, key=lambda study: study.name))


def _summaries(source: Path, allow: Collection[str], *, lenient: bool) -> list[SeriesSummary]:
    try:
        return find_series(source, allow=allow)
    except FileNotFoundError:
        if lenient:
            return []
        raise


def _image_files(source: Path) -> list[Path]:
    paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path, source)]


def _image(path: Path, source: Path) -> Study:
    return Study(_path_name(path, source), "image", source, (path,))


def _study(summary: SeriesSummary, source: Path) -> Study:
    first = summary.files[0]
    if summary.kind == "DICOM":
        modality, number = summary.attributes.get("modality"), summary.number
        parts = [str(modality or "DICOM"), *([] if number is None else [str(number)]), _short(summary.uid)]
        name = "-".join("".join(letter for letter in part if letter.isalnum()) for part in parts)
    elif first.name.lower().endswith(VOLUME_SUFFIXES):
        name = _path_name(first, source)
    else:
        name = f"unreadable-{_short(str(first))}"
    inside = source.suffix.lower() == ".zip"
    return Study(
        name, summary.kind, source, summary.files, (summary.uid or str(first)) if inside else None, summary.refusal
    )


def _path_name(path: Path, source: Path) -> str:
    """Path below the source without suffix, in one word."""
    folder = path.parent.relative_to(source) if path != source and path.is_relative_to(source) else Path()
    suffix = next((end for end in VOLUME_SUFFIXES if path.name.lower().endswith(end)), path.suffix)
    name = "_".join((*folder.parts, path.name[: len(path.name) - len(suffix)]))
    readable = os.fsencode(name).decode("utf-8", "replace")  # of another encoding than the system's
    return readable if is_file_name(readable) else f"unnamed-{_short(str(path))}"


def _short(text: str) -> str:
    return sha256(os.fsencode(text)).hexdigest()[:SHORT]


def _distinct(studies: Iterable[Study]) -> list[Study]:
    """Names that occur again (a.png beside a.jpg, or beside A.png) get a number."""
    taken: set[str] = set()
    kept = []
    for study in studies:
        name, count = study.name, 1
        while name.casefold() in taken:
            count += 1
            name = f"{study.name}-{count}"
        taken.add(name.casefold())
        kept.append(replace(study, name=name))
    return kept


def _expected(series: str | None) -> str:
    return "DICOM, NIfTI, NRRD, MetaImage or image files" if series is None else f"a series named {series!r}"


def _listed(volumes: list[SeriesSummary]) -> str:
    return "none" if not volumes else "; ".join(str(summary) for summary in volumes[:20])

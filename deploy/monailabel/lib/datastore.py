"""The folder of studies: volumes as MONAI Label's own store lists them, and DICOM series, one a sub-folder."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore

from qfae_monai.data.series_files import VOLUME_SUFFIXES
from qfae_monai.predict.result import save_volume
from qfae_monai.predict.studies import Study, find_studies

CONVERTED = ".nifti"  # folder within the studies
CLOCK = 2.0  # seconds that some file systems round times to
NIFTI = (".nii", ".nii.gz")
TRIED = 20  # files of a folder that may be something else before its first DICOM file


class StudyDatastore(LocalDatastore):
    """Studies by id: the name of a volume without suffix, or of a folder that holds one DICOM series.

    Viewers and the training get NIfTI: of any other format a copy, which holds pixels and grid and nothing else of a
    header, is written when it is first asked for. `source` is the original, which is what is scored.

    Args:
        studies: folder.
    """

    def __init__(self, studies: str) -> None:
        extensions = [f"*{suffix}" for suffix in VOLUME_SUFFIXES]
        super().__init__(studies, extensions=extensions, auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD)
        self.studies = Path(studies)

    def source(self, image_id: str) -> Path:
        """File or folder of a study as it came.

        Raises:
            FileNotFoundError: if there is no such study.
        """
        if image_id not in self.list_images():
            self.refresh()  # a folder that came after the start
        path = super().get_image_uri(image_id)
        if not path:
            known = sorted(self.list_images())
            raise FileNotFoundError(
                f"image {image_id!r}: expected one of the {len(known)} studies of {self.studies} "
                f"({', '.join(known[:10])}{' ...' if len(known) > 10 else ''}), got no such name"
            )
        return Path(path)

    def get_image_uri(self, image_id: str) -> str:
        """Path of a study as NIfTI; empty if there is no such study, as callers in MONAI Label expect.

        Raises:
            ValueError: if it is refused.
        """
        path = super().get_image_uri(image_id)
        return path if not path or path.endswith(NIFTI) else str(self._converted(image_id, Path(path)))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        info = super().get_image_info(image_id)
        if info and not info["path"].endswith(NIFTI):
            info["path"] = str(self._copy(image_id))
        return info

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        self._init_from_datastore_file()  # scoring runs in a process of its own and writes to the same file
        super().update_image_info(image_id, info)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        self._init_from_datastore_file()
        return super().save_label(image_id, label_filename, label_tag, label_info)

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        found = super()._list_files(path, patterns)
        if path == self._datastore.image_path():
            found.update({folder.name: folder.name for folder in Path(path).iterdir() if _holds_series(folder)})
        return {name: file for name, file in found.items() if not name.startswith(".")}

    def _to_id(self, file: str) -> tuple[str, str]:
        folder = os.path.isdir(os.path.join(self._datastore.image_path(), file))
        return (file, "") if folder else super()._to_id(file)  # a folder may be called 1.2.840

    def _copy(self, image_id: str) -> Path:
        return self.studies / CONVERTED / f"{image_id}.nii.gz"

    def _converted(self, image_id: str, source: Path) -> Path:
        copy, when = self._copy(image_id), modified(source)
        if not copy.is_file() or abs(copy.stat().st_mtime - when) > CLOCK:
            series = study_of(source).read()
            copy.parent.mkdir(exist_ok=True)
            partial = copy.with_name(f".{os.getpid()}.{copy.name}")
            save_volume(partial, series.array, series.affine)
            os.utime(partial, (when, when))  # a source may be replaced by an older one
            partial.replace(copy)
        return copy


def study_of(source: Path) -> Study:
    """The one study of a file or folder.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if there is none in it, or several.
    """
    found = find_studies(source)
    if len(found) > 1:
        names = ", ".join(study.name for study in found[:10])
        raise ValueError(f"{source}: expected one series in a folder, got {len(found)}: {names}; give each its own")
    return found[0]


def modified(source: Path) -> float:
    """When a file, or the newest file of a folder, was written last; seconds since 1970."""
    files = [source, *source.rglob("*")] if source.is_dir() else [source]
    return max(file.stat().st_mtime for file in files if file.exists())  # a link may lead nowhere


def _holds_series(folder: Path) -> bool:
    return folder.is_dir() and any(_is_dicom(file) for file in islice(sorted(folder.iterdir()), TRIED))


def _is_dicom(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return file.suffix.lower() == ".dcm" or stream.read(132)[128:] == b"DICM"

"""The folder of studies: volumes as MONAI Label's own store lists them, and DICOM series, one a sub-folder."""

from __future__ import annotations

import logging
import os
import shutil
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any

from filelock import FileLock
from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore, LocalDatastoreModel

from lib.names import TAG, confined, is_study_name, suffix_of
from qfae_monai.files import read_object
from qfae_monai.predict.result import save_volume
from qfae_monai.predict.studies import Study, find_studies
from qfae_monai.reading.nifti_grid import drops_shear
from qfae_monai.reading.series_files import VOLUME_SUFFIXES

CONVERTED, LABELS = ".nifti", "labels"  # folders within the studies
CLOCK = 2.0  # seconds that some file systems round times to
NIFTI = (".nii", ".nii.gz")
TRIED = 20  # files of a folder that may be something else before its first DICOM file

logger = logging.getLogger(__name__)


class StudyDatastore(LocalDatastore):
    """Studies by id: the name of a volume without suffix, or of a folder that holds one DICOM series.

    Viewers and the training get NIfTI: of any other format, or where a qform drops the shear of tilted CT, a copy. It
    holds pixels and grid and nothing else of a header, and is written when it is first asked for. `source` is the
    original, which is what is scored. Nothing that is called otherwise than a study may be, or that a link leads out of
    the folder, is listed, read, written or removed.

    Args:
        studies: folder.
    """

    def __init__(self, studies: str) -> None:
        self.studies = Path(studies)
        self._left_out: set[str] = set()
        self._reconciling = RLock()
        extensions = [f"*{suffix}" for suffix in VOLUME_SUFFIXES]
        super().__init__(studies, extensions=extensions, auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD)

    def source(self, image_id: str) -> Path:
        """File or folder of a study as it came.

        Raises:
            FileNotFoundError: if there is no such study.
            ValueError: if it, or a file of it, is a link out of the studies.
        """
        if image_id not in self.list_images():
            self.refresh()  # a folder that came after the start
        path = self._stored(image_id)
        if path is None:
            known = sorted(self.list_images())
            raise FileNotFoundError(
                f"image {image_id!r}: expected one of the {len(known)} studies of {self.studies} "
                f"({', '.join(known[:10])}{' ...' if len(known) > 10 else ''}), got no such name"
            )
        for entry in path.rglob("*") if path.is_dir() else ():
            if entry.is_symlink():
                confined(entry, self.studies)
        return path

    def get_image_uri(self, image_id: str) -> str:
        """Path of a study as NIfTI; empty if there is no such study, as callers in MONAI Label expect.

        Raises:
            ValueError: if it is refused.
        """
        if self._stored(image_id) is None:
            return ""
        path = self.source(image_id)
        return str(path if _is_handed_on(path) else self._converted(image_id, path))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        info = super().get_image_info(image_id)
        if info:
            info["name"] = Path(info["path"]).name  # viewers call a file so
            info["path"] = info["path"] if _is_handed_on(Path(info["path"])) else str(self._copy(image_id))
        return info

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        path = super().get_label_uri(label_id, label_tag)
        return path and str(confined(Path(path), self.studies))

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        self._init_from_datastore_file()  # scoring runs in a process of its own and writes to the same file
        super().update_image_info(image_id, info)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        self._init_from_datastore_file()
        folder = confined(self.studies / LABELS / label_tag, self.studies / LABELS)
        place = folder / f"{image_id}{suffix_of(label_filename)}"
        if place.is_symlink():
            place.unlink()  # else what it leads to would be written
        return super().save_label(image_id, label_filename, label_tag, label_info)

    def add_study(self, image_id: str, file: Path) -> bool:
        """Move a volume to the studies; False where something there is called so already, which stays as it is."""
        with FileLock(self._lock_file):
            if any(os.path.lexists(self.studies / f"{image_id}{suffix}") for suffix in ("", *VOLUME_SUFFIXES)):
                return False
            file.replace(self.studies / f"{image_id}{suffix_of(file.name)}")
        self.refresh()
        return True

    def remove_image(self, image_id: str) -> None:
        """Remove a study, its labels and its copy.

        Raises:
            FileNotFoundError: if there is no such study.
        """
        path = self.source(image_id)
        for tag in self.get_labels_by_image_id(image_id):
            super().remove_label(image_id, tag)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        self._copy(image_id).unlink(missing_ok=True)
        self.refresh()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        if not self.get_label_uri(label_id, label_tag):
            raise FileNotFoundError(f"label {label_id!r}, tag {label_tag!r}: expected a label, got none")
        super().remove_label(label_id, label_tag)
        self.refresh()

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        before, file = self._datastore, Path(self._datastore_config_path)
        try:
            with FileLock(self._lock_file):
                if file.exists() and file.stat().st_mtime != self._config_ts:
                    read_object(file, what="marks and labels of studies")
        except (ValueError, OSError) as error:
            if throw_exception:
                raise
            logger.warning("kept as it was: %s", error)
            return
        super()._init_from_datastore_file(throw_exception)
        if self._datastore is not before:
            self._only_names(self._datastore)

    def _reconcile_datastore(self) -> None:
        with self._reconciling:  # a request may come while the thread that watches the folder is at it
            super()._reconcile_datastore()

    def _only_names(self, known: LocalDatastoreModel) -> None:
        """Keep of a file that anybody may have written what is called as studies and labels are."""
        known.images_dir, known.labels_dir = ".", LABELS
        for image_id, item in list(known.objects.items()):
            item.labels = {
                tag: label for tag, label in item.labels.items() if TAG.fullmatch(tag) and label.ext in VOLUME_SUFFIXES
            }
            if item.image.ext not in ("", *VOLUME_SUFFIXES) or not self._is_listed(f"{image_id}{item.image.ext}"):
                del known.objects[image_id]

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        found = super()._list_files(path, patterns)
        if path == self._datastore.image_path():
            folders = (folder for folder in Path(path).iterdir() if not folder.name.startswith("."))
            found.update({folder.name: folder.name for folder in folders if _holds_series(folder)})
            found = {name: file for name, file in found.items() if self._is_listed(name)}
        return {name: file for name, file in found.items() if not name.startswith(".")}

    def _is_listed(self, name: str) -> bool:
        """Whether a file or folder can be a study: by its name, and by where it is, links followed."""
        inside = (self.studies / name).resolve().is_relative_to(self.studies.resolve())
        if inside and is_study_name(self._to_id(name)[0]):
            return True
        if not name.startswith(".") and name not in self._left_out:
            self._left_out.add(name)
            logger.warning("%a: expected the name of a study, and no link out of the studies; not served", name)
        return False

    def _to_id(self, file: str) -> tuple[str, str]:
        folder = os.path.isdir(os.path.join(self._datastore.image_path(), file))
        suffix = "" if folder else next((suffix for suffix in VOLUME_SUFFIXES if file.endswith(suffix)), "")
        return file.removesuffix(suffix), suffix  # a folder may be called 1.2.840

    def _stored(self, image_id: str) -> Path | None:
        known = self._datastore.objects.get(image_id)
        return None if known is None else confined(self.studies / f"{image_id}{known.image.ext}", self.studies)

    def _copy(self, image_id: str) -> Path:
        return self.studies / CONVERTED / f"{image_id}.nii.gz"

    def _converted(self, image_id: str, source: Path) -> Path:
        copy, when = self._copy(image_id), modified(source)
        if copy.is_symlink() or not copy.is_file() or abs(copy.stat().st_mtime - when) > CLOCK:
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


def _is_handed_on(path: Path) -> bool:
    """Whether viewers get the file itself: a NIfTI file that they place as the scan lay, see `set_grid`."""
    return path.name.endswith(NIFTI) and not drops_shear(path)


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

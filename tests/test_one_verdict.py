"""What one entrance accepts all accept, and what one refuses all refuse, in the same words."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from monai.transforms import Compose
from typer.testing import CliRunner

from preprocessing.volumes import Volumes
from qfae_monai.cli import app
from qfae_monai.data import input_datalist, volume_datalist
from qfae_monai.model.runs import Data
from qfae_monai.predict.finding import scan_of
from qfae_monai.predict.studies import find_studies
from qfae_monai.reading import LoadSeriesd
from qfae_monai.transforms import CheckVolumed
from tests.reading import dicom_factory as factory

VOXELS = np.random.default_rng(3).integers(1, 900, (6, 5, 4)).astype(np.int16)
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])
RAW = nib.Nifti1Image(VOXELS, AFFINE).to_bytes()


def saved(values: np.ndarray, codes: int = 1) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        image = nib.Nifti1Image(values, AFFINE)
        image.set_sform(AFFINE, codes)
        image.set_qform(AFFINE, codes)
        nib.save(image, path)

    return write


def no_offset(path: Path) -> None:
    content = bytearray(RAW)
    content[108:112] = np.float32(0).tobytes()  # vox_offset
    path.write_bytes(bytes(content))


def nrrd(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS.T), str(path))


def dicom(path: Path) -> None:
    factory.series(path, Modality="MR")


def no_preamble(path: Path) -> None:
    for number, file in enumerate(factory.series(path, Modality="MR")):
        file.with_name(f"1.2.840.{number}").write_bytes(file.read_bytes()[132:])
        file.unlink()


def truncated(path: Path) -> None:
    path.write_bytes(gzip.compress(RAW[:-40]))


def incomplete(path: Path) -> None:
    factory.series(path, shuffle=False, skip=[2])


def colours() -> np.ndarray:
    values = np.zeros(VOXELS.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for name in "RGB":
        values[name] = VOXELS // 6
    return values


NANS = np.where(VOXELS < 100, np.nan, VOXELS).astype(np.float32)
ACCEPTED: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "plain": ("a.nii.gz", saved(VOXELS)),
    "gzip named .nii": ("a.nii", lambda path: path.write_bytes(gzip.compress(RAW))),
    "plain named .nii.gz": ("a.nii.gz", lambda path: path.write_bytes(RAW)),
    "colours": ("a.nii.gz", saved(colours())),
    "one time point": ("a.nii.gz", saved(VOXELS[..., None])),
    "big endian": ("a.nii", saved(VOXELS.astype(">i2"))),
    "codes of 0": ("a.nii.gz", saved(VOXELS, 0)),
    "NRRD": ("a.nrrd", nrrd),
    "MetaImage": ("a.mha", nrrd),
    "DICOM": ("a", dicom),
    "DICOM without preamble": ("a", no_preamble),
    "upper case": ("A.NII.GZ", lambda path: path.write_bytes(gzip.compress(RAW))),
    "odd name": ("a b ü.v2 $HOME.nii.gz", saved(VOXELS)),
}
REFUSED: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "NaN": ("a.nii.gz", saved(NANS), f"expected finite voxels, got {int(np.isnan(NANS).sum())} of 120 NaN"),
    "constant": ("a.nii.gz", saved(np.full_like(VOXELS, 7)), "expected an image, got 7 in every voxel"),
    "constant colours": ("a.nii.gz", saved(np.zeros_like(colours())), "expected an image, got 0 in every voxel"),
    "two time points": ("a.nii.gz", saved(np.stack([VOXELS, VOXELS + 1], -1)), "expected one volume, got 2: volume 1"),
    "offset of 0": ("a.nii", no_offset, "voxels expected behind 352 bytes of header, got an offset of 0"),
    "truncated": ("a.nii.gz", truncated, "truncated, 592 bytes expected by its header, got 552"),
    "missing slice": ("a", incomplete, "[missing-slice: refused unless allowed by this name]"),
}


def check(path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(path)])
    if result.exit_code:
        raise ValueError(result.output)


def train(path: Path) -> None:
    found = Data(path.parent).look()
    taken = [scan for scan in found.scans if scan.path.is_relative_to(path)]
    if not taken:
        raise ValueError("; ".join(one.reason for one in found.left_aside))


def listed(path: Path) -> None:
    """`qfae train`, `evaluate` and `calibrate` on a data list."""
    found = Data(_list(path)).look()
    if len(found.scans) < 2:
        raise ValueError("; ".join(one.reason for one in found.left_aside))


def predict(path: Path) -> None:
    (study,) = find_studies(path)
    study.read()


def in_python(path: Path) -> None:
    scan_of(path, None)


def bundle_list(path: Path) -> None:
    _loaded(volume_datalist(_list(path), "training")[0])


def bundle_folder(path: Path) -> None:
    (entry,) = (one for one in input_datalist(path.parent) if "other" not in one["case"])
    _loaded(entry)


def prepare(path: Path) -> None:
    recipe = Volumes(normal=True)
    (source,) = (one for one in recipe.find(path.parent) if not one.image[0].endswith("other.nii.gz"))
    if source.refusal:
        raise ValueError(source.refusal)
    assert list(recipe.cut(source))


def _list(path: Path) -> Path:
    entries = [{"image": name, "image_label": 0, "patient": name} for name in (path.name, "other.nii.gz")]
    place = path.parent / "dataset.json"
    place.write_text(json.dumps({"training": entries[:1], "validation": entries[1:]}))
    return place


def _loaded(entry: dict[str, Any]) -> None:
    try:
        Compose([LoadSeriesd(["image", "label"], allow_missing_keys=True), CheckVolumed()])(entry)
    except RuntimeError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise cause from None


ENTRANCES = [check, train, listed, predict, in_python, bundle_list, bundle_folder, prepare]
pytestmark = pytest.mark.filterwarnings("ignore")


def _place(folder: Path, name: str, write: Callable[[Path], Any]) -> Path:
    saved(VOXELS[::-1])(folder / "other.nii.gz")
    write(folder / name)
    return folder / name


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("kind", ACCEPTED)
def test_all_accept(tmp_path: Path, kind: str, entrance: Callable[[Path], None]) -> None:
    entrance(_place(tmp_path, *ACCEPTED[kind]))


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("kind", REFUSED)
def test_all_refuse_in_the_same_words(tmp_path: Path, kind: str, entrance: Callable[[Path], None]) -> None:
    name, write, sentence = REFUSED[kind]
    path = _place(tmp_path, name, write)
    with pytest.raises(ValueError, match="expected") as caught:
        entrance(path)
    assert sentence in " ".join(str(caught.value).split())


@pytest.mark.parametrize("entrance", [check, listed, predict, in_python, bundle_list])
def test_one_slice_that_is_named_is_refused(tmp_path: Path, entrance: Callable[[Path], None]) -> None:
    path = _place(tmp_path, "a.nii.gz", saved(VOXELS[..., :1]))
    with pytest.raises(ValueError, match="expected") as caught:
        entrance(path)
    assert "a.nii.gz: expected a volume of several slices, got one slice" in " ".join(str(caught.value).split())


def test_what_file_managers_leave_is_no_scan_at_any_entrance(tmp_path: Path) -> None:
    path = _place(tmp_path, "a.nii.gz", saved(VOXELS))
    for name in ("._a.nii.gz", ".DS_Store", "Thumbs.db", "__MACOSX/._a.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7" * 20)
    os.symlink("../.git/annex/objects/x/y/z.nii.gz", tmp_path / "gone.nii.gz")
    saved(VOXELS[..., :1])(tmp_path / "flat.nii.gz")
    for entrance in (train, bundle_folder, prepare):
        entrance(path)
    assert {scan.path.name for scan in Data(tmp_path).look().scans} == {"a.nii.gz", "other.nii.gz"}
    assert {study.files[0].name for study in find_studies(tmp_path)} == {"a.nii.gz", "other.nii.gz"}
    assert len(input_datalist(tmp_path)) == len(Volumes(normal=True).find(tmp_path)) == 2
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 0
    assert all(word in result.output for word in ("1 file, dead link", "hidden file", "single-slice", "2 accepted"))

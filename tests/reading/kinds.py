"""Every kind of thing that hospitals' folders hold, made small, with what becomes of it.

`python -m tests.reading.kinds FOLDER` makes one of each, to look at with `qfae check FOLDER`; `test_kinds.py` holds the
reader to this list, and the table in `docs/reading.md` is made from it.
"""

from __future__ import annotations

import gzip
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset

from qfae_monai.reading.left_aside import CLASS
from tests.reading import dicom_factory as factory
from tests.reading.test_mosaic import siemens

READ, PICTURE, REFUSED, ASIDE = "read", "an image by itself", "refused", "left aside"
SHAPE = (6, 24, 20)  # slices, rows, columns
AFFINE = np.diag([-0.9, -0.7, 2.5, 1.0])
Make = Callable[[Path, dict[str, Any]], Any]


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        name: in words.
        make: writes it into a folder, given elements that tell its series from others.
        becomes: `READ`, `PICTURE`, `REFUSED` or `ASIDE`.
        says: what is said of it: a note, a part of the refusal, the kind of what is left aside; empty for nothing.
        option: arguments of `examine` with which it is read; none where nothing changes it.
        series: how many are read or refused.
    """

    name: str
    make: Make
    becomes: str
    says: str = ""
    option: dict[str, Any] = field(default_factory=dict)
    series: int = 1

    @property
    def folder(self) -> str:
        """Name of a folder for it."""
        return re.sub(r"\W+", "-", self.name.split(":")[0].split(",")[0]).strip("-")

    @property
    def typed(self) -> str:
        """The option as it is typed."""
        return " ".join(
            f"--{key} {value[0] if isinstance(value, list) else value}" for key, value in self.option.items()
        )

    def elements(self) -> dict[str, Any]:
        """Identifiers of its own."""
        number = 1 + [one.name for one in KINDS].index(self.name)
        root = f"1.2.826.0.1.3680043.8.498.7.{number}"
        return {
            "PatientID": f"P{number}",
            "StudyInstanceUID": f"{root}.1",
            "SeriesInstanceUID": f"{root}.2",
            "FrameOfReferenceUID": f"{root}.3",
            "SeriesNumber": number,
            "SeriesDescription": self.folder[:40],
        }


def head() -> np.ndarray:
    """(slices, rows, columns) int16: a bright ball on zero, with a different value in each voxel of it."""
    slices, rows, columns = np.meshgrid(*(np.linspace(-1, 1, count) for count in SHAPE), indexing="ij")
    inside = slices**2 / 2 + rows**2 + columns**2 < 0.8
    return np.where(inside, 400 + np.arange(inside.size).reshape(SHAPE) % 300, 0).astype(np.int16)


def stack(folder: Path, own: dict[str, Any], **how: Any) -> list[Path]:
    return factory.series(folder, head(), shuffle=False, **{**own, **how})


def bare(folder: Path, own: dict[str, Any]) -> None:
    """Without preamble, under UIDs."""
    for path in stack(folder, own):
        dataset = pydicom.dcmread(path)
        path.unlink()
        with (folder / str(dataset.SOPInstanceUID)).open("wb") as stream:
            buffer: Any = pydicom.filebase.DicomFileLike(stream)
            buffer.is_implicit_VR, buffer.is_little_endian = True, True
            pydicom.filewriter.write_dataset(buffer, Dataset({element.tag: element for element in dataset}))


def enhanced(folder: Path, own: dict[str, Any]) -> None:
    factory.enhanced(folder / "multi-frame.dcm", head(), [(10, 20, 30 + 2.5 * number) for number in range(6)], **own)


def volumes(folder: Path, own: dict[str, Any], *, last: int = 6) -> None:
    for echo in (1, 2):
        numbers = [6 * (echo - 1) + place + 1 for place in range(6)]
        elements = {"EchoNumbers": echo, "EchoTime": 10 * echo, "InstanceNumber": numbers}
        stack(folder / f"echo{echo}", own, skip=range(last if echo == 2 else 6, 6), **elements)


def patients(folder: Path, own: dict[str, Any]) -> None:
    stack(folder / "a", own)
    stack(folder / "b", {**own, "PatientID": "another"}, origin=(10, 20, 31.25))


def copies(folder: Path, own: dict[str, Any]) -> None:
    for path in stack(folder / "a", own):
        (folder / "b").mkdir(exist_ok=True)
        (folder / "b" / path.name).write_bytes(path.read_bytes())


def twice(folder: Path, own: dict[str, Any]) -> None:
    dataset = pydicom.dcmread(stack(folder, own)[2])
    dataset.PixelData = bytes(len(dataset.PixelData))
    factory.write(folder / "again.dcm", dataset)


def cut(folder: Path, own: dict[str, Any]) -> None:
    last = stack(folder, own)[-1]
    last.write_bytes(last.read_bytes()[:-100])


def without_pixels(number: str) -> Make:
    def make(folder: Path, own: dict[str, Any]) -> None:
        dataset = factory.image(head()[0], **{**own, "SOPClassUID": f"{CLASS}{number}"})
        for keyword in ("PixelData", "Rows", "Columns"):
            del dataset[keyword]
        factory.write(folder / "object.dcm", dataset)

    return make


def directory(folder: Path, own: dict[str, Any]) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.DirectoryRecordSequence = "1.2.840.10008.1.3.10", []
    factory.write(folder / "DICOMDIR", dataset)


def radiograph(folder: Path, own: dict[str, Any]) -> None:
    factory.write(folder / "dx.dcm", factory.image(head()[2], **{**own, "Modality": "DX"}))


def nifti(name: str, array: np.ndarray | None = None, **how: Any) -> Make:
    def make(folder: Path, own: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(head().T if array is None else array, how.get("affine", AFFINE))
        image.header.set_xyzt_units(how.get("units", "mm"))
        data = image.to_bytes()
        (folder / name).write_bytes(gzip.compress(data) if how.get("gzip", name.lower().endswith(".gz")) else data)

    return make


def by_itk(name: str) -> Make:
    def make(folder: Path, own: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(head()), str(folder / name))

    return make


def photograph(folder: Path, own: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray((head()[2] // 4).astype(np.uint8)).save(folder / "slice.png")


def result(folder: Path, own: dict[str, Any]) -> None:
    nifti("anomaly_map.nii.gz")(folder, own)
    (folder / "scores.json").write_text('{"study": "a", "kind": "NIfTI", "input_sha256": "0"}')


def files(*names: str) -> Make:
    def make(folder: Path, own: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).write_bytes(b"for people, not for readers")

    return make


def dead_link(folder: Path, own: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scan.nii.gz").symlink_to("../.git/annex/objects/1/2/MD5E-s9--0/MD5E-s9--0.nii.gz")


def holding(**elements: Any) -> Make:
    return lambda folder, own: stack(folder, {**own, **elements})


def included(kind: str, name: str, **elements: Any) -> Kind:
    return Kind(name, holding(**elements), ASIDE, kind, {"include": [kind]})


TILT = (0.0, np.sin(np.radians(15)), np.cos(np.radians(15)))
EXCESS = [plane.tobytes() + bytes(10) for plane in head()]
KINDS = (
    Kind("DICOM slices, one file each", stack, READ),
    Kind("DICOM without preamble, suffix or known name", bare, READ),
    Kind("enhanced multi-frame DICOM", enhanced, READ),
    Kind("CT with a tilted gantry", lambda folder, own: stack(folder, own, direction=TILT), READ, "gantry tilt"),
    Kind("mosaic", lambda folder, own: siemens(folder / "mosaic.dcm", **own), READ, "mosaic"),
    Kind(
        "mosaic that does not say how many slices it has",
        lambda folder, own: siemens(folder / "mosaic.dcm", tiles=False, **own),
        REFUSED,
        "[mosaic]",
    ),
    Kind(
        "several volumes in one series: echoes, b-values, phases, time points",
        volumes,
        REFUSED,
        "volume 2 of 2: echo 2 of 2, TE 20 ms",
        {"volume": "echo=2"},
    ),
    Kind(
        "interrupted acquisition",
        lambda folder, own: volumes(folder, own, last=3),
        READ,
        "interrupted: 1 incomplete volumes left out",
    ),
    Kind(
        "NIfTI with four axes",
        nifti("bold.nii.gz", np.stack([head().T, head().T + 1], axis=-1)),
        REFUSED,
        "volume 1 of 2",
        {"volume": "2"},
    ),
    Kind(
        "slices of two patients, studies or frames of reference under one series UID",
        patients,
        READ,
        "its series UID is also that of slices of other patients",
        series=2,
    ),
    Kind(
        "a frame of reference for each slice",
        holding(FrameOfReferenceUID=[f"1.2.{number}" for number in range(6)]),
        REFUSED,
        "[frames-of-reference]",
    ),
    Kind("the same objects again", copies, READ, "6 identical copies left out"),
    Kind(
        "the same object again with other pixels",
        twice,
        REFUSED,
        "duplicate-position",
        {"allow": ["duplicate-position"]},
    ),
    Kind(
        "a slice missing within",
        lambda folder, own: stack(folder, own, skip=[2]),
        REFUSED,
        "missing-slice",
        {"allow": ["missing-slice"]},
    ),
    Kind("a truncated file, also at the end of a stack", cut, REFUSED, "1 of the 6 files of the series damaged"),
    Kind(
        "bytes behind the pixels",
        holding(PixelData=EXCESS),
        READ,
        "6 files have bytes behind their pixels, which are left out",
    ),
    Kind("one slice alone", lambda folder, own: stack(folder, own, skip=range(1, 6)), ASIDE, "single-slice"),
    Kind(
        "single-frame radiograph: CR, DX, MG, IO, PX, RG, OP, XC, ES, GM, RTIMAGE",
        radiograph,
        PICTURE,
        "a single image, for models of images",
    ),
    included("localiser", "localiser or scout", ImageType="ORIGINAL\\PRIMARY\\LOCALIZER"),
    included("secondary-capture", "secondary capture", SOPClassUID=f"{CLASS}7"),
    included("segmentation", "DICOM segmentation", SOPClassUID=f"{CLASS}66.4", Modality="SEG"),
    included("parametric-map", "parametric map", SOPClassUID=f"{CLASS}30"),
    included("dose", "radiotherapy dose", SOPClassUID=f"{CLASS}481.2", Modality="RTDOSE"),
    included("own-result", "DICOM result of this software", ManufacturerModelName="QFAE for MONAI"),
    Kind("result folder of this software", result, ASIDE, "own-result"),
    Kind("structured report", without_pixels("88.33"), ASIDE, "report"),
    Kind("key object selection", without_pixels("88.59"), ASIDE, "key-object"),
    Kind("presentation state", without_pixels("11.1"), ASIDE, "presentation-state"),
    Kind("structure set, plan or record of radiotherapy", without_pixels("481.3"), ASIDE, "radiotherapy"),
    Kind("raw data of a scanner", without_pixels("66"), ASIDE, "raw-data"),
    Kind("registration", without_pixels("66.1"), ASIDE, "registration"),
    Kind("encapsulated document", without_pixels("104.1"), ASIDE, "document"),
    Kind("waveform or spectrum", without_pixels("9.1.1"), ASIDE, "waveform"),
    Kind("DICOMDIR", directory, ASIDE, "dicomdir"),
    Kind("NIfTI", nifti("scan.nii.gz"), READ),
    Kind(
        "NIfTI under a wrong name: gzip as .nii, plain as .nii.gz, suffix in capitals",
        nifti("SCAN.NII", gzip=True),
        READ,
    ),
    Kind(
        "NIfTI in metre or micrometre",
        nifti("scan.nii", affine=AFFINE * [[1e3], [1e3], [1e3], [1]], units="micron"),
        READ,
        "lengths are stored in micrometre",
    ),
    Kind("NRRD", by_itk("scan.nrrd"), READ),
    Kind("MetaImage", by_itk("scan.mha"), READ),
    Kind(
        "a volume with NaN or infinite voxels",
        nifti("scan.nii.gz", np.where(head() == 0, np.nan, head()).T.astype(np.float32)),
        REFUSED,
        "NaN or infinite",
    ),
    Kind("a volume of one value", nifti("scan.nii.gz", np.full(SHAPE[::-1], 7, np.int16)), REFUSED, "7 in every voxel"),
    Kind("PNG, JPEG, BMP, TIFF", photograph, PICTURE),
    *(
        (Kind("links that lead nowhere, as git-annex and DataLad leave them", dead_link, ASIDE, "dead link"),)
        if os.name != "nt"
        else ()
    ),
    Kind("files of file managers and archivers", files("._a.nii.gz", ".DS_Store", "Thumbs.db"), ASIDE, "hidden file"),
    Kind("any other file", files("notes.txt"), ASIDE, "no image"),
)


def make_all(folder: Path) -> None:
    """One of each kind, in a folder of its own."""
    for kind in KINDS:
        kind.make(folder / kind.folder, kind.elements())


def table() -> str:
    """Rows of the table in `docs/reading.md`."""
    rows = ["| kind | what becomes of it | what is said | what changes it |", "|---|---|---|---|"]
    for kind in KINDS:
        said = f"`{kind.says}`" if kind.says else ""
        typed = f"`{kind.typed}`" if kind.option else ""
        rows.append(f"| {kind.name} | {kind.becomes} | {said} | {typed} |")
    return "\n".join(rows)


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))

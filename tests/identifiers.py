"""Identifiers planted wherever a file can hold one, and a byte search for them in whatever was written."""

from __future__ import annotations

import base64
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image, PngImagePlugin

from tests.reading.dicom_factory import series

DICOM: dict[str, Any] = {
    "PatientName": "Zqpatient^Name",
    "PatientID": "ZQID-4711",
    "PatientBirthDate": "19350723",
    "AccessionNumber": "ZQACC99",
    "InstitutionName": "Zqhospital",
    "ReferringPhysicianName": "Zqdoctor",
    "StudyID": "ZQSTUDY",
    "StudyInstanceUID": "1.2.777.31.1",
    "SeriesInstanceUID": "1.2.777.31.2",
    "FrameOfReferenceUID": "1.2.777.31.3",
    "SeriesDescription": "zqdescription",
    "ImageComments": "zqcomment",
    "PatientComments": "zqremark",
    "OperatorsName": "Zqoperator",
    "StationName": "ZQSTATION",
    "PatientTelephoneNumbers": "0049555777",
    "SeriesNumber": 555777,
    "IssuerOfPatientID": "ZQISSUER",
    "StudyDescription": "zqstudywords",
    "StudyDate": "19871103",
    "DeviceSerialNumber": "ZQSERIAL",
    "ProtocolName": "zqprotocol",
    "PositionReferenceIndicator": "zqreference",
    "DeidentificationMethod": "zqremoved",
    "LossyImageCompression": "ZQLOSSY",
    "LossyImageCompressionMethod": "ZQMETHOD",
    "SOPClassUID": "1.2.777.31.6",
    "Modality": "ZQMODALITY",
}
INSTANCE = "1.2.777.31.5"
IN_HEADERS = [
    *(str(value) for value in DICOM.values() if value != 555777),
    "555777",
    INSTANCE,
    "zqprivate",
    "zqoverlay",
    "zqdescrip",
    "zqauxfile",
    "zqdatabase",
    "zqintent",
    "zqextension",
    "zqnrrd",
    "zqmeta",
    "zqdimension",
    "zqmagic",
    "zqpngtext",
    "zqexif",
    "zqsyntax",
    "zqrows",
    "zqzipcomment",
]
IN_NAMES = ["zqfile", "zqfolder", "zqmember"]
PIXELS = np.random.default_rng(0).integers(0, 900, (4, 32, 32)).astype(np.int16)


def write_identifiable(folder: Path) -> Path:
    """A folder of studies, good and damaged, with an identifier in each place of a header and in each name."""
    for name in ("zqfolder/good", "zqfolder/bad"):
        elements = DICOM | {"SOPInstanceUID": [f"{INSTANCE}.{number}" for number in range(len(PIXELS))]}
        elements |= {"SeriesInstanceUID": "1.2.777.31.4"} if "bad" in name else {}
        for path in series(folder / name, PIXELS, **elements):
            dataset = pydicom.dcmread(path)
            dataset.private_block(0x0011, "zqprivate", create=True).add_new(1, "LO", "zqprivate")
            dataset.add_new(0x60000022, "LO", "zqoverlay")
            dataset.save_as(path.with_name(f"zqfile{path.name}"))
            path.unlink()
    damaged = sorted((folder / "zqfolder/bad").iterdir())
    for number, (tag, kind, text) in enumerate(((0x00280010, "LO", "zqrows"), (0x00280004, "CS", "zqsyntax"))):
        dataset = pydicom.dcmread(damaged[number])
        dataset[tag] = pydicom.DataElement(tag, kind, text)
        dataset.save_as(damaged[number])
    _write_volumes(folder / "zqfolder")
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Comment", "zqpngtext")
    exif = Image.Exif()
    exif[0x010E] = "zqexif"
    Image.fromarray((PIXELS[0] // 4).astype(np.uint8)).save(folder / "zqfile.png", pnginfo=chunks, exif=exif)
    (folder / "zqfile-damaged.png").write_bytes((folder / "zqfile.png").read_bytes()[:300])
    return folder


def write_nifti(path: Path, voxels: np.ndarray) -> Path:
    """A volume with an identifier in each text of its header, and in an extension of it."""
    nifti = nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0]))
    words = {"descrip": "zqdescrip", "aux_file": "zqauxfile", "db_name": "zqdatabase", "intent_name": "zqintent"}
    for field, word in words.items():
        nifti.header[field] = word.encode()
    nifti.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"zqextension"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nifti, path)
    return path


def _write_volumes(folder: Path) -> None:
    write_nifti(folder / "zqfile.nii.gz", PIXELS.T)
    content = bytearray(gzip.decompress((folder / "zqfile.nii.gz").read_bytes()))
    content[344:348] = b"zqm\0"
    (folder / "zqfile-magic.nii").write_bytes(bytes(content).replace(b"zqdescrip", b"zqmagic  "))
    image = sitk.GetImageFromArray(PIXELS)
    image.SetMetaData("zqnrrd", "zqnrrd")
    sitk.WriteImage(image, str(folder / "zqfile.nrrd"))
    image.SetMetaData("zqmeta", "zqmeta")
    sitk.WriteImage(image, str(folder / "zqfile.mha"))
    header = (folder / "zqfile.nrrd").read_bytes().replace(b"dimension: 3", b"dimension: zqdimension")
    (folder / "zqfile-damaged.nrrd").write_bytes(header)


def pack(folder: Path, archive: Path) -> Path:
    """The same as an archive."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.comment = b"zqzipcomment"
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, f"zqmember/{path.relative_to(folder)}")
    return archive


def found_in(folder: Path, words: Iterable[str], *, screen: str = "") -> set[tuple[str, str]]:
    """(file, word) of each word in a file's name or bytes, also inflated, in pages' pictures, and as UTF-16."""
    contents = {str(path.relative_to(folder)): _everything(path) for path in folder.rglob("*") if path.is_file()}
    contents["the screen"] = screen.encode().lower()
    spelled = {word: (word.lower().encode(), word.lower().encode("utf-16-le")) for word in words}
    return {
        (name, word)
        for name, content in contents.items()
        for word, spellings in spelled.items()
        if word.lower() in name.lower() or any(spelling in content for spelling in spellings)
    }


def _everything(path: Path) -> bytes:
    content = path.read_bytes()
    pictures = re.compile(rb"base64,([A-Za-z0-9+/=]+)")
    parts = [pictures.sub(b"", content), *(base64.b64decode(data) for data in pictures.findall(content))]
    if content.startswith(b"\x1f\x8b"):
        parts.append(gzip.decompress(content))
    for picture in parts[:]:
        if picture.startswith(b"\x89PNG"):
            parts += [
                _inflated(picture[place.end() :]) for place in re.finditer(b"IDAT|zTXt[^\\0]*\\0\\0|iCCP", picture)
            ]
    return b"".join(parts).lower()


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data)
    except zlib.error:
        return b""

"""What becomes of each file of a folder of odd DICOM: `python benchmarks/dicom_odd.py FOLDER`; prints a Markdown table.

Each file is read by `read_series` and, apart from it, by pydicom alone (pixels decoded by its own plug-ins, then its
modality lookup, palette and colour conversion); where these differ or pydicom cannot, by SimpleITK (GDCM) alone. The
table says whether the values are the same, or why the file is refused. Where the geometry guard refuses it, it is read
again with all risks allowed, so that its values are compared too.
`--write FILE` puts the table between the marks in a page.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.pixels
import SimpleITK as sitk

from qfae_monai.reading import RISKS, Series, read_series

COLUMNS = ("file", "transfer syntax", "pixels", "values", "by default")
START, END = "<!-- dicom_odd: start -->", "<!-- dicom_odd: end -->"
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def reference(path: Path) -> tuple[np.ndarray, str, str]:
    """(frames, rows, columns) as pydicom alone decodes them, the transfer syntax, and a word on the pixels."""
    dataset = pydicom.dcmread(path, force=True)
    if not hasattr(dataset.file_meta, "TransferSyntaxUID"):
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.840.10008.1.2" + ("" if implicit else ".1"))
    photometric = str(dataset.get("PhotometricInterpretation", "-"))
    syntax = dataset.file_meta.TransferSyntaxUID.name
    frames = int(dataset.get("NumberOfFrames") or 1)
    signed = "signed " if dataset.get("PixelRepresentation") else ""
    bits = dataset.get("BitsStored") or dataset.get("BitsAllocated")
    words = f"{frames} x {dataset.get('Rows')} x {dataset.get('Columns')}, {signed}{bits} bit, {photometric}"
    plain = photometric in ("YBR_FULL", "YBR_FULL_422") and not dataset.file_meta.TransferSyntaxUID.is_compressed
    values = pydicom.pixels.pixel_array(dataset, raw=plain)
    if plain:  # luminance as it is stored
        values = values[..., 0]
    elif photometric == "PALETTE COLOR":
        values = pydicom.pixels.apply_color_lut(values, dataset)[..., :3]
    if (photometric in COLOUR and not plain) or photometric == "PALETTE COLOR":
        values = np.rint(values @ [0.299, 0.587, 0.114])
    elif photometric == "MONOCHROME1":
        values = (1 << int(dataset.BitsStored)) - 1 - values.astype(np.int64)
    values = pydicom.pixels.apply_modality_lut(values, dataset)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    values = np.asarray(values, dtype=float).reshape(frames, int(dataset.Rows), int(dataset.Columns))
    for index, group in enumerate(groups):
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for holder in (group, shared):
            if "PixelValueTransformationSequence" in holder:
                rule = holder.PixelValueTransformationSequence[0]
                values[index] = values[index] * float(rule.RescaleSlope) + float(rule.RescaleIntercept)
                break
    return values, syntax, words


def ours(path: Path) -> tuple[list[Series], str]:
    """Every volume of a file, and what happens by default."""
    try:
        return [read_series(path)], "accepted"
    except ValueError as error:
        reason = str(error).replace(f"{path}: ", "")
    allow = set(RISKS) - {"no-position"}
    volumes = []
    for number in range(1, 1000):
        try:
            volumes.append(read_series(path, volume=number, allow=allow))
        except ValueError:
            break
        if volumes[-1].attributes["volumes"] == number:
            break
    return volumes, f"refused: {reason}"


def by_gdcm(path: Path) -> np.ndarray:
    """(frames, rows, columns) as SimpleITK alone reads the file."""
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    return values.astype(float)


def compare(volumes: list[Series], expected: np.ndarray) -> float:
    """Largest difference of each slice from the frame that is most like it; padding is left out."""
    worst = 0.0
    for series in volumes:
        for index in range(series.array.shape[2]):
            plane = series.array[..., index].T.astype(float)
            valid = np.ones(plane.shape, bool) if series.padding is None else ~series.padding[..., index].T
            if valid.any():
                worst = max(worst, min(np.abs(plane - frame)[valid].max() for frame in expected))
    return worst


def describe(path: Path) -> list[str]:
    """One row of the table."""
    try:
        expected, syntax, words = reference(path)
        problem = ""
    except Exception as error:  # whatever pydicom stumbles over
        expected, syntax, words, problem = np.empty(0), "-", "-", f"pydicom cannot decode it ({type(error).__name__})"
    volumes, outcome = ours(path)
    if not volumes:
        return [path.name, syntax, words, "-", outcome]
    if problem:
        attributes = volumes[0].attributes
        syntax = attributes["transfer_syntax"]
        words = f"{attributes['bits_stored']} bit, {attributes['photometric_interpretation']}"
    difference = None if problem else compare(volumes, expected)
    if difference is not None and difference < 1e-3:
        return [path.name, syntax, words, "same", outcome]
    note = problem or f"pydicom's differ by up to {difference:.4g}"
    try:
        same = compare(volumes, by_gdcm(path)) < 1e-3
    except Exception as error:
        return [path.name, syntax, words, f"{note}; GDCM cannot read it ({type(error).__name__})", outcome]
    return [path.name, syntax, words, f"same as GDCM; {note}" if same else f"{note}; GDCM's differ too", outcome]


def cell(text: str, limit: int = 190) -> str:
    text = " ".join(text.split()).replace("|", "/")
    return text if len(text) <= limit else f"{text[: limit - 4]} ..."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=Path, help=f"page to put the table in, between {START} and {END}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    rows: list[list[str]] = []
    slowest: Any = (0.0, "")
    for path in sorted(arguments.folder.rglob("*.dcm")):
        start = time.perf_counter()
        rows.append([cell(text) for text in describe(path)])
        slowest = max(slowest, (time.perf_counter() - start, path.name))
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    counts = Counter("accepted" if row[4] == "accepted" else "refused" for row in rows)
    same, gdcm = sum(row[3] == "same" for row in rows), sum(row[3].startswith("same as") for row in rows)
    unread = sum(row[3] == "-" for row in rows)
    lines.append(
        f"\n{len(rows)} files: {counts['accepted']} accepted and {counts['refused']} refused by default. "
        f"Values: {same} as pydicom alone decodes them, "
        f"{gdcm} as GDCM alone does, {len(rows) - same - gdcm - unread} neither, "
        f"{unread} not read."
    )
    table = "\n".join(lines)
    print(table)
    print(f"slowest: {slowest[1]}, {slowest[0]:.1f} s")
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        before, rest = page.split(START)
        after = rest.split(END)[1]
        arguments.write.write_text(f"{before}{START}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""`qfae check`: what a folder holds, and what of it would be accepted, before any training."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qfae_monai.cli.options import INCLUDE, VOLUME
from qfae_monai.files import printable
from qfae_monai.screen import echo

if TYPE_CHECKING:
    import numpy as np

    from qfae_monai.data import SeriesSummary

COLUMNS = ("SERIES", "MODALITY", "SHAPE", "SPACING (MM)", "ORIENTATION", "BITS", "PHOTOMETRIC", "RISKS", "RESULT")
PLANES = ("sagittal", "coronal", "axial")
OBLIQUE = 0.5  # degrees between the slices' normal and the next axis of the patient


def check(
    path: Path = typer.Argument(help="Folder, file or .zip of DICOM; NIfTI, NRRD or MetaImage file."),
    allow: list[str] | None = typer.Option(None, help="Risk to let pass, by its name; may be given several times."),
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    headers_only: bool = typer.Option(False, "--headers-only", help="Do not decode pixels: quicker, finds less."),
) -> None:
    """Show series, geometry, bit depth and risks of a folder; exit code 1 if anything would be refused.

    What is no scan is left aside with its reason, and does not change the exit code. No name, identifier or date of a
    patient is printed.
    """
    from qfae_monai.data import contents_of
    from qfae_monai.data.kept_headers import kept_headers, kept_pixels
    from qfae_monai.data.left_aside import lines_of
    from qfae_monai.data.quiet_libraries import quiet_libraries

    rows: list[tuple[str, ...]] = [COLUMNS]
    reasons = []
    with kept_headers(), nullcontext() if headers_only else kept_pixels():
        with quiet_libraries():
            contents = contents_of(path, volume=volume, allow=allow or (), include=include or ())
        for summary in contents.series:
            refusal, notes = summary.refusal, _notes(summary)
            if refusal is None and not headers_only:
                refusal, found = _read(summary, allow or [])
                notes += found
            rows.append(_row(path, summary, notes, refusal))
            if refusal is not None:
                reasons.append(f"{_name(path, summary)}: {refusal}")
    if len(rows) > 1:
        _print_table(rows)
    if contents.pictures:
        echo(f"{len(contents.pictures)} image files, which models of images take")
    for line in lines_of(contents.aside, path):
        echo(line)
    for reason in reasons:
        echo(f"refused: {' '.join(reason.split())}")
    if not contents.series and not contents.pictures:
        raise ValueError(f"{path}: expected DICOM, NIfTI, NRRD or MetaImage images, got none")
    aside = sum(one.files for one in contents.aside)
    left = f", {aside} file{'' if aside == 1 else 's'} left aside" if aside else ""
    echo(f"{len(contents.series) - len(reasons)} accepted, {len(reasons)} refused{left}")
    if reasons:
        raise typer.Exit(1)


def _read(summary: SeriesSummary, allow: list[str]) -> tuple[str | None, list[str]]:
    """Why a series whose header is accepted would still be refused, and what its pixels bring to light."""
    from qfae_monai.data import read_series
    from qfae_monai.data.dicom_kinds import INCLUDABLE
    from qfae_monai.voxel_check import check_voxels

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            found = read_series(list(summary.files), volume=summary.volume, allow=allow, include=INCLUDABLE)
            check_voxels(found.array, found.files[0], picture=summary.picture)
        except (ValueError, OSError) as error:
            return str(error), []
    notes = ["colour reduced to luminance"] if any("luminance" in str(w.message) for w in caught) else []
    notes += [risk for risk in found.risks if risk not in summary.risks]
    if found.padding is not None:
        notes.append(f"{100 * found.padding.mean():.1f} % padding")
    return None, notes


def _name(path: Path, summary: SeriesSummary) -> str:
    """Number and description of a series, else its place below the path."""
    if summary.kind == "DICOM" and (summary.number is not None or summary.description):
        number = "" if summary.number is None else f"{summary.number} "
        return f"{number}{summary.description}".strip()
    first = summary.files[0]
    return str(first.relative_to(path)) if first != path and first.is_relative_to(path) else first.name


def _notes(summary: SeriesSummary) -> list[str]:
    notes = [*summary.risks, *summary.attributes.get("notes", ())]
    if summary.category:
        notes.append(f"{summary.category}, taken in by --include")
    if summary.picture:
        notes.append("a single image, for models of images")
    if summary.attributes.get("burned_in_annotation"):
        notes.append("burned-in annotation")
    if summary.attributes.get("lossy"):
        notes.append("lossy compression")
    return notes


def _row(path: Path, summary: SeriesSummary, notes: list[str], refusal: str | None) -> tuple[str, ...]:
    import numpy as np

    attributes = summary.attributes
    spacing = "-"
    if summary.affine is not None:
        spacing = " x ".join(f"{length:.3g}" for length in np.linalg.norm(summary.affine[:3, :3], axis=0))
    sign = "signed " if attributes.get("signed") else ""
    return (
        _name(path, summary),
        attributes.get("modality") or attributes.get("kind") or "-",
        "-" if summary.shape is None else " x ".join(map(str, summary.shape)),
        spacing,
        "-" if summary.affine is None else _orientation(summary.affine),
        f"{sign}{attributes['bits_stored']}" if "bits_stored" in attributes else "-",
        attributes.get("photometric_interpretation") or "-",
        "; ".join(notes) or "-",
        "accepted" if refusal is None else "refused",
    )


def _orientation(affine: np.ndarray) -> str:
    """The plane of the slices, and by how many degrees it is oblique.

    >>> import numpy as np
    >>> _orientation(np.diag([-1.0, -1.0, 3.0, 1.0]))
    'axial'
    """
    import numpy as np

    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal = np.abs(normal / np.linalg.norm(normal))
    axis = int(normal.argmax())
    angle = float(np.degrees(np.arccos(min(1.0, normal[axis]))))
    return PLANES[axis] if angle < OBLIQUE else f"{PLANES[axis]}, {angle:.0f} degrees oblique"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

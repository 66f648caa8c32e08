"""`qfae check`: what a folder holds, and what of it would be accepted, before any training."""

from __future__ import annotations

import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import typer

from qfae_monai.cli.options import INCLUDE, PATIENT, VOLUME
from qfae_monai.files import write_csv
from qfae_monai.screen import echo

NARROWEST = 60  # letters; a narrower screen breaks lines itself


def check(
    path: Path = typer.Argument(help="DICOM folder, file or .zip; or a NIfTI, NRRD or MetaImage file."),
    allow: list[str] | None = typer.Option(None, help="Name of a risk to accept. Repeatable."),
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    headers_only: bool = typer.Option(
        False, "--headers-only", help="Do not decode pixels: faster, but finds fewer faults."
    ),
    duplicates: bool = typer.Option(
        False, "--duplicates", help="Find near-duplicates, also of a data list or prepared folder and its parts."
    ),
    patient: str | None = PATIENT,
    output: Path | None = typer.Option(None, "-o", "--output", help="CSV file for all pairs of near-duplicates."),
) -> None:
    """Show the series of a folder with geometry, bit depth and risks; exit code 1 if anything would be refused.

    What is no scan is left aside with its reason, and does not change the exit code. No name, identifier or date of a
    patient is printed.
    """
    from qfae_monai.cli.check_page import duplicates_of, page_of
    from qfae_monai.data.examination import examine
    from qfae_monai.reading.dicom_header import kept_headers, kept_pixels
    from qfae_monai.reading.quiet_libraries import quiet_libraries

    if output is not None and not duplicates:
        raise ValueError(f"--output {output}: expected --duplicates beside it, got none: it is the table of these")
    width = max(NARROWEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    if duplicates:
        from qfae_monai.model.duplicates import find_duplicates

        with kept_headers(), quiet_libraries():
            paired = find_duplicates(path, volume=volume, allow=allow or (), include=include or (), patient=patient)
        for line in duplicates_of(paired, width):
            echo(line)
        if output is not None:
            write_csv(output, *paired.table())
        if path.suffix.lower() == ".json":  # a data list, which has no series to show
            return
    with kept_headers(), nullcontext() if headers_only else kept_pixels(), quiet_libraries():
        found = examine(path, volume=volume, allow=allow or (), include=include or (), headers_only=headers_only)
    for line in page_of(found, path, width):
        echo(line)
    if not found.verdicts and not found.pictures:
        raise ValueError(f"{path}: expected DICOM, NIfTI, NRRD or MetaImage images, got none")
    if found.refused:
        raise typer.Exit(1)

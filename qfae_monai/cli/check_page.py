"""The page that `qfae check` prints: what is accepted, what is refused and how to go on, what is left aside."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qfae_monai.data.examination import Examination, Verdict
from qfae_monai.files import printable
from qfae_monai.reading.left_aside import LeftAside, by_kind, counted
from qfae_monai.reading.series_summary import SeriesSummary

if TYPE_CHECKING:
    from qfae_monai.model.duplicates import DuplicateFindings

__all__ = ["duplicates_of", "page_of"]

COLUMNS = ("SERIES", "FILES", "MODALITY", "SHAPE", "SPACING (MM)", "PLANE", "BITS", "PHOTOMETRIC")
PLANES = ("sagittal", "coronal", "axial")
OBLIQUE = 0.5  # degrees between the slices' normal and the next axis of the patient
SHOWN = 3  # names in a line
LONGEST = 44  # letters of a series' name
INDENT = 4


def page_of(found: Examination, path: Path, width: int | None = None) -> list[str]:
    """Lines of the page.

    Args:
        found: what was examined.
        path: that the user gave; places are told below it.
        width: of the screen in letters; None leaves sentences whole, for pipes and files.
    """
    accepted = [one for one in found.verdicts if one.refusal is None]
    lines: list[str] = []
    if accepted:
        lines += ["ACCEPTED", *_table(accepted, path, width), ""]
    if found.refused:
        lines += ["REFUSED: no command reads these", *_refusals(found.refused, path, width), ""]
    if found.pictures:
        lines += [f"IMAGES: {counted(len(found.pictures), 'file')}, which models of images take", ""]
    if found.aside:
        lines += ["LEFT ASIDE: no scans", *_asides(found.aside, path, width), ""]
    aside = sum(one.files for one in found.aside)
    left = f", {counted(aside, 'file')} left aside" if aside else ""
    return [*lines, f"{len(accepted)} accepted, {len(found.refused)} refused{left}"]


def duplicates_of(found: DuplicateFindings, width: int | None = None) -> list[str]:
    """Lines on near-duplicates, in front of the page.

    Args:
        found: as `find_duplicates` gives it.
        width: of the screen in letters; None leaves sentences whole.
    """
    return [
        "NEAR-DUPLICATES",
        *(line for sentence in found.sentences() for line in _wrapped(sentence, width, 2, hanging=2)),
        "",
    ]


def _table(verdicts: Sequence[Verdict], path: Path, width: int | None) -> Iterator[str]:
    """A row for each series, its notes below it."""
    rows = [COLUMNS, *(_row(one.summary, path) for one in verdicts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    notes: list[tuple[str, ...]] = [(), *(one.notes for one in verdicts)]
    for row, several in zip(rows, notes, strict=True):
        yield "  " + "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for note in several:
            yield from _wrapped(f"- {_below_all(note, path)}", width, INDENT, hanging=2)


def _row(summary: SeriesSummary, path: Path) -> tuple[str, ...]:
    attributes = summary.attributes
    spacing = "-"
    if summary.affine is not None:
        spacing = " x ".join(f"{length:.3g}" for length in np.linalg.norm(summary.affine[:3, :3], axis=0))
    sign = "signed " if attributes.get("signed") else ""
    return (
        _name(summary, path),
        str(len(summary.files)),
        attributes.get("modality") or attributes.get("kind") or "-",
        "-" if summary.shape is None else " x ".join(map(str, summary.shape)),
        spacing,
        "-" if summary.affine is None else _plane(summary.affine),
        f"{sign}{attributes['bits_stored']}" if "bits_stored" in attributes else "-",
        attributes.get("photometric_interpretation") or "-",
    )


def _refusals(verdicts: Sequence[Verdict], path: Path, width: int | None) -> Iterator[str]:
    for one in verdicts:
        name = _name(one.summary, path)
        yield f"  {name}"
        yield from _wrapped(_below_all(one.refusal or "", path).removeprefix(f"{name}: "), width, INDENT)


def _asides(aside: Sequence[LeftAside], path: Path, width: int | None) -> Iterator[str]:
    for (kind, reason), several in by_kind(aside).items():
        names = [_below(one.path, path) for one in several]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        count = counted(sum(one.files for one in several), "file")
        yield from _wrapped(f"{count}, {kind}: {reason}", width, 2, hanging=2)
        yield from _wrapped(f"{', '.join(names[:SHOWN])}{more}", width, INDENT)


def _name(summary: SeriesSummary, path: Path) -> str:
    """Number and description of a series and its folder, else its place below the path."""
    first = summary.files[0]
    if summary.kind != "DICOM" or (summary.number is None and not summary.description):
        return printable(_below(first, path))
    number = "" if summary.number is None else f"{summary.number} "
    name = printable(f"{number}{summary.description}".strip())
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
    volume = "" if summary.volume is None else f", volume {summary.volume}"
    folder = first if len(summary.files) == 1 else first.parent
    return f"{name}{volume} in {printable(_below(folder, path))}" if folder != path else f"{name}{volume}"


def _below(path: Path, source: Path) -> str:
    return str(path.relative_to(source)) if path != source and path.is_relative_to(source) else path.name


def _below_all(text: str, source: Path) -> str:
    """A sentence with paths below the source, as the page's other names are."""
    return printable(" ".join(text.replace(f"{source}/", "").split()))


def _wrapped(text: str, width: int | None, indent: int, hanging: int = 0) -> list[str]:
    margin = " " * indent
    if width is None:
        return [f"{margin}{printable(text)}"]
    return textwrap.wrap(
        printable(text), width, initial_indent=margin, subsequent_indent=margin + " " * hanging, break_on_hyphens=False
    )


def _plane(affine: np.ndarray) -> str:
    """The plane of the slices, and by how many degrees it is oblique.

    >>> _plane(np.diag([-1.0, -1.0, 3.0, 1.0]))
    'axial'
    """
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal = np.abs(normal / np.linalg.norm(normal))
    axis = int(normal.argmax())
    angle = float(np.degrees(np.arccos(min(1.0, normal[axis]))))
    return PLANES[axis] if angle < OBLIQUE else f"{PLANES[axis]} {angle:.0f} degrees oblique"

"""Examination of a folder: its content and what would be read, from headers and, unless told otherwise, from voxels."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from qfae_monai.reading.left_aside import INCLUDABLE, LeftAside
from qfae_monai.reading.series import read_series
from qfae_monai.reading.series_contents import contents_of
from qfae_monai.reading.series_summary import SeriesSummary
from qfae_monai.reading.volume_choice import Choice
from qfae_monai.reading.voxel_check import check_voxels

__all__ = ["Examination", "Verdict", "examine"]


@dataclass(frozen=True)
class Verdict:
    """Outcome of the examination for one series, volume file or radiograph.

    Attributes:
        summary: what its header says.
        notes: what is unusual, or was allowed.
        refusal: why no command reads it; None where each does.
    """

    summary: SeriesSummary
    notes: tuple[str, ...]
    refusal: str | None


@dataclass(frozen=True)
class Examination:
    """Outcome of the examination for all files of a folder.

    Attributes:
        verdicts: of series and volume files.
        pictures: image files, which models of images take.
        aside: everything else, with its reason.
    """

    verdicts: tuple[Verdict, ...]
    pictures: tuple[Path, ...]
    aside: tuple[LeftAside, ...]

    @property
    def refused(self) -> tuple[Verdict, ...]:
        """Series and volume files that no command reads."""
        return tuple(one for one in self.verdicts if one.refusal is not None)


def examine(
    path: Path,
    *,
    volume: Choice = None,
    allow: Collection[str] = (),
    include: Collection[str] = (),
    headers_only: bool = False,
) -> Examination:
    """Tell for everything below a path whether it would be read, as every command does it.

    Args:
        path: folder, file or archive.
        volume, allow, include: as in `qfae_monai.reading.read_series`.
        headers_only: whether pixels stay as they are; damage within them is not found then.

    Raises:
        FileNotFoundError: when there is no such path.
        ValueError: when an archive is damaged, or an argument has an unknown name.
    """
    contents = contents_of(path, volume=volume, allow=allow, include=include)
    verdicts = [Verdict(one, _notes(one), one.refusal) for one in contents.series]
    if not headers_only:
        verdicts = [one if one.refusal is not None else _read(one, allow) for one in verdicts]
    return Examination(tuple(verdicts), contents.pictures, contents.aside)


def _read(verdict: Verdict, allow: Collection[str]) -> Verdict:
    """A verdict that its voxels have a part in."""
    summary = verdict.summary
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            found = read_series(list(summary.files), volume=summary.volume, allow=allow, include=INCLUDABLE)
            check_voxels(found.array, found.files[0], picture=summary.picture)
        except (ValueError, OSError) as error:
            return replace(verdict, refusal=str(error))
    notes = ["colour reduced to luminance"] if any("luminance" in str(one.message) for one in caught) else []
    notes += [risk for risk in found.risks if risk not in summary.risks]
    if found.padding is not None:
        notes.append(f"{100 * found.padding.mean():.1f} % padding")
    return replace(verdict, notes=(*verdict.notes, *notes))


def _notes(summary: SeriesSummary) -> tuple[str, ...]:
    notes = [*summary.risks, *summary.attributes.get("notes", ())]
    if summary.category:
        notes.append(f"{summary.category}, taken in by --include")
    if summary.picture:
        notes.append("a single image, for models of images")
    if summary.attributes.get("burned_in_annotation"):
        notes.append("burned-in annotation")
    if summary.attributes.get("lossy"):
        notes.append("lossy compression")
    return tuple(notes)

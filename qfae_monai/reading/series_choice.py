"""Choice of one series among several: by UID, number, description or file."""

from __future__ import annotations

from os import PathLike

from qfae_monai.reading.left_aside import SINGLE_SLICE
from qfae_monai.reading.series_files import SourcePaths
from qfae_monai.reading.series_group import Group, Grouped
from qfae_monai.reading.series_summary import SeriesSummary, whole_number

__all__ = ["chosen_group", "described"]

SHOWN = 5  # kinds of what was left aside that an error names


def chosen_group(found: Grouped, series: str | int | None, source: SourcePaths) -> Group:
    """The group of a series, the only one where none is named.

    Raises:
        ValueError: when there is none, or several; lists them.
    """
    groups = found.groups
    if not groups:
        raise ValueError(_nothing(found, source))
    if series is None and len(groups) == 1:
        return groups[0]
    pairs = [(group, described(group)) for group in groups]
    if series is None:
        for group in groups:  # a damaged image that belongs to nothing may belong to what is asked for
            if not group.dicom and group.volume is None:
                group.check()
    chosen = pairs if series is None else [pair for pair in pairs if pair[1].matches(series)]
    if len(chosen) == 1:
        return chosen[0][0]
    wanted = "one series, or a name to choose one of them" if series is None else f"one series named {series!r}"
    listed = "; ".join(str(summary) for _, summary in (chosen or pairs)[:20])
    more = f"; and {len(chosen or pairs) - 20} more" if len(chosen or pairs) > 20 else ""
    count = f"{len(chosen)} of {len(groups)}" if series is not None else str(len(groups))
    raise ValueError(f"{_title(source)}: expected {wanted}, got {count}: {listed}{more} [mixed-series]")


def _nothing(found: Grouped, source: SourcePaths) -> str:
    reasons = list(dict.fromkeys(f"{one.kind} ({one.reason})" for one in found.aside))
    aside = f"; left aside: {'; '.join(reasons[:SHOWN])}" if reasons else ""
    return f"{_title(source)}: expected DICOM, NIfTI, NRRD or MetaImage images, got none{aside}"


def _title(source: SourcePaths) -> str:
    if isinstance(source, str | PathLike):
        return str(source)
    files = list(source)
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"


def described(group: Group) -> SeriesSummary:
    """Summary of a series for its choice: UID, number and description from the headers."""
    if group.dicom:
        header = group.dicom[0].values
        return SeriesSummary(
            "DICOM",
            (*(file.source.name for file in group.dicom), *(file.name for file in group.damaged)),
            uid=str(header.get("SeriesInstanceUID") or ""),
            number=whole_number(header, "SeriesNumber"),
            description=str(header.get("SeriesDescription") or ""),
            category="" if group.kind == SINGLE_SLICE else group.kind,
            picture=group.is_picture,
        )
    return SeriesSummary("unreadable", (group.name,), description=group.name.name)

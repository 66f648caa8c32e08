"""Content of a folder, archive or file, from headers alone: series, single images, and what is left aside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qfae_monai.reading.geometry_risks import check_allow
from qfae_monai.reading.left_aside import KINDS, SINGLE_SLICE, LeftAside, check_include
from qfae_monai.reading.quiet_libraries import quiet_headers
from qfae_monai.reading.series_choice import described
from qfae_monai.reading.series_files import SourcePaths, open_source
from qfae_monai.reading.series_group import (
    Group,
    mixture_of,
    named_errors,
    number_of,
    places_of,
    stacks_of,
    stated_of,
    volume_names,
)
from qfae_monai.reading.series_groups import group_files
from qfae_monai.reading.series_summary import Contents, SeriesSummary, dicom_attributes, volume_attributes
from qfae_monai.reading.volume_choice import Choice, check_volume
from qfae_monai.reading.volume_files import VolumeHeader, read_volume_header
from qfae_monai.reading.voxel_check import ONE_SLICE
from qfae_monai.reading.voxel_files import voxel_files

__all__ = ["contents_of", "find_series"]


def find_series(
    source: SourcePaths, *, volume: Choice = None, allow: Collection[str] = (), include: Collection[str] = ()
) -> list[SeriesSummary]:
    """Series of a folder, archive or file, from headers alone; `contents_of` also tells what was left aside.

    Args:
        source, volume, allow, include: as in `contents_of`.
    """
    return list(contents_of(source, volume=volume, allow=allow, include=include).series)


@quiet_headers()
def contents_of(
    source: SourcePaths, *, volume: Choice = None, allow: Collection[str] = (), include: Collection[str] = ()
) -> Contents:
    """List the content of a folder, archive or file, from headers alone: pixels are not decoded.

    Args:
        source: as in `read_series`.
        volume: as in `read_series`; `all` gives a summary for each volume.
        allow: as in `read_series`.
        include: as in `read_series`.

    Raises:
        FileNotFoundError: when there is no such file or folder.
        ValueError: when an archive is damaged, or an argument has an unknown name.
    """
    allowed, choice, included = check_allow(allow), check_volume(volume), check_include(include)
    with open_source(source) as opened:
        found = group_files(opened, mixed="mixed-series" in allowed, include=included)
        summaries: list[SeriesSummary] = []
        aside = found.aside
        for group in found.groups:
            for summary in _summaries(group, choice, allowed):
                flat = summary.shape is not None and min(summary.shape) == 1 and not summary.picture
                if flat and not opened.alone and not summary.category:
                    aside.append(LeftAside(summary.files[0], SINGLE_SLICE, KINDS[SINGLE_SLICE]))
                else:
                    summaries.append(replace(summary, refusal=_flat(summary)) if flat else summary)
        detached = _detached(summaries)
        return Contents(
            tuple(summaries),
            tuple(file.name for file in found.pictures),
            tuple(one for one in aside if one.path not in detached),
        )


def _of_volume(summary: SeriesSummary, header: VolumeHeader, place: int) -> dict[str, Any]:
    named = () if number_of(place, header) is None else (volume_names(header)[place],)
    return {**summary.attributes, "notes": (*summary.attributes["notes"], *named)}


def _flat(summary: SeriesSummary) -> str:
    return f"{summary.files[0]}: {ONE_SLICE}"


def _detached(summaries: Sequence[SeriesSummary]) -> set[Path]:
    """Files that hold the voxels of another one."""
    found: set[Path] = set()
    for summary in summaries:
        if summary.kind in ("MetaImage", "NRRD"):
            try:
                found.update(voxel_files(summary.files[0]))
            except (ValueError, OSError):  # the reader refuses it with the reason
                continue
    return found


def _summaries(group: Group, choice: Choice, allow: frozenset[str]) -> list[SeriesSummary]:
    """One of each chosen volume; one that says why where the series would be refused."""
    summary = SeriesSummary("unreadable", tuple(file.source.name for file in group.dicom) or (group.name,))
    try:
        with named_errors(group.name):
            summary = described(group)
            if group.dicom:
                summary = replace(summary, attributes=dicom_attributes(group.dicom))
            group.check()
            if group.volume is not None:
                header = read_volume_header(group.volume)
                summary = replace(summary, kind=header.kind, attributes=volume_attributes(header, group.volume))
                summary = replace(summary, shape=header.shape[:3], affine=header.affine)
                return [
                    replace(summary, volume=number_of(place, header), attributes=_of_volume(summary, header, place))
                    for place in places_of(group.volume, header, choice)
                ]
            stacks = stacks_of(group, choice, allow)
    except ValueError as error:
        return [replace(summary, refusal=str(error))]
    return [
        replace(
            summary,
            shape=stack.shape,
            affine=stack.affine,
            risks=(*mixture_of(group), *stack.risks),
            attributes={**summary.attributes, **stated_of(group, stack)},
            volume=stack.number if len(stack.volumes) > 1 else None,
        )
        for stack in stacks
    ]

"""Volumes that a group of files holds, from headers alone: stacks of slices, or places along a fourth axis."""

from __future__ import annotations

from typing import Any

from qfae_monai.reading.dicom_frames import frames_of
from qfae_monai.reading.geometry_guard import stack_frames
from qfae_monai.reading.geometry_risks import Stack
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.series_group import Group
from qfae_monai.reading.volume_choice import Choice, chosen_volume
from qfae_monai.reading.volume_files import VolumeHeader

__all__ = ["mixture_of", "number_of", "places_of", "stacks_of", "stated_of", "volume_names"]


def stacks_of(group: Group, choice: Choice, allow: frozenset[str]) -> tuple[Stack, ...]:
    frames = [frame for file in group.dicom for frame in frames_of(file)]
    name = group.dicom[0].source.name
    title = str(name if len(group.dicom) == 1 else name.parent)
    return stack_frames(frames, title=title, volume=choice, allow=allow)


def stated_of(group: Group, stack: Stack) -> dict[str, Any]:
    excess = sum(file.excess > 0 for file in group.dicom)
    behind = [f"{excess} files have bytes behind their pixels, which are left out"] if excess else []
    if any(file.mosaic is not None for file in group.dicom):
        behind.append("slices taken from sheets on which they lie side by side (mosaic)")
    return {"notes": (*group.notes, *behind, *stack.notes), "volumes": len(stack.volumes)}


def mixture_of(group: Group) -> tuple[str, ...]:
    uids = sorted({str(file.values.get("SeriesInstanceUID")) for file in group.dicom})
    return (f"mixed-series: {len(uids)} series read as one",) if len(uids) > 1 else ()


def places_of(source: SourceFile, header: VolumeHeader, choice: Choice) -> tuple[int, ...]:
    """Indices of the chosen volumes along the fourth axis, from 0."""
    if len(header.shape) > 4:
        raise ValueError(f"{source.name}: expected 3 axes, or 4 with volumes, got shape {header.shape}.")
    names = volume_names(header)
    return chosen_volume(choice, names, [{} for _ in names], str(source.name))


def volume_names(header: VolumeHeader) -> list[str]:
    count = header.shape[3] if len(header.shape) > 3 else 1
    return [f"volume {number} of {count}" for number in range(1, count + 1)]


def number_of(place: int, header: VolumeHeader) -> int | None:
    return place + 1 if len(header.shape) > 3 else None

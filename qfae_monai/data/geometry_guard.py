"""The geometry guard: slices sorted by position, one affine for all, or a refusal that names the file and the mm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from qfae_monai.data.dicom_frames import Frame
from qfae_monai.data.even_grid import affine_of, direction_of, position_of, stack_evenly
from qfae_monai.data.geometry_risks import Guard, Stack, check_allow, names_of
from qfae_monai.data.repeated_positions import volumes_of

__all__ = ["stack_frames"]

SAME_PLACE = 0.01  # mm
SAME_DIRECTION = 0.05  # degrees; headers round direction cosines to about 1e-4
LOCALISER = 5.0  # degrees


def stack_frames(
    frames: Sequence[Frame], *, title: str, time_point: int | None = None, allow: Collection[str] = ()
) -> Stack:
    """Put the frames of one series in order, or refuse them.

    Args:
        frames: at least one frame, in any order.
        title: what errors call the series.
        time_point: which volume to take, from 0, where positions repeat: time points, echoes, segments.
        allow: names of ``RISKS`` that may pass.

    Raises:
        ValueError: when the frames are no single, evenly spaced stack; names the files and the measured mm.
    """
    guard = Guard(title, check_allow(allow))
    kept = sorted(frames, key=lambda frame: (frame.number, str(frame.file.source.name)))
    kept = _one_direction(kept, guard)
    kept = _one_size(kept, guard)
    if kept[0].position is None or kept[0].orientation is None:
        return _without_position(kept, guard, time_point)
    groups = _by_position(kept)
    groups, volumes = _one_volume(groups, guard, time_point)
    chosen = _one_each(groups, guard)
    return stack_evenly(chosen, guard, volumes)


def _majority(frames: list[Frame], key: Callable[[Frame], Any]) -> tuple[list[Frame], list[Frame], list[Any]]:
    """Frames of the most frequent key (the first of them at a tie), the others, and all keys, most frequent first."""
    groups: dict[Any, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    ranked = sorted(groups, key=lambda value: -len(groups[value]))
    first = ranked[0]
    return groups[first], [frame for frame in frames if key(frame) != first], ranked


def _one_size(frames: list[Frame], guard: Guard) -> list[Frame]:
    def size(frame: Frame) -> tuple[int, int]:
        return int(frame.file.dataset.Rows), int(frame.file.dataset.Columns)

    kept, others, sizes = _majority(frames, size)
    if others:
        text = " and ".join(f"{rows} x {columns}" for rows, columns in sizes)
        guard.meet("mixed-size", f"matrix sizes {text} (rows x columns) in one series: {names_of(others)} differ")

    def spacing(frame: Frame) -> tuple[float, float] | None:
        return None if frame.spacing is None else (round(frame.spacing[0], 4), round(frame.spacing[1], 4))

    kept, others, spacings = _majority(kept, spacing)
    if others:
        text = " and ".join("unknown" if s is None else f"{s[0]:g} x {s[1]:g} mm" for s in spacings)
        guard.meet("mixed-size", f"pixel spacings {text} in one series: {names_of(others)} differ")
    return kept


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """The largest angle between the directions of two orientations, in degrees."""
    lengths = np.linalg.norm(first - second, axis=1)
    return float(np.degrees(2 * np.arcsin(np.clip(lengths / 2, 0, 1))).max())


def _one_direction(frames: list[Frame], guard: Guard) -> list[Frame]:
    placed = [frame for frame in frames if frame.position is not None and frame.orientation is not None]
    if not placed:
        return frames
    if lost := [frame for frame in frames if frame.position is None or frame.orientation is None]:
        guard.meet("localiser", f"{names_of(lost)} without a position among {len(placed)} slices with one")
    clusters: list[list[Frame]] = []
    for frame in placed:
        for cluster in clusters:
            if _angle(direction_of(cluster[0]), direction_of(frame)) <= LOCALISER:
                cluster.append(frame)
                break
        else:
            clusters.append([frame])
    clusters.sort(key=lambda cluster: -len(cluster))
    kept, others = clusters[0], [frame for cluster in clusters[1:] for frame in cluster]
    if others:
        worst = max(_angle(direction_of(kept[0]), direction_of(frame)) for frame in others)
        guard.meet("localiser", f"{names_of(others)} turned by up to {worst:.1f} degrees against {kept[0].name}")
    marked = [frame for frame in kept if frame.localizer]
    if marked and len(marked) < len(kept):
        guard.meet("localiser", f"{names_of(marked)} call themselves localisers among {len(kept)} images")
        kept = [frame for frame in kept if not frame.localizer]
    elif marked:
        guard.notes.append("calls itself a localiser")
    turned = [frame for frame in kept if _angle(direction_of(kept[0]), direction_of(frame)) > SAME_DIRECTION]
    if turned:
        worst = max(_angle(direction_of(kept[0]), direction_of(frame)) for frame in turned)
        guard.meet(
            "varying-orientation", f"{names_of(turned)} turned by up to {worst:.2f} degrees against {kept[0].name}"
        )
    return kept


def _by_position(frames: list[Frame]) -> list[list[Frame]]:
    """Frames that lie in one plane together, planes in order along the normal."""
    normal = np.cross(*direction_of(frames[0]))
    placed = sorted(frames, key=lambda frame: float(position_of(frame) @ normal))
    groups: list[list[Frame]] = []
    for frame in placed:
        if groups and abs(float((position_of(frame) - position_of(groups[-1][0])) @ normal)) <= SAME_PLACE:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return [sorted(group, key=lambda frame: frame.number) for group in groups]


def _one_volume(groups: list[list[Frame]], guard: Guard, time_point: int | None) -> tuple[list[list[Frame]], int]:
    """Of positions that repeat, the frames of one time point (echo, segment, ...)."""
    found = volumes_of(groups)
    if found is None:
        if time_point not in (None, 0):
            raise ValueError(f"{guard.title}: expected time_point 0 of the one volume there is, got {time_point}.")
        return groups, 1
    key, volumes = found
    text = f"{len(groups)} positions x {len(volumes)} time points or other volumes (told apart by {key})"
    if time_point is None:
        raise ValueError(f"{guard.title}: expected one image a position, got {text}: choose with time_point.")
    if not 0 <= time_point < len(volumes):
        raise ValueError(f"{guard.title}: expected a time_point 0 to {len(volumes) - 1}, got {time_point}; {text}.")
    guard.notes.append(f"volume {time_point} of {text}")
    chosen = {id(frame) for frame in volumes[time_point]}
    split = [[frame for frame in group if id(frame) in chosen] for group in groups]
    return [group for group in split if group], len(volumes)


def _one_each(groups: list[list[Frame]], guard: Guard) -> list[Frame]:
    doubles = [group for group in groups if len(group) > 1]
    if doubles:
        normal = np.cross(*direction_of(doubles[0][0]))
        place = float(position_of(doubles[0][0]) @ normal)
        more = f", and {len(doubles) - 1} more positions" if len(doubles) > 1 else ""
        guard.meet("duplicate-position", f"{names_of(doubles[0])} all at {place:.2f} mm along the normal{more}")
    return [group[0] for group in groups]


def _without_position(frames: list[Frame], guard: Guard, time_point: int | None) -> Stack:
    """Images that do not say where they are: one is an image, several are a stack only by permission."""
    volumes = len(frames)
    if len(frames) > 1 and time_point is not None:
        if not 0 <= time_point < volumes:
            raise ValueError(f"{guard.title}: expected a time_point 0 to {volumes - 1}, got {time_point}.")
        guard.notes.append(f"image {time_point} of {volumes}, none of which has a position")
        frames = [frames[time_point]]
    elif len(frames) > 1:
        guard.meet(
            "no-position",
            f"{len(frames)} images without ImagePositionPatient and ImageOrientationPatient ({names_of(frames)}): "
            "choose one with time_point, or stack them by instance number",
        )
        volumes = 1
    if frames[0].spacing is None:
        guard.notes.append("pixel spacing not known: 1 mm")
    guard.notes.append("place in the patient not known: axes as displayed")
    step = np.array([0.0, 0.0, frames[0].thickness or 1.0])
    affine = affine_of(np.eye(3)[:2], frames[0].spacing or (1.0, 1.0), step, np.zeros(3))
    return Stack(tuple(frames), affine, tuple(guard.risks), tuple(guard.notes), volumes)

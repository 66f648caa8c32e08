"""The geometry guard: slices sorted by position, one affine for all, or a refusal that names the file and the mm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qfae_monai.reading.dicom_frames import Frame
from qfae_monai.reading.even_grid import affine_of, direction_of, position_of, stack_evenly
from qfae_monai.reading.geometry_risks import Guard, Stack, check_allow, names_of
from qfae_monai.reading.repeated_positions import Volume, volumes_of
from qfae_monai.reading.volume_choice import ALL, FIRST, Choice, chosen_volume

__all__ = ["stack_frames"]

SAME_PLACE = 0.01  # mm
SAME_DIRECTION = 0.05  # degrees; headers round direction cosines to about 1e-4
LOCALISER = 5.0  # degrees


def stack_frames(
    frames: Sequence[Frame], *, title: str, volume: Choice = None, allow: Collection[str] = ()
) -> tuple[Stack, ...]:
    """Put the frames of one series in order, or refuse them.

    Args:
        frames: at least one frame, in any order.
        title: what errors call the series.
        volume: which to take where positions repeat (time points, echoes, segments), as `check_volume` gives it.
        allow: names of `RISKS` that may pass.

    Returns:
        One stack; one for each volume where `volume` is all.

    Raises:
        ValueError: when the frames are no single, evenly spaced stack; names the files and the measured mm.
    """
    guard = Guard(title, check_allow(allow))
    kept = sorted(frames, key=lambda frame: (frame.number, str(frame.file.source.name)))
    kept = _one_direction(kept, guard)
    kept = _one_size(kept, guard)
    if kept[0].position is None or kept[0].orientation is None:
        return _without_position(kept, guard, volume)
    stacks = []
    for groups, names, number in _volumes(_by_position(kept), guard, volume):
        own = replace(guard, risks=[*guard.risks], notes=[*guard.notes])
        if len(names) > 1:
            own.notes.append(names[number - 1])
        chosen = _one_each(groups, own)
        stacks.append(replace(stack_evenly(chosen, own), volumes=names, number=number))
    return tuple(stacks)


def _majority(frames: list[Frame], key: Callable[[Frame], Any]) -> tuple[list[Frame], list[Frame], list[Any]]:
    """Frames of the most frequent key (the first of them at a tie), the others, and all keys, most frequent first."""
    groups: dict[Any, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    ranked = sorted(groups, key=lambda value: -len(groups[value]))
    first = ranked[0]
    return groups[first], [frame for frame in frames if key(frame) != first], ranked


def _one_size(frames: list[Frame], guard: Guard) -> list[Frame]:
    kept, others, sizes = _majority(frames, lambda frame: frame.shape)
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
    # (2,) chords of the unit circle: exact for small angles, where an arc cosine is not
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
    turned = [frame for frame in kept if _angle(direction_of(kept[0]), direction_of(frame)) > SAME_DIRECTION]
    if turned:
        worst = max(_angle(direction_of(kept[0]), direction_of(frame)) for frame in turned)
        guard.meet(
            "varying-orientation", f"{names_of(turned)} turned by up to {worst:.2f} degrees against {kept[0].name}"
        )
    return kept


def _by_position(frames: list[Frame]) -> list[list[Frame]]:
    """Frames that lie in one plane together, planes in order along the normal."""
    normal = np.cross(*direction_of(frames[0]))  # (3,) unit vector, LPS
    placed = sorted(frames, key=lambda frame: float(position_of(frame) @ normal))
    groups: list[list[Frame]] = []
    for frame in placed:
        if groups and abs(float((position_of(frame) - position_of(groups[-1][0])) @ normal)) <= SAME_PLACE:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return [sorted(group, key=lambda frame: frame.number) for group in groups]


def _volumes(
    groups: list[list[Frame]], guard: Guard, volume: Choice
) -> list[tuple[list[list[Frame]], tuple[str, ...], int]]:
    """Of positions that repeat, those of each chosen volume, with the names of all and the number of this one."""
    found = volumes_of(groups)
    if found is None:
        return [(groups, ("",), 1)]
    depth = max(len(one.frames) for one in found)  # slices of the fullest volume
    complete = [place for place, one in enumerate(found) if len(one.frames) == depth]
    rest = [place for place in range(len(found)) if place not in complete]
    counts = {name: len({one.tells[name] for one in found if name in one.tells}) for one in found for name in one.tells}
    names = tuple(one.words(number, len(found), counts) for number, one in enumerate(found, 1))
    if rest:
        slices = ", ".join(str(len(found[place].frames)) for place in rest)
        guard.notes.append(f"interrupted: {len(rest)} incomplete volumes left out, with {slices} of {depth} slices")
    head = f"{guard.title}: {len(groups)} positions x {len(complete)} volumes" if volume is None else guard.title
    if volume in (None, FIRST, ALL):
        those = chosen_volume(volume, [names[place] for place in complete], [{} for _ in complete], head)
        places = [complete[place] for place in those]
    else:
        places = _wanted(volume, found, names, complete, guard.title)
    chosen = []
    for place in places:
        own = {id(frame) for frame in found[place].frames}
        split = [[frame for frame in group if id(frame) in own] for group in groups]
        if len(complete) == 1:  # it goes by the series' name, as where there is one alone
            guard.notes.append(names[place])
        named = (("",), 1) if len(complete) == 1 else (names, place + 1)
        chosen.append(([group for group in split if group], *named))
    return chosen


def _wanted(
    volume: Choice, found: Sequence[Volume], names: Sequence[str], complete: Sequence[int], title: str
) -> list[int]:
    """Places of the volume with a number or value; a complete one, for another one would be read in its place."""
    wanted = chosen_volume(volume, names, [one.tells for one in found], title)
    if missing := [place for place in wanted if place not in complete]:
        place = missing[0]
        depth = len(found[complete[0]].frames)
        raise ValueError(
            f"{title}: expected a complete volume with {volume}, got {len(found[place].frames)} of {depth} slices of "
            f"{names[place]}; complete: {'; '.join(names[one] for one in complete)}"
        )
    return list(wanted)


def _one_each(groups: list[list[Frame]], guard: Guard) -> list[Frame]:
    doubles = [group for group in groups if len(group) > 1]
    if doubles:
        normal = np.cross(*direction_of(doubles[0][0]))
        place = float(position_of(doubles[0][0]) @ normal)  # mm along the normal
        more = f", and {len(doubles) - 1} more positions" if len(doubles) > 1 else ""
        guard.meet("duplicate-position", f"{names_of(doubles[0])} all at {place:.2f} mm along the normal{more}")
    return [group[0] for group in groups]


def _without_position(frames: list[Frame], guard: Guard, volume: Choice) -> tuple[Stack, ...]:
    """Images that do not say where they are: one is an image, several are a stack only by permission."""
    names = tuple(f"image {number} of {len(frames)}" for number in range(1, len(frames) + 1))
    taken = [frames]
    if len(frames) > 1 and volume is not None:
        places = chosen_volume(volume, names, [{} for _ in names], guard.title)
        taken = [[frames[place]] for place in places]
        guard.notes.append("one of several images without a position")
    elif len(frames) > 1:
        guard.meet(
            "no-position",
            f"{len(frames)} images without ImagePositionPatient and ImageOrientationPatient ({names_of(frames)}): "
            "choose one with --volume (in Python: volume), or stack them by instance number",
        )
    if frames[0].spacing is None:
        guard.notes.append("pixel spacing not known: 1 mm")
    guard.notes.append("place in the patient not known: axes as displayed")
    step = np.array([0.0, 0.0, frames[0].thickness or 1.0])  # mm
    affine = affine_of(np.eye(3)[:2], frames[0].spacing or (1.0, 1.0), step, np.zeros(3))
    whole = Stack(tuple(frames), affine, tuple(guard.risks), tuple(guard.notes))
    if taken == [frames]:
        return (whole,)
    return tuple(
        replace(whole, frames=tuple(one), volumes=names, number=place + 1)
        for place, one in zip(places, taken, strict=True)
    )

"""The geometry guard: slices sorted by position, one affine for all, or a refusal that names the file and the mm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qfae_monai.data.dicom_frames import Frame
from qfae_monai.data.repeated_positions import volumes_of

__all__ = ["RISKS", "Stack", "check_allow", "stack_frames"]

RISKS = {
    "mixed-series": "several series read as one",
    "mixed-size": "matrix size or pixel spacing differs; the most frequent is kept, the rest left out",
    "localiser": "images of another direction or without a position lie among the slices; they are left out",
    "varying-orientation": "slices turned against each other by up to 5 degrees; the first one's direction is used",
    "duplicate-position": "several images at one position; the first by instance number is kept",
    "missing-slice": "a slice is missing; it is filled with the minimum and marked as padding",
    "varying-spacing": "gaps between slices differ; the affine has their mean",
    "shifted-slices": "slices are shifted within their plane against a straight line; the mean line is used",
    "no-position": "no slice has a position; they are stacked by instance number",
    "no-spacing": "the pixel spacing is not known; 1 mm is used",
}
"""Names for ``allow``, and what each lets pass."""

SAME_PLACE = 0.01  # mm
SAME_DIRECTION = 0.05  # degrees; headers round direction cosines to about 1e-4
LOCALISER = 5.0  # degrees
GAP_TOLERANCE = 0.02  # of the gap
GAP_FLOOR = 0.02  # mm, what positions are rounded to
TILT = 0.1  # degrees
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from DICOM's LPS
Log = Callable[[str, str], None]


@dataclass(frozen=True)
class Stack:
    """Slices in order.

    Args:
        frames: one a slice from the first to the last along the normal; None where a slice is missing.
        affine: (4, 4), index (column, row, slice) to RAS+ mm.
        risks: what was allowed, in words with the measured numbers.
        notes: what is unusual and handled without a risk.
        volumes: how many volumes the series holds at these positions.
    """

    frames: tuple[Frame | None, ...]
    affine: np.ndarray
    risks: tuple[str, ...]
    notes: tuple[str, ...]
    volumes: int = 1


@dataclass
class _Guard:
    """Refuses a risk, or writes it down where it is allowed."""

    title: str
    allow: Collection[str]
    risks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def meet(self, risk: str, message: str) -> None:
        if risk not in self.allow:
            raise ValueError(f"{self.title}: {message} [{risk}: refused unless allowed by this name]")
        self.risks.append(f"{risk}: {message}")


def check_allow(allow: Collection[str]) -> frozenset[str]:
    """The names as a set.

    Raises:
        ValueError: when a name is none of ``RISKS``.
    """
    names = frozenset([allow] if isinstance(allow, str) else allow)
    if unknown := sorted(names - set(RISKS)):
        raise ValueError(f"expected in allow the names {sorted(RISKS)}, got {unknown}.")
    return names


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
    guard = _Guard(title, check_allow(allow))
    kept = sorted(frames, key=lambda frame: (frame.number, str(frame.file.source.name)))
    kept = _one_direction(kept, guard)
    kept = _one_size(kept, guard)
    if kept[0].position is None or kept[0].orientation is None:
        return _without_position(kept, guard, time_point)
    groups = _by_position(kept)
    groups, volumes = _one_volume(groups, guard, time_point)
    chosen = _one_each(groups, guard)
    return _evenly(chosen, guard, volumes)


def _names(frames: Sequence[Frame], limit: int = 4) -> str:
    names = [frame.name for frame in frames[:limit]]
    return ", ".join(names) + (f" and {len(frames) - limit} more" if len(frames) > limit else "")


def _majority(frames: list[Frame], key: Callable[[Frame], Any]) -> tuple[list[Frame], list[Frame], list[Any]]:
    """Frames of the most frequent key (the first of them at a tie), the others, and all keys, most frequent first."""
    groups: dict[Any, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    ranked = sorted(groups, key=lambda value: -len(groups[value]))
    first = ranked[0]
    return groups[first], [frame for frame in frames if key(frame) != first], ranked


def _one_size(frames: list[Frame], guard: _Guard) -> list[Frame]:
    def size(frame: Frame) -> tuple[int, int]:
        return int(frame.file.dataset.Rows), int(frame.file.dataset.Columns)

    kept, others, sizes = _majority(frames, size)
    if others:
        text = " and ".join(f"{rows} x {columns}" for rows, columns in sizes)
        guard.meet("mixed-size", f"matrix sizes {text} (rows x columns) in one series: {_names(others)} differ")

    def spacing(frame: Frame) -> tuple[float, float] | None:
        return None if frame.spacing is None else (round(frame.spacing[0], 4), round(frame.spacing[1], 4))

    kept, others, spacings = _majority(kept, spacing)
    if others:
        text = " and ".join("unknown" if s is None else f"{s[0]:g} x {s[1]:g} mm" for s in spacings)
        guard.meet("mixed-size", f"pixel spacings {text} in one series: {_names(others)} differ")
    return kept


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """The largest angle between the directions of two orientations, in degrees."""
    lengths = np.linalg.norm(first - second, axis=1)
    return float(np.degrees(2 * np.arcsin(np.clip(lengths / 2, 0, 1))).max())


def _one_direction(frames: list[Frame], guard: _Guard) -> list[Frame]:
    placed = [frame for frame in frames if frame.position is not None and frame.orientation is not None]
    if not placed:
        return frames
    if lost := [frame for frame in frames if frame.position is None or frame.orientation is None]:
        guard.meet("localiser", f"{_names(lost)} without a position among {len(placed)} slices with one")
    clusters: list[list[Frame]] = []
    for frame in placed:
        for cluster in clusters:
            if _angle(_direction(cluster[0]), _direction(frame)) <= LOCALISER:
                cluster.append(frame)
                break
        else:
            clusters.append([frame])
    clusters.sort(key=lambda cluster: -len(cluster))
    kept, others = clusters[0], [frame for cluster in clusters[1:] for frame in cluster]
    if others:
        worst = max(_angle(_direction(kept[0]), _direction(frame)) for frame in others)
        guard.meet("localiser", f"{_names(others)} turned by up to {worst:.1f} degrees against {kept[0].name}")
    marked = [frame for frame in kept if frame.localizer]
    if marked and len(marked) < len(kept):
        guard.meet("localiser", f"{_names(marked)} call themselves localisers among {len(kept)} images")
        kept = [frame for frame in kept if not frame.localizer]
    elif marked:
        guard.notes.append("calls itself a localiser")
    turned = [frame for frame in kept if _angle(_direction(kept[0]), _direction(frame)) > SAME_DIRECTION]
    if turned:
        worst = max(_angle(_direction(kept[0]), _direction(frame)) for frame in turned)
        guard.meet(
            "varying-orientation", f"{_names(turned)} turned by up to {worst:.2f} degrees against {kept[0].name}"
        )
    return kept


def _direction(frame: Frame) -> np.ndarray:
    assert frame.orientation is not None
    return frame.orientation


def _position(frame: Frame) -> np.ndarray:
    assert frame.position is not None
    return frame.position


def _by_position(frames: list[Frame]) -> list[list[Frame]]:
    """Frames that lie in one plane together, planes in order along the normal."""
    normal = np.cross(*_direction(frames[0]))
    placed = sorted(frames, key=lambda frame: float(_position(frame) @ normal))
    groups: list[list[Frame]] = []
    for frame in placed:
        if groups and abs(float((_position(frame) - _position(groups[-1][0])) @ normal)) <= SAME_PLACE:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return [sorted(group, key=lambda frame: frame.number) for group in groups]


def _one_volume(groups: list[list[Frame]], guard: _Guard, time_point: int | None) -> tuple[list[list[Frame]], int]:
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


def _one_each(groups: list[list[Frame]], guard: _Guard) -> list[Frame]:
    doubles = [group for group in groups if len(group) > 1]
    if doubles:
        normal = np.cross(*_direction(doubles[0][0]))
        place = float(_position(doubles[0][0]) @ normal)
        more = f", and {len(doubles) - 1} more positions" if len(doubles) > 1 else ""
        guard.meet("duplicate-position", f"{_names(doubles[0])} all at {place:.2f} mm along the normal{more}")
    return [group[0] for group in groups]


def _evenly(frames: list[Frame], guard: _Guard, volumes: int) -> Stack:
    """The guard's last question: do the slices lie on one even grid?"""
    orientation = _direction(frames[0])
    normal = np.cross(*orientation)
    positions = np.array([_position(frame) for frame in frames])
    step, slots = normal * (frames[0].thickness or 1.0), list(range(len(frames)))
    if len(frames) > 1:
        distances = (positions - positions[0]) @ normal
        gap, slots = _gaps(frames, np.diff(distances), guard)
        # in the plane, slices may be shifted in proportion to their distance (gantry tilt), not otherwise
        shift = positions - positions[0] - np.outer(distances, normal)
        slope = shift[-1] / distances[-1]
        residual = np.linalg.norm(shift - np.outer(distances, slope), axis=1)
        limit = max(0.05, GAP_TOLERANCE * gap)
        if residual.max() > limit:
            worst = int(residual.argmax())
            guard.meet(
                "shifted-slices", f"{frames[worst].name} lies {residual[worst]:.2f} mm beside the line of the slices"
            )
            slope = (distances @ shift) / (distances @ distances)
        tilt = float(np.degrees(np.arctan(np.linalg.norm(slope))))
        if tilt > TILT:
            guard.notes.append(f"gantry tilt: slices sheared by {tilt:.1f} degrees, which the affine holds")
        step = (normal + (slope if tilt > TILT or residual.max() > limit else shift[-1] / distances[-1])) * gap
    elif frames[0].thickness is None:
        guard.notes.append("one slice of unknown thickness: 1 mm")
    placed: list[Frame | None] = [None] * (slots[-1] + 1)
    for slot, frame in zip(slots, frames, strict=True):
        placed[slot] = frame
    affine = _affine(orientation, _pixel_spacing(frames[0], guard), step, positions[0])
    return Stack(tuple(placed), affine, tuple(guard.risks), tuple(guard.notes), volumes)


def _gaps(frames: list[Frame], gaps: np.ndarray, guard: _Guard) -> tuple[float, list[int]]:
    """Distance between slices along the normal, and each frame's slice number."""
    count = len(gaps)
    median, mean = float(np.median(gaps)), float(gaps.mean())
    even = np.abs(gaps - median) <= GAP_FLOOR + GAP_TOLERANCE * median
    drift = np.abs(np.cumsum(gaps) - mean * np.arange(1, count + 1)).max()
    if even.all() and drift <= max(0.1 * mean, 2 * GAP_FLOOR):
        _note_claim(frames, mean, guard)
        return mean, list(range(count + 1))
    base = float(gaps.min())
    multiples = np.rint(gaps / base).astype(int)
    regular = np.abs(gaps - multiples * base) <= (GAP_FLOOR + GAP_TOLERANCE * base) * multiples
    if regular.all() and (multiples > 1).sum() <= max(1, count // 3) and multiples.max() <= 1 + count:
        base = float(gaps.sum() / multiples.sum())
        at = int(multiples.argmax())
        guard.meet(
            "missing-slice",
            f"{int((multiples - 1).sum())} slices missing: gap of {gaps[at]:.2f} mm between {frames[at].name} and "
            f"{frames[at + 1].name}, expected {base:.2f} mm",
        )
        return base, [0, *np.cumsum(multiples).tolist()]
    small, large = int(gaps.argmin()), int(gaps.argmax())
    off = np.abs(np.concatenate([[0], np.cumsum(gaps)]) - mean * np.arange(count + 1)).max()
    guard.meet(
        "varying-spacing",
        f"gaps between slices from {gaps[small]:.2f} mm ({frames[small].name} to {frames[small + 1].name}) to "
        f"{gaps[large]:.2f} mm ({frames[large].name} to {frames[large + 1].name}), median {median:.2f} mm; "
        f"with their mean of {mean:.2f} mm slices would lie up to {off:.2f} mm off their place",
    )
    return mean, list(range(count + 1))


def _note_claim(frames: list[Frame], gap: float, guard: _Guard) -> None:
    claims = {frame.file.dataset.get("SpacingBetweenSlices") for frame in frames} - {None, ""}
    if len(claims) == 1:
        claim = abs(float(claims.pop()))
        if claim > 0 and abs(claim - gap) > GAP_FLOOR + GAP_TOLERANCE * gap:
            guard.notes.append(f"slices lie {gap:.2f} mm apart, SpacingBetweenSlices says {claim:.2f} mm")


def _pixel_spacing(frame: Frame, guard: _Guard) -> tuple[float, float]:
    if frame.spacing is not None:
        return frame.spacing
    guard.meet("no-spacing", f"{frame.name} has a position but no PixelSpacing")
    return 1.0, 1.0


def _affine(orientation: np.ndarray, spacing: tuple[float, float], step: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(column, row, slice) to RAS+ mm."""
    affine = np.eye(4)
    affine[:3, 0] = orientation[0] * spacing[1]  # along a row the column changes
    affine[:3, 1] = orientation[1] * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = origin
    return TO_RAS @ affine


def _without_position(frames: list[Frame], guard: _Guard, time_point: int | None) -> Stack:
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
            f"{len(frames)} images without ImagePositionPatient and ImageOrientationPatient ({_names(frames)}): "
            "choose one with time_point, or stack them by instance number",
        )
        volumes = 1
    if frames[0].spacing is None:
        guard.notes.append("pixel spacing not known: 1 mm")
    guard.notes.append("place in the patient not known: axes as displayed")
    step = np.array([0.0, 0.0, frames[0].thickness or 1.0])
    affine = _affine(np.eye(3)[:2], frames[0].spacing or (1.0, 1.0), step, np.zeros(3))
    return Stack(tuple(frames), affine, tuple(guard.risks), tuple(guard.notes), volumes)

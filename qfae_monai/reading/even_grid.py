"""Even grid of slices, the geometry guard's last check, and the affine of that grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from qfae_monai.reading.dicom_frames import Frame
from qfae_monai.reading.geometry_risks import Guard, Stack

__all__ = ["affine_of", "direction_of", "position_of", "stack_evenly"]

GAP_TOLERANCE = 0.02  # of the gap
GAP_FLOOR = 0.02  # mm, what positions are rounded to
TILT = 0.1  # degrees
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from DICOM's LPS


def direction_of(frame: Frame) -> np.ndarray:
    """Directions along a row and a column, (2, 3), of a frame that has them."""
    assert frame.orientation is not None
    return frame.orientation


def position_of(frame: Frame) -> np.ndarray:
    """Place of the first pixel, (3,), mm, of a frame that has it."""
    assert frame.position is not None
    return frame.position


def stack_evenly(frames: list[Frame], guard: Guard) -> Stack:
    """Frames in order along their normal as a stack; refuses gaps and shifts that the guard does not allow."""
    orientation = direction_of(frames[0])
    normal = np.cross(*orientation)  # (3,) unit vector, LPS
    positions = np.array([position_of(frame) for frame in frames])  # (N, 3) mm
    # mm; 1 where nothing says how thick a single slice is
    step, slots = normal * (frames[0].thickness or 1.0), list(range(len(frames)))
    if len(frames) > 1:
        distances = (positions - positions[0]) @ normal  # (N,) mm along the normal
        gap, slots = _gaps(frames, np.diff(distances), guard)
        # in the plane, slices may be shifted in proportion to their distance (gantry tilt), not otherwise
        shift = positions - positions[0] - np.outer(distances, normal)
        slope = shift[-1] / distances[-1]  # (3,) mm in the plane for one mm along the normal
        # (N,) mm off the straight line from the first slice to the last
        residual = np.linalg.norm(shift - np.outer(distances, slope), axis=1)
        limit = max(0.05, GAP_TOLERANCE * gap)  # mm
        if residual.max() > limit:
            worst = int(residual.argmax())
            guard.meet(
                "shifted-slices", f"{frames[worst].name} lies {residual[worst]:.2f} mm beside the line of the slices"
            )
            slope = (distances @ shift) / (distances @ distances)  # least squares, through the first slice
        tilt = float(np.degrees(np.arctan(np.linalg.norm(slope))))  # degrees
        if tilt > TILT:
            guard.notes.append(f"gantry tilt: slices sheared by {tilt:.1f} degrees, which the affine holds")
        # mm from one slice to the next, in the plane too
        step = (normal + (slope if tilt > TILT or residual.max() > limit else shift[-1] / distances[-1])) * gap
    elif frames[0].thickness is None:
        guard.notes.append("one slice of unknown thickness: 1 mm")
    placed: list[Frame | None] = [None] * (slots[-1] + 1)
    for slot, frame in zip(slots, frames, strict=True):
        placed[slot] = frame
    affine = affine_of(orientation, _pixel_spacing(frames[0], guard), step, positions[0])
    return Stack(tuple(placed), affine, tuple(guard.risks), tuple(guard.notes))


def _gaps(frames: list[Frame], gaps: np.ndarray, guard: Guard) -> tuple[float, list[int]]:
    """Distance between slices along the normal, and each frame's slice number."""
    count = len(gaps)
    median, mean = float(np.median(gaps)), float(gaps.mean())  # mm, of the N - 1 gaps
    even = np.abs(gaps - median) <= GAP_FLOOR + GAP_TOLERANCE * median
    # mm: small differences of one sign add up over the stack
    drift = np.abs(np.cumsum(gaps) - mean * np.arange(1, count + 1)).max()
    if even.all() and drift <= max(0.1 * mean, 2 * GAP_FLOOR):
        _note_claim(frames, mean, guard)
        return mean, list(range(count + 1))
    base = float(gaps.min())  # mm; the gap between neighbours, where some are missing
    multiples = np.rint(gaps / base).astype(int)  # (N - 1,) slices from each to the next
    regular = np.abs(gaps - multiples * base) <= (GAP_FLOOR + GAP_TOLERANCE * base) * multiples
    if regular.all() and (multiples > 1).sum() <= max(1, count // 3) and multiples.max() <= 1 + count:
        base = float(gaps.sum() / multiples.sum())  # mm, steadier than the smallest gap
        at, missing = int(multiples.argmax()), int((multiples - 1).sum())
        guard.meet(
            "missing-slice",
            f"{missing} slice{'' if missing == 1 else 's'} missing: gap of {gaps[at]:.2f} mm between "
            f"{frames[at].name} and {frames[at + 1].name}, expected {base:.2f} mm",
        )
        return base, [0, *np.cumsum(multiples).tolist()]
    small, large = int(gaps.argmin()), int(gaps.argmax())
    # mm between a slice and its place on an even grid
    off = np.abs(np.concatenate([[0], np.cumsum(gaps)]) - mean * np.arange(count + 1)).max()
    guard.meet(
        "varying-spacing",
        f"gaps between slices from {gaps[small]:.2f} mm ({frames[small].name} to {frames[small + 1].name}) to "
        f"{gaps[large]:.2f} mm ({frames[large].name} to {frames[large + 1].name}), median {median:.2f} mm; "
        f"with their mean of {mean:.2f} mm slices would lie up to {off:.2f} mm off their place",
    )
    return mean, list(range(count + 1))


def _note_claim(frames: list[Frame], gap: float, guard: Guard) -> None:
    claims: set[Any] = {frame.file.values.get("SpacingBetweenSlices") for frame in frames} - {None, ""}
    if len(claims) == 1:
        claim = abs(float(claims.pop()))
        if claim > 0 and abs(claim - gap) > GAP_FLOOR + GAP_TOLERANCE * gap:
            guard.notes.append(f"slices lie {gap:.2f} mm apart, SpacingBetweenSlices says {claim:.2f} mm")


def _pixel_spacing(frame: Frame, guard: Guard) -> tuple[float, float]:
    if frame.spacing is not None:
        return frame.spacing
    guard.meet("no-spacing", f"{frame.name} has a position but no PixelSpacing")
    return 1.0, 1.0


def affine_of(
    orientation: np.ndarray, spacing: tuple[float, float], step: np.ndarray, origin: np.ndarray
) -> np.ndarray:
    """(column, row, slice) to RAS+ mm."""
    affine = np.eye(4)
    affine[:3, 0] = orientation[0] * spacing[1]  # along a row the column changes
    affine[:3, 1] = orientation[1] * spacing[0]
    affine[:3, 2] = step  # mm
    affine[:3, 3] = origin
    return TO_RAS @ affine

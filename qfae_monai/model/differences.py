"""Differences between a scan and the training scans: the limits, and the sentences that report them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from qfae_monai.model.scan_features import NOT_STATED, PLANES, ScanFeatures, same_modality

if TYPE_CHECKING:
    from qfae_monai.model.fingerprint import ScanFingerprint, Spread

__all__ = ["differences"]

FACTOR = 1.5
"""Beyond least and most of the training scans, of spacing, field of view and number of slices. Slices are resized to
one size, so another field of view shows the anatomy larger or smaller than any in training, and another spacing blunter
or finer. Heads of adults differ by about 1.2: half as much again is not another patient but another kind of scan."""
INTENSITY_FACTOR = 3.0
"""Of the intensities' width: 8 bits against 12, z-scores against grey levels, a windowed picture against HU differ by
more; each scan is scaled by its own percentiles, so that less does no harm."""
INTENSITY_SHIFT = 0.25
"""Of the lower end, in widths: the 1,000 that stored values of a CT lie above HU are more of any CT's range."""
VOLUME_AXES = ("left to right", "back to front", "foot to head")  # RAS+: x, y, z
IMAGE_AXES = ("from top to bottom", "from side to side")  # rows, columns


def differences(
    trained: ScanFingerprint, scan: ScanFeatures, slice_axis: int | None, slice_range: Sequence[int] | None
) -> list[str]:
    """One sentence for each thing of a scan that lies outside of the training scans.

    Args:
        trained: what the training scans were.
        scan: what this one is.
        slice_axis, slice_range: as in `ScanFingerprint.outside`.
    """
    found = list(_modality(trained, scan))
    if scan.kind != trained.kind:
        # no other feature compares between the kinds
        return [f"this is {_article(scan.kind)}: the training scans are {trained.kind}s", *found]
    if scan.kind == "volume":
        found += _plane(trained, scan)
    found += _lengths(trained, scan, slice_axis)
    if scan.kind == "volume":
        found += _slices(trained, scan, slice_axis, slice_range)
    return [*found, *_intensity(trained, scan)]


def _modality(trained: ScanFingerprint, scan: ScanFeatures) -> Iterator[str]:
    stated = {modality: count for modality, count in trained.modalities.items() if modality != NOT_STATED}
    if stated and scan.modality != NOT_STATED and not any(same_modality(scan.modality, one) for one in stated):
        yield f"the modality is {scan.modality}: that of the training scans is {_most_first(stated)}"


def _plane(trained: ScanFingerprint, scan: ScanFeatures) -> Iterator[str]:
    if scan.plane not in trained.planes and not scan.isotropic:  # an isotropic volume can be cut in any plane
        yield f"the slices are {scan.plane}: those of the training scans are {_most_first(trained.planes)}"


def _lengths(trained: ScanFingerprint, scan: ScanFeatures, axis: int | None) -> Iterator[str]:
    """Spacing along all axes, and field of view along those within a slice: of the other one the slices are told."""
    axes = VOLUME_AXES if scan.kind == "volume" else IMAGE_AXES
    cut = _cut_axis(scan) if axis is None else axis  # slices lie across it
    # mm in a slice, which is resized; across them only the number counts
    within = [place for place in range(len(axes)) if scan.kind == "image" or place != cut]
    for name, here, usual, places in (
        ("spacing", scan.spacing, trained.spacing, list(range(len(axes)))),
        ("field of view", scan.field_of_view, trained.field_of_view, within),
    ):
        if here is None or usual is None:  # images state no mm
            continue
        far = [place for place in places if _is_far(here[place], usual[place], FACTOR)]  # factor, either way
        if far:
            now = _listed([f"{_number(here[place])} mm {axes[place]}" for place in far])
            then = _listed([f"{_span(usual[place])} mm" for place in far])
            yield f"the {name} is {now}: that of the training scans is {then}"


def _cut_axis(scan: ScanFeatures) -> int | None:
    return PLANES.index(scan.plane) if scan.plane in PLANES else None


def _slices(
    trained: ScanFingerprint, scan: ScanFeatures, axis: int | None, scored: Sequence[int] | None
) -> Iterator[str]:
    """Slices that the model cuts; where it scores a range of indices, any other number shifts what they mean."""
    count, usual = (scan.slices, trained.slices) if axis is None else (scan.size[axis], trained.size[axis])
    if scored is not None and not usual.least <= count <= usual.most:
        first, last = scored[0], min(scored[1], count - 1)  # the range may end beyond this scan
        which = (
            f"slices {first} to {last} of {count} are scored"
            if first <= last
            else (f"none of {count} slices is scored, but slices {scored[0]} to {scored[1]} are")
        )
        yield f"{which}: the training scans have {_span(usual)}"
    elif _is_far(count, usual, FACTOR):
        yield f"there are {count} slices: the training scans have {_span(usual)}"


def _intensity(trained: ScanFingerprint, scan: ScanFeatures) -> Iterator[str]:
    low, high, width = trained.intensity_low, trained.intensity_high, trained.intensity_width
    if scan.intensity is None or low is None or high is None or width is None:
        return
    shift = INTENSITY_SHIFT * width.median  # in the unit of the files
    # another zero, such as stored values for HU
    shifted = not low.least - shift <= scan.intensity[0] <= low.most + shift
    if shifted or _is_far(scan.intensity[1] - scan.intensity[0], width, INTENSITY_FACTOR):
        here = f"{_number(scan.intensity[0])} to {_number(scan.intensity[1])} {_unit([scan.modality])}"
        there = f"{_number(low.median)} to {_number(high.median)} {_unit(list(trained.modalities))}"
        yield f"the foreground's intensities are {here}: those of the training scans are {there} (median)"


def _is_far(value: float, usual: Spread, factor: float) -> bool:
    return value * factor < usual.least or value > usual.most * factor


def _unit(modalities: Sequence[str]) -> str:
    return "HU" if list(modalities) == ["CT"] else "in the unit of the file"


def _article(kind: str) -> str:
    return "a volume" if kind == "volume" else "a single image"


def _most_first(counts: Mapping[str, int]) -> str:
    return _listed(sorted(counts, key=lambda name: (-counts[name], name)), "or")


def _listed(words: Sequence[str], last: str = "and") -> str:
    """
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _span(usual: Spread) -> str:
    least, most = _number(usual.least), _number(usual.most)
    return least if least == most else f"{least} to {most}"


def _number(value: float) -> str:
    """Three digits, all of those before the point.

    >>> _number(0.4296875), _number(4095.0), _number(-1024.2), _number(1e20)
    ('0.43', '4095', '-1024', '1e+20')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"

"""Size of a compressed frame by its own header, read before a decoder in C is trusted with the frame.

pydicom 3 reads the precision of a JPEG 2000 header but not its size, and JPEG headers in private only; pydicom 2.4
reads neither.
"""

from __future__ import annotations

__all__ = ["frame_size"]

JPEG_START, JPEG2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
# start-of-frame markers of JPEG and JPEG-LS; C4, C8 and CC are something else
START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def frame_size(frame: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and samples a pixel of a JPEG, JPEG-LS or JPEG 2000 frame; None for anything else.

    Raises:
        ValueError: when the frame starts as one of them and ends before it says its size.

    >>> frame_size(bytes.fromhex("ffd8ffc3000b10000400050100"))
    (4, 5, 1)
    """
    if frame[:2] == JPEG_START:
        return _jpeg(frame)
    start = frame.find(JPEG2000_START, 0, 4096)  # behind the boxes of a JP2 file, where there are any
    if start >= 0 and len(frame) >= start + 42:
        right, bottom, left, top = (int.from_bytes(frame[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
        return bottom - top, right - left, int.from_bytes(frame[start + 40 : start + 42], "big")
    if start >= 0:
        raise ValueError("JPEG 2000 frame ends within its header")
    return None


def _jpeg(frame: bytes) -> tuple[int, int, int]:
    at = 2
    while at + 10 <= len(frame):
        if frame[at] != 0xFF:
            raise ValueError(f"JPEG frame has no marker at byte {at}")
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in START_OF_FRAME:
            return (
                int.from_bytes(frame[at + 5 : at + 7], "big"),
                int.from_bytes(frame[at + 7 : at + 9], "big"),
                frame[at + 9],
            )
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    raise ValueError("JPEG frame ends before it says its size")

"""Whether a file is DICOM, by its first bytes: its name says nothing."""

from __future__ import annotations

from struct import unpack_from

__all__ = ["START", "is_dicom"]

START = 4096  # bytes that hold the prefix and the meta information, which is never deflated
ELEMENTS = 3  # that follow one another in a data set without a prefix
FIRST_GROUPS = (2, 8, 9, 16)  # of the elements at its start
LAST_OF_FIRST = 8
LONG_KINDS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UT", b"UN", b"UC", b"UR")
UNDEFINED = 0xFFFFFFFF


def is_dicom(start: bytes) -> bool:
    """Whether a file that starts so is DICOM: by its prefix, or as a data set without one.

    Args:
        start: its first 4096 bytes.
    """
    return start[128:132] == b"DICM" or any(_starts_as_elements(start, order) for order in ("<", ">"))


def _starts_as_elements(start: bytes, order: str) -> bool:
    """Whether three elements in ascending order, of the groups that come first, follow one another from the start."""
    at, last, count = 0, 0, 0
    while at + 8 <= len(start) and count < ELEMENTS:
        group, element = unpack_from(f"{order}2H", start, at)
        tag = group << 16 | element
        kind = start[at + 4 : at + 6]
        explicit = kind.isalpha() and kind.isupper()
        # a short header has other groups third; a type is what tells it from any bytes
        known = group in FIRST_GROUPS or (explicit and count > 1)
        if (tag <= last and count) or not known or (count == 0 and group > LAST_OF_FIRST):
            return False
        if explicit:
            if kind in LONG_KINDS:
                if at + 12 > len(start):
                    return False
                length, head = unpack_from(f"{order}I", start, at + 8)[0], 12
            else:
                length, head = unpack_from(f"{order}H", start, at + 6)[0], 8
        else:
            length, head = unpack_from(f"{order}I", start, at + 4)[0], 8
        if length == UNDEFINED:  # a sequence
            return count >= 1
        last, at, count = tag, at + head + length, count + 1
    return count >= ELEMENTS or (count >= 1 and at >= len(start) == START)

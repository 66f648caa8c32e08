"""A walk over a regular DICOM header: from element to element by their lengths, taking only those that are wanted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from struct import Struct
from typing import BinaryIO

__all__ = ["WINDOW", "RawElement", "Walked", "walked_elements"]

WINDOW = 1 << 16  # bytes read at once
PIXEL_GROUP, META_GROUP, DELIMITERS = 0x7FE0, 0x0002, 0xFFFE
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SYNTAX = 0x00020010
UNDEFINED = 0xFFFFFFFF
SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
IMPLICIT = b"1.2.840.10008.1.2"
EXPLICIT = (b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.4.")  # the last one begins several
GROUP_ELEMENT, LENGTH, SHORT_LENGTH = Struct("<2H"), Struct("<I"), Struct("<H")

RawElement = tuple[str | None, bytes]
"""Type, None where it is implicit, and value."""


@dataclass(frozen=True)
class Walked:
    """Elements that precede the pixel data, and the place of the pixels.

    Attributes:
        elements: by tag.
        syntax: transfer syntax.
        implicit: whether elements leave out their types.
        offset: where the pixel element starts.
        head: its first 12 bytes.
    """

    elements: dict[int, RawElement]
    syntax: str
    implicit: bool
    offset: int
    head: bytes


class _Irregular(Exception):
    """The header is none that a walk can vouch for."""


def walked_elements(stream: BinaryIO, start: bytes, wanted: Collection[int]) -> Walked | None:
    """Elements before the pixels of a little endian file with a prefix; None where anything is out of the ordinary.

    That is: an unknown type, a wanted sequence, an end before the pixels, delimiters that do not match. So what this
    returns is what any parser makes of the file, and what is damaged or rare is left to one that knows more.

    Args:
        stream: the file.
        start: its first `WINDOW` bytes.
        wanted: tags.
    """
    if start[128:132] != b"DICM":
        return None
    try:
        syntax, at = _syntax(start)
        implicit = syntax == IMPLICIT
        if not implicit and not (syntax in EXPLICIT[:2] or syntax.startswith(EXPLICIT[2])):
            return None
        if implicit and start[at + 4 : at + 6].isalpha():  # a header that contradicts its syntax
            return None
        return _walk(stream, start, at, syntax.decode(), wanted)
    except _Irregular:
        return None


def _syntax(start: bytes) -> tuple[bytes, int]:
    """Transfer syntax by the meta information, and where this ends."""
    at, syntax = 132, b""
    while at + 12 <= len(start):
        group, element = GROUP_ELEMENT.unpack_from(start, at)
        if group != META_GROUP:
            return syntax, at
        _, length, head = _head(start, at)
        if group << 16 | element == SYNTAX:
            syntax = start[at + head : at + head + length].rstrip(b"\0 ")
        at += head + length
    raise _Irregular


def _head(data: bytes, at: int) -> tuple[bytes, int, int]:
    """Type, length and size of the head of an element that states its type."""
    kind = data[at + 4 : at + 6]
    if kind in SHORT:
        return kind, SHORT_LENGTH.unpack_from(data, at + 6)[0], 8
    if kind in LONG:
        return kind, LENGTH.unpack_from(data, at + 8)[0], 12
    raise _Irregular


def _walk(stream: BinaryIO, data: bytes, at: int, syntax: str, wanted: Collection[int]) -> Walked:
    implicit = syntax.encode() == IMPLICIT
    elements: dict[int, RawElement] = {}
    open_ends: list[int] = []  # of sequences and items of undefined length, innermost last
    base, last = 0, 0x00030000  # behind the meta information
    while True:
        if at + 12 > len(data):
            base, at, data = base + at, 0, _window(stream, base + at)
        group, element = GROUP_ELEMENT.unpack_from(data, at)
        tag = group << 16 | element
        if group == DELIMITERS:
            length, head = _delimiter(tag, LENGTH.unpack_from(data, at + 4)[0], open_ends), 8
            at += head + length
            continue
        if open_ends and open_ends[-1] == SEQUENCE_END:  # where only items belong
            raise _Irregular
        if not open_ends:
            if tag <= last:
                raise _Irregular
            last = tag
            if group == PIXEL_GROUP:
                return Walked(elements, syntax, implicit, base + at, data[at : at + 12])
        kind, length, head = (b"", LENGTH.unpack_from(data, at + 4)[0], 8) if implicit else _head(data, at)
        if length == UNDEFINED:
            if kind not in (b"", b"SQ") or (not open_ends and tag in wanted):
                raise _Irregular
            open_ends.append(SEQUENCE_END)
            length = 0
        elif not open_ends and tag in wanted:
            if at + head + length > len(data):
                base, at, data = base + at, 0, _window(stream, base + at)
            value = data[at + head : at + head + length]
            # a sequence is parsed, a type that was lost looked up, neither of which a walk does
            if kind == b"SQ" or (kind == b"UN" and not group & 1) or len(value) < length:
                raise _Irregular
            elements[tag] = (kind.decode() or None, value)
        at += head + length


def _delimiter(tag: int, length: int, open_ends: list[int]) -> int:
    """Open or close an item; the bytes to skip behind its head."""
    if tag == ITEM and open_ends and open_ends[-1] == SEQUENCE_END:
        if length != UNDEFINED:
            return length
        open_ends.append(ITEM_END)
    elif open_ends and tag == open_ends[-1] and length == 0:
        open_ends.pop()
    else:
        raise _Irregular
    return 0


def _window(stream: BinaryIO, place: int) -> bytes:
    """The file from a place on."""
    stream.seek(place)
    data = stream.read(WINDOW)
    if len(data) < 12:
        raise _Irregular
    return data

"""Gzip into one buffer: members, padding, checksums and what must not be inflated."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.reading import voxel_bytes as gzip_bytes
from qfae_monai.reading.series_files import SourceFile
from qfae_monai.reading.voxel_bytes import first_bytes, whole_bytes

CONTENT = np.random.default_rng(0).integers(0, 4, 3 << 20, dtype=np.uint8).tobytes()  # several pieces
PACKED = gzip.compress(CONTENT, 1)

WHOLE: list[list[Any]] = [
    ["plain", CONTENT],
    ["one member", PACKED],
    ["several members", b"".join(gzip.compress(CONTENT[at : at + (1 << 20)], 1) for at in range(0, 3 << 20, 1 << 20))],
    ["an empty member first", gzip.compress(b"") + PACKED],
    ["zeros between members", gzip.compress(CONTENT[:5]) + bytes(1 << 19) + gzip.compress(CONTENT[5:], 1)],
    ["zeros behind it", PACKED + bytes(1000)],
    ["bytes behind those declared", gzip.compress(CONTENT + bytes(1000), 1)],
]


@pytest.mark.parametrize(("name", "data"), WHOLE)
def test_all_bytes_come_out(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert whole_bytes(SourceFile(tmp_path / name, Path(name)), len(CONTENT))[0].tobytes() == CONTENT
    assert first_bytes(SourceFile(tmp_path / name, Path(name)), 544) == CONTENT[:544]


def test_fewer_bytes_than_declared_come_out_as_they_are(tmp_path: Path) -> None:
    for name, data in (("plain", CONTENT), ("packed", PACKED)):
        (tmp_path / name).write_bytes(data)
        source = SourceFile(tmp_path / name, Path(name))
        assert whole_bytes(source, 1 << 40)[0].tobytes() == CONTENT  # and no terabyte is taken
        assert first_bytes(SourceFile(tmp_path / name, Path(name)), 4 << 20) == CONTENT


DAMAGED: list[list[Any]] = [
    [PACKED[:-1], EOFError, "ended before"],
    [PACKED[: len(PACKED) // 2], EOFError, "ended before"],
    [PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:], zlib.error, "ncorrect checksum"],
    [PACKED[:-1] + bytes([PACKED[-1] ^ 1]), zlib.error, "ncorrect checksum"],
    [PACKED + PACKED[:20], EOFError, "ended before"],
    [PACKED + b"no member", zlib.error, "wrapper"],
]


@pytest.mark.parametrize(("data", "error", "message"), DAMAGED)
def test_damage_shows_though_all_bytes_were_there(tmp_path: Path, data: bytes, error: Any, message: str) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(error, match=message):
        whole_bytes(SourceFile(tmp_path / "a.gz", Path("a.gz")), len(CONTENT))


def test_what_follows_without_measure_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(1 << 24)))
    monkeypatch.setattr(gzip_bytes, "MAX_TAIL", 1 << 20)
    with pytest.raises(ValueError, match="more than 100 bytes follow the 100"):
        whole_bytes(SourceFile(tmp_path / "a.gz", Path("a.gz")), 100)


BARE = gzip.compress(CONTENT, 1, mtime=0)
ALONE: list[list[Any]] = [
    ["one member", BARE, True],
    ["plain", CONTENT, False],
    ["a time", gzip.compress(CONTENT, 1, mtime=1_000_000_000), False],
    ["a name", BARE[:3] + b"\x08" + BARE[4:10] + b"Doe^Jane.nii\0" + BARE[10:], False],
    ["an empty member first", gzip.compress(b"", mtime=0) + BARE, False],
    ["an empty member behind", BARE + gzip.compress(b"Doe", mtime=0)[:10] + gzip.compress(b"", mtime=0)[10:], False],
    ["zeros behind", BARE + bytes(9), False],
    ["zeros far behind", BARE + bytes(1 << 19), False],
    ["more bytes than declared", gzip.compress(CONTENT + b"Doe^Jane", 1, mtime=0), False],
]


@pytest.mark.parametrize(("name", "data", "alone"), ALONE)
def test_an_archive_of_these_bytes_alone_is_told(tmp_path: Path, name: str, data: bytes, alone: bool) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    assert whole_bytes(SourceFile(tmp_path / "a.gz", Path("a.gz")), len(CONTENT))[1] == alone, name


@pytest.mark.parametrize("packed_piece", [1, 2, 3, 13, 1 << 18])
@pytest.mark.parametrize("piece", [1, 7, 100, 544])
def test_no_byte_is_lost_however_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, packed_piece: int
) -> None:
    """A decoder may take the last compressed byte long before it gives the last one out."""
    monkeypatch.setattr(gzip_bytes, "PIECE", piece)
    monkeypatch.setattr(gzip_bytes, "PACKED", packed_piece)
    for packed in (gzip.compress(bytes(2000)), gzip.compress(CONTENT[:2000]), gzip.compress(CONTENT[:2000], 0)):
        (tmp_path / "a.gz").write_bytes(packed)
        assert len(whole_bytes(SourceFile(tmp_path / "a.gz", Path("a.gz")), 2000)[0]) == 2000
        for cut in (1, 4, 8, 9, 20):
            (tmp_path / "a.gz").write_bytes(packed[:-cut])
            with pytest.raises(EOFError):
                whole_bytes(SourceFile(tmp_path / "a.gz", Path("a.gz")), 2000)

"""Headers kept from finding series to reading them: parsed once, and again where the file is another; opened once."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.reading import dicom_header, find_series, read_series
from tests.reading import dicom_factory as factory


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was parsed."""
    counts: Counter[str] = Counter()
    parse = dicom_header.read_header

    def counted(source: Any, **options: Any) -> Any:
        counts[source.path.name] += 1
        return parse(source, **options)

    monkeypatch.setattr(dicom_header, "read_header", counted)
    return counts


def test_each_header_is_parsed_once(tmp_path: Path, parsed: Counter[str]) -> None:
    factory.series(tmp_path)
    alone = read_series(tmp_path)
    parsed.clear()
    with dicom_header.kept_headers():
        files = find_series(tmp_path)[0].files
        found = read_series(list(files))
    assert set(parsed.values()) == {1}
    assert np.array_equal(found.array, alone.array)
    assert (found.files, found.attributes) == (alone.files, alone.attributes)


def test_a_changed_file_is_parsed_again(tmp_path: Path, parsed: Counter[str]) -> None:
    paths = factory.series(tmp_path)
    with dicom_header.kept_headers():
        files = find_series(tmp_path)[0].files
        os.utime(paths[0], ns=(0, 0))
        read_series(list(files))
    assert parsed[paths[0].name] == 2
    assert sum(parsed.values()) == len(paths) + 1


def test_nothing_is_kept_beyond_the_block(tmp_path: Path, parsed: Counter[str]) -> None:
    factory.series(tmp_path)
    with dicom_header.kept_headers():
        find_series(tmp_path)
    read_series(tmp_path)
    assert set(parsed.values()) == {2}


def test_a_series_keeps_its_planes_and_headers(tmp_path: Path, parsed: Counter[str]) -> None:
    factory.series(tmp_path)
    found = read_series(tmp_path)
    assert found.stack is not None
    assert [frame.file.source.name for frame in found.stack.frames if frame is not None] == list(found.files)
    assert set(parsed.values()) == {1}


OPENED: list[str] | None = None


def _note_opening(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and OPENED is not None:
        OPENED.append(str(arguments[0]))


sys.addaudithook(_note_opening)  # stays, so it is idle but for the tests below


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Files that were opened, each time."""
    global OPENED  # noqa: PLW0603 (an audit hook cannot be taken away)
    OPENED = []
    yield OPENED
    OPENED = None


def times_opened(opened: list[str], folder: Path) -> set[int]:
    return set(Counter(name for name in opened if name.startswith(str(folder))).values())


@pytest.mark.parametrize("syntax", [factory.EXPLICIT, factory.IMPLICIT, factory.BIG, factory.RLE])
def test_a_series_that_is_read_opens_each_file_once(tmp_path: Path, opened: list[str], syntax: str) -> None:
    paths = factory.series(tmp_path, syntax=factory.EXPLICIT if syntax == factory.RLE else syntax)
    if syntax == factory.RLE:
        for path in paths:
            dataset = factory.pydicom.dcmread(path)
            dataset.compress(syntax)
            dataset.save_as(path)
    alone = read_series(tmp_path).array
    opened.clear()
    assert np.array_equal(read_series(tmp_path).array, alone)
    assert times_opened(opened, tmp_path) == {1}
    opened.clear()
    with dicom_header.kept_headers(), dicom_header.kept_pixels():
        files = find_series(tmp_path)[0].files
        assert np.array_equal(read_series(list(files)).array, alone)
    assert times_opened(opened, tmp_path) == {1}


def test_headers_alone_read_no_pixels(tmp_path: Path, opened: list[str]) -> None:
    factory.series(tmp_path)
    opened.clear()
    with dicom_header.kept_headers():
        find_series(tmp_path)
        assert times_opened(opened, tmp_path) == {1}
        found = read_series(tmp_path)
    assert times_opened(opened, tmp_path) == {2}
    assert np.array_equal(found.array, factory.volume().T)


def test_pixels_beyond_the_room_are_read_when_they_are_decoded(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.series(tmp_path, shuffle=False)
    monkeypatch.setattr(dicom_header, "MAX_PIXEL_BYTES", 2 * 40)  # 24 bytes of pixels and 12 before them, each
    opened.clear()
    found = read_series(tmp_path)
    assert np.array_equal(found.array, factory.volume().T)
    assert sorted(Counter(name for name in opened if name.startswith(str(tmp_path))).values()) == [1, 1, 2, 2, 2]


def test_a_series_keeps_no_bytes_of_its_files(tmp_path: Path) -> None:
    factory.series(tmp_path)
    stack = read_series(tmp_path).stack
    assert stack is not None
    assert not any(frame.file.kept for frame in stack.frames if frame is not None)

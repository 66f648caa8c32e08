"""Headers kept from finding series to reading them: parsed once, and again where the file is another."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.data import find_series, kept_headers, read_series
from tests.data import dicom_factory as factory


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was parsed."""
    counts: Counter[str] = Counter()
    parse = kept_headers.read_header

    def counted(source: Any) -> Any:
        counts[source.path.name] += 1
        return parse(source)

    monkeypatch.setattr(kept_headers, "read_header", counted)
    return counts


def test_each_header_is_parsed_once(tmp_path: Path, parsed: Counter[str]) -> None:
    factory.series(tmp_path)
    alone = read_series(tmp_path)
    parsed.clear()
    with kept_headers.kept_headers():
        files = find_series(tmp_path)[0].files
        found = read_series(list(files))
    assert set(parsed.values()) == {1}
    assert np.array_equal(found.array, alone.array)
    assert (found.files, found.attributes) == (alone.files, alone.attributes)


def test_a_changed_file_is_parsed_again(tmp_path: Path, parsed: Counter[str]) -> None:
    paths = factory.series(tmp_path)
    with kept_headers.kept_headers():
        files = find_series(tmp_path)[0].files
        os.utime(paths[0], ns=(0, 0))
        read_series(list(files))
    assert parsed[paths[0].name] == 2
    assert sum(parsed.values()) == len(paths) + 1


def test_nothing_is_kept_beyond_the_block(tmp_path: Path, parsed: Counter[str]) -> None:
    factory.series(tmp_path)
    with kept_headers.kept_headers():
        find_series(tmp_path)
    read_series(tmp_path)
    assert set(parsed.values()) == {2}


def test_a_series_keeps_its_planes_and_headers(tmp_path: Path, parsed: Counter[str]) -> None:
    factory.series(tmp_path)
    found = read_series(tmp_path)
    assert found.stack is not None
    assert [frame.file.source.name for frame in found.stack.frames if frame is not None] == list(found.files)
    assert set(parsed.values()) == {1}

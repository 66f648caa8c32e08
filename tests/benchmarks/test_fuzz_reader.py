"""A short run of the reader's fuzzing, on small synthetic files; `benchmarks/fuzz_reader.py` is the long form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz_reader
from tests.reading import dicom_factory as factory


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """One small file of each kind."""
    for name, syntax in (("a", factory.EXPLICIT), ("b", factory.IMPLICIT), ("c", factory.DEFLATED)):
        factory.series(tmp_path / name, factory.volume((1, 8, 8)), syntax=syntax)
    places = [(0.0, 0.0, float(z)) for z in range(3)]
    factory.enhanced(tmp_path / "d.dcm", factory.volume((3, 8, 8), np.uint16), places, rescale=[(2.0, -1.0)] * 3)
    return tmp_path


@pytest.mark.slow
def test_mutants_are_read_or_refused(seeds: Path) -> None:
    report = fuzz_reader.fuzz(seeds, count=300, seed=1)
    assert report.failures == []
    assert report.outcomes["read"] > 20
    assert report.outcomes["refused"] > 100
    assert report.outcomes.total() == 300


def test_mutants_are_the_same_on_every_run(seeds: Path, tmp_path: Path) -> None:
    files = sorted(seeds.rglob("*.dcm"))
    contents = []
    for run in range(2):
        (tmp_path / str(run)).mkdir()
        contents.append([fuzz_reader.mutant(files, 3, n, tmp_path / str(run)).read_bytes() for n in range(5)])
    assert contents[0] == contents[1]
    assert len(set(contents[0])) == 5

"""Cohorts with a damaged file: the benchmark makes them, and the preparation does all that is good in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutants import attack, preparation, write_mutant, write_seeds


def test_a_mutant_is_the_same_on_every_run(tmp_path: Path) -> None:
    write_seeds(tmp_path / "seeds")
    contents = []
    for name in ("one", "two"):
        write_mutant(tmp_path / "seeds", tmp_path / name, seed=0, number=3)
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_no_mutant_ends_a_preparation(tmp_path: Path) -> None:
    counts, failures = attack(preparation, tmp_path, count=3)
    assert not failures
    assert counts.total() == 3

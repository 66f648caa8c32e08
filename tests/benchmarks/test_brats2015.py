"""The benchmark on real patients, shortened: it runs, and its data list keeps patients apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "brats2015.py"


@pytest.mark.realdata
@pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")
def test_table_has_a_row_for_each_sequence(tmp_path: Path) -> None:
    scans = Path(os.environ["QFAE_REAL_DATA"]) / "brats2015_nifti"
    command = [sys.executable, str(SCRIPT), str(scans), str(tmp_path), "--epochs", "1", "--splits", "1"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    header, _, *rows = (tmp_path / "table.md").read_text().splitlines()
    assert len(rows) == 2
    for row in rows:
        found = dict(zip(header.split("|"), row.split("|"), strict=True))
        assert 0 <= float(found[" image_auroc "]) <= 1
        assert float(found[" trivial_p99 "]) > 0.4

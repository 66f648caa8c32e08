"""Reasons of refusals keep their meaning and lose their names."""

from __future__ import annotations

from pathlib import Path

from qfae_monai.data.prepare.privacy import without_identifiers


def test_paths_names_and_uids_go_and_numbers_stay(tmp_path: Path) -> None:
    files = [tmp_path / "Doe^John" / name for name in ("scan-a.dcm", "scan-b.dcm")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"no dicom")
    reason = (
        f"{files[1]}: expected a gap of 5.00 mm behind scan-a.dcm, got 10.00 mm in series 1.2.840.99999.1.2 "
        f"of MRN-77, see /home/anna/list.csv [missing-slice]"
    )
    assert without_identifiers(reason, files) == (
        "file 2: expected a gap of 5.00 mm … file 1, got 10.00 mm in series … of …, … [missing-slice]"
    )

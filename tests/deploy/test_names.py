"""What can be the name of a study, tag, session or file, and what could lead elsewhere."""

from __future__ import annotations

import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.names import is_study_name, label_tag, session_id, study_name, suffix_of

FAULTS = {
    "a separator": ["../x", "/etc/passwd", "a/b", "a/", "a\\b", "..\\x", "\\\\host\\x", "C:x", "c:\\x", "x:y", "a|b"],
    "one that looks so": ["a\uff0fb", "\uff0fetc", "a\u2215b", "a\u2044b", "a\ufe68b", "a\u29f8b"],
    "climbing": ["..", "a..b", "...", "\u2025", "\u2024\u2024", "\uff0e\uff0e"],
    "escaped": ["%2e%2e", "a%2fb", "%2Fetc", "a%5cb", "%00", "a%25"],
    "hidden or special": [".x", ".server", ".", "\u2024x", "$x", "$import os", "@x", "%x", "~root", "-rf"],
    "control": ["a\0", "\0", "a\nb", "a\r", "a\x1b[31m", "a\x7f", "a\u202eb", "a\u200bb", "\ufeffa", "a\u2028b"],
    "blank": ["", " ", " a", "a ", "a\u00a0", "a."],
    "too long": ["x" * 201, "\u00e9" * 101, "x" * 100_000],
    "a suffix": ["a.nii.gz", "a.NII", "a.nrrd", "a.mhd", "a.mha"],
}
WRONG = [name for names in FAULTS.values() for name in names]
RIGHT = ["test-001", "1.2.840.7", "Kopf 50 % (T1)", "\u00e9t\u00e9", "e\u0301", "\u8111", "a.b", "x" * 200, "_a", "CON"]


@pytest.mark.parametrize("name", WRONG, ids=ascii)
def test_what_could_lead_elsewhere_is_no_name(name: str) -> None:
    assert not is_study_name(name)
    with pytest.raises(ValueError, match="expected the name of a study, got ") as refused:
        study_name(name)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("name", RIGHT, ids=ascii)
def test_names_of_files_as_they_are(name: str) -> None:
    assert study_name(name) == name


@pytest.mark.parametrize("tag", ["../..", "..", "", "a/b", "/tmp", "a b", "-x", ".x", "a\n", "\u00e9", "x" * 65, "$x"])
def test_tags_are_letters_and_digits(tag: str) -> None:
    with pytest.raises(ValueError, match="expected a tag"):
        label_tag(tag)
    assert label_tag("version_1-b") == "version_1-b"


def test_sessions_are_what_the_server_called_them() -> None:
    known = "0b5cbd4e-7e1f-11ee-b962-0242ac120002"
    assert session_id(known) == known
    for text in ("", "..", known.upper(), f"{known}\n", f"../{known}", known[:-1], f"{known}0"):
        with pytest.raises(ValueError, match="expected the id of a session"):
            session_id(text)


def test_of_a_files_name_the_suffix_counts() -> None:
    assert suffix_of("/tmp/slicer/a.b.seg.nrrd") == ".nrrd"  # as viewers send it
    assert suffix_of("C:\\scans\\A.NII.GZ") == ".nii.gz"
    for name in ("", "x", "a.py", "a.nii.gz.py", "a.mhd", "../a.nii", "a\0.nii", "a.nii\n", "a.nii/", "a/../x.nii"):
        with pytest.raises(ValueError, match="expected a file"):
            suffix_of(name)

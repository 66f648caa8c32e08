"""No identifier gets from the input into results: none with --anonymous, none but names of files without it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.cli.predict import SOME_FAILED
from tests.identifiers import IN_HEADERS, IN_NAMES, found_in, pack, write_identifiable


@pytest.mark.parametrize("packed", [False, True])
def test_nothing_identifying_in_results(run: Any, tmp_path: Path, packed: bool) -> None:
    folder = write_identifiable(tmp_path / "in")
    source = pack(folder, tmp_path / "zqfile.zip") if packed else folder
    named = run(source, tmp_path / "named")
    assert named.exit_code == SOME_FAILED, named.output
    assert "zqfile" in named.output
    assert not found_in(tmp_path / "named", IN_HEADERS, screen=named.output)
    hidden = run(source, tmp_path / "hidden", "--anonymous")
    assert hidden.exit_code == SOME_FAILED, hidden.output
    assert not found_in(tmp_path / "hidden", [*IN_HEADERS, *IN_NAMES], screen=hidden.output)


@pytest.mark.parametrize("packed", [False, True])
def test_nothing_identifying_in_anonymous_dicom_objects(run: Any, tmp_path: Path, packed: bool) -> None:
    pytest.importorskip("highdicom", reason="the extra dicom is not installed")
    folder = write_identifiable(tmp_path / "in")
    source = pack(folder, tmp_path / "zqfile.zip") if packed else folder
    hidden = run(source, tmp_path / "hidden", "--anonymous", "--dicom")
    assert hidden.exit_code == SOME_FAILED, hidden.output
    objects = {path.name for path in (tmp_path / "hidden").rglob("dicom/*.dcm")}
    assert {"segmentation.dcm", "parametric_map.dcm", "key_image_1.dcm"} <= objects
    assert not found_in(tmp_path / "hidden", [*IN_HEADERS, *IN_NAMES], screen=hidden.output)


def test_anonymous_results_cannot_be_linked_without_the_key(run: Any, scans: Path, tmp_path: Path) -> None:
    source = scans / "image" / "test-000.nii.gz"
    run(source, tmp_path / "named")
    outputs = []
    for name in ("one", "two"):
        run(source, tmp_path / name, "--anonymous", "--key", str(tmp_path / f"{name}.key"))
        (folder,) = (path for path in (tmp_path / name).iterdir() if path.is_dir())
        outputs.append((folder.name, json.loads((folder / "scores.json").read_text())["input_sha256"]))
    plain = json.loads((tmp_path / "named" / "test-000" / "scores.json").read_text())["input_sha256"]
    assert len({plain, outputs[0][1], outputs[1][1]}) == 3
    assert outputs[0][0] != outputs[1][0]
    assert not found_in(tmp_path / "one", [plain, (tmp_path / "one.key").read_text().strip()])


def test_a_damaged_member_fails_alone(run: Any, tmp_path: Path) -> None:
    folder = write_identifiable(tmp_path / "in")
    archive = pack(folder, tmp_path / "a.zip")
    before = run(archive, tmp_path / "out").output
    with zipfile.ZipFile(archive) as opened:
        member = next(info for info in opened.infolist() if info.filename.endswith(".mha"))
        start = member.header_offset + 30 + len(member.filename.encode()) + 20
    content = bytearray(archive.read_bytes())
    content[start : start + 40] = bytes(40)
    archive.write_bytes(content)
    after = run(archive, tmp_path / "again").output
    counts = [[int(word) for word in text.splitlines()[-1].replace(",", "").split()[:5:2]] for text in (before, after)]
    assert counts[1] == [counts[0][0] - 1, 0, counts[0][2] + 1]

"""`qfae check --duplicates` and `qfae train --group-duplicates`: clusters are told, and never split."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from qfae_monai.model.duplicates import find_duplicates, grouped
from qfae_monai.model.scans import look
from qfae_monai.model.split import split
from tests.cli.test_exit_codes import code_of
from tests.data.textures import head, save_image, save_volume, texture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixteen images, and four that are the first four, turned."""
    for number in range(16):
        save_image(tmp_path / "scans" / f"p{number:02d}.png", texture(number))
    for number in range(4):
        save_image(tmp_path / "scans" / f"copy{number}.png", texture(number).T)
    return tmp_path / "scans"


@pytest.mark.parametrize("seed", range(5))
def test_no_cluster_is_in_two_sections(folder: Path, seed: int) -> None:
    found, sentence = grouped(look(folder))
    assert sentence == "4 pairs of near-duplicates of different patients: 8 of 20 patients are split as 4 patients"
    section = {scan.path.stem: name for name, scans in split(found, seed).sections().items() for scan in scans}
    assert len(section) == 20
    assert all(section[f"copy{number}"] == section[f"p{number:02d}"] for number in range(4))


def test_a_copy_of_an_abnormal_scan_is_tested_with_it(folder: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "abnormal" / "ill.png", texture(7)[1:-1])
    found, _ = grouped(look(folder, abnormal=tmp_path / "abnormal"))
    assert {"p07", "ill"} <= {scan.path.stem for scan in split(found).test}


def test_without_near_duplicates_nothing_is_joined(tmp_path: Path) -> None:
    for number in range(4):
        save_image(tmp_path / f"{number}.png", texture(number))
    before = look(tmp_path)
    after, sentence = grouped(before)
    assert after == before
    assert sentence == "no near-duplicates of different patients, which would be kept together"


def test_sections_of_a_list_are_not_changed(tmp_path: Path) -> None:
    files = [save_image(tmp_path / f"{number}.png", texture(number)) for number in range(2)]
    listed = {"training": [{"image": str(files[0]), "image_label": 0}], "test": [{"image": str(files[1])}]}
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match="--group-duplicates: expected scans that are to be split, got a data list"):
        grouped(look(tmp_path / "dataset.json"))


def test_what_is_left_aside_is_counted(tmp_path: Path) -> None:
    files = [str(save_image(tmp_path / f"{number}.png", texture(0))) for number in range(3)]
    listed = {"training": [{"image": files[0]}, {"image": files[1], "image_label": 0}], "test": [{"image": files[2]}]}
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    said = find_duplicates(tmp_path / "dataset.json").sentences()
    assert any("1 file left aside, and not looked at: not said to be normal, such as" in one for one in said)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("no scan")
    with pytest.raises(ValueError, match="expected scans, got none"):
        find_duplicates(tmp_path / "none")


def test_pairs_within_a_patient_are_counted_apart(tmp_path: Path) -> None:
    for name, seed in (("sub-1/a", 0), ("sub-1/b", 0), ("sub-2/a", 1), ("sub-3/a", 1)):
        save_volume(tmp_path / f"{name}.nii.gz", head(seed) * (1 + len(name) / 100 + seed))
    save_volume(tmp_path / "sub-3" / "slice.nii.gz", head(1)[:, :, :1])  # the reader refuses it everywhere
    found = find_duplicates(tmp_path)
    assert [found.scans[n].name for n in found.pairs[0][:2]] == ["sub-2/a.nii.gz", "sub-3/a.nii.gz"]
    assert (len(found.pairs), len(found.within)) == (1, 1)
    assert found.sentences()[1] == "1 pair of near-duplicates of one patient"
    assert [row[4] for row in found.table()[1]] == ["no", "yes"]


def test_the_command_names_a_few_and_writes_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(monkeypatch, "check", folder, "--duplicates", "-o", tmp_path / "pairs.csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NEAR-DUPLICATES"
    assert lines[1].startswith("  4 pairs of near-duplicates of different patients in 4 clusters: copy0.png ~ p00.png")
    assert lines[1].endswith("copy2.png ~ p02.png and 1 more")
    assert lines[3].startswith("IMAGES: 20 files")
    rows = list(csv.DictReader((tmp_path / "pairs.csv").open(newline="")))
    assert [(row["scan"], row["near_duplicate"]) for row in rows] == [(f"copy{n}.png", f"p0{n}.png") for n in range(4)]


def test_the_command_takes_a_data_list_and_tells_sections(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = {
        name: [{"image": f"{stem}.png", "image_label": 0}] for name, stem in (("training", "p00"), ("test", "copy0"))
    }
    (folder / "list.json").write_text(json.dumps(entries))
    assert code_of(monkeypatch, "check", folder / "list.json", "--duplicates") == 0
    said = capsys.readouterr().out
    assert "1 of 1 test scan is a near-duplicate (correlation 1.00) of training scans of other patients" in said


def test_a_table_without_duplicates_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(monkeypatch, "check", folder, "-o", tmp_path / "pairs.csv") != 0
    assert "expected --duplicates beside it" in capsys.readouterr().err
    assert code_of(monkeypatch, "check", tmp_path / "none", "--duplicates") != 0
    assert "expected a folder of scans or a data list, got no such path" in capsys.readouterr().err


def test_one_scan_alone_has_none(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", texture(0))
    assert find_duplicates(tmp_path).sentences() == ["no near-duplicates of different patients among 1 scan"]

"""Folders of data sets on the command line: one, one for each, or one with all."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.experiments.data_folders import find_folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("resc", "rsna", "a=b"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_one_folder_is_the_data_sets_own_or_has_them_all(folder: Path) -> None:
    assert find_folders([str(folder)], ["brats2021", "brats2021"]) == {"brats2021": folder}
    assert find_folders([str(folder)], ["resc"]) == {"resc": folder / "resc"}
    assert find_folders([str(folder)], ["resc", "rsna"]) == {"resc": folder / "resc", "rsna": folder / "rsna"}
    assert find_folders([str(folder / "a=b")], ["resc"]) == {"resc": folder / "a=b"}


def test_each_folder_by_its_name(folder: Path) -> None:
    given = [f"rsna={folder / 'resc'}", f"resc={folder}", f"liverct={folder}"]
    assert find_folders(given, ["resc", "rsna"]) == {"resc": folder, "rsna": folder / "resc"}


def test_every_missing_folder_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing: brats2021 \(BMAD's .*\), not in .*; liverct-plain \(BMAD's"):
        find_folders([str(folder)], ["resc", "brats2021", "liverct-plain"])
    with pytest.raises(
        FileNotFoundError, match=r"missing: rsna \(BMAD's RSNA, or `qfae prepare rsna`\); give NAME=DIR"
    ):
        find_folders([f"resc={folder}"], ["resc", "rsna"])
    with pytest.raises(FileNotFoundError, match=r"missing: rsna \(.*\), not in .*nowhere"):
        find_folders([str(folder / "nowhere")], ["rsna"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["brain=x"],
            "expected one of brats2021, resc, rsna, liverct, liverct-plain before the equals sign, got 'brain'",
        ),
        (["resc=x", "resc=y"], "got resc twice"),
        (["x", "y"], "expected NAME=DIR for each of several, got x, y"),
        (["x", "resc=y"], "got both: x, resc=y"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=f"--data: .*{message}"):
        find_folders(given, ["resc", "rsna"])

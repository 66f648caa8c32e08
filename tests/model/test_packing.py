"""A packed model is the model, and a .zip of others writes nothing but a model."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from qfae_monai.model import packing
from qfae_monai.model.folder import ModelFolder
from qfae_monai.model.packing import pack, unpacked


def repack(path: Path, output: Path, **more: bytes) -> Path:
    """The same members, and others."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member, old.read(member))
        for name, content in more.items():
            new.writestr(name, content)
    return output


@pytest.fixture(scope="module")
def packed(phantom_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(phantom_model, tmp_path_factory.mktemp("packed") / "model.zip")


def test_a_packed_model_is_the_model_without_what_is_local(packed: Path, copied: Path, tmp_path: Path) -> None:
    found = ModelFolder.open(unpacked(packed))
    assert found.files == ModelFolder.open(copied).files
    (copied / "training").mkdir()
    (copied / "training" / "resume.pt").write_text("local")
    with zipfile.ZipFile(pack(copied, tmp_path / "m.zip")) as archive:
        assert sorted(archive.namelist()) == sorted(["model.json", *found.files])
    assert unpacked(packed) == found.path  # once in a process
    assert unpacked(copied) == copied


def test_folders_among_the_members_are_none_of_the_files(packed: Path, tmp_path: Path) -> None:
    unpacked(repack(packed, tmp_path / "m.zip", **{"configs/": b"", "models/": b""}))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..\\x", "C:/x", "C:x"])
def test_a_member_that_leads_out_is_refused_before_anything_is_written(packed: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected a packed model, whose files lie below it"):
        unpacked(repack(packed, tmp_path / "m.zip", **{name: b"x"}))
    assert {path.name for path in tmp_path.iterdir()} == {"m.zip"}


def test_a_link_among_the_members_is_a_file(packed: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("configs/link")
    link.external_attr = 0o120777 << 16
    repack(packed, tmp_path / "m.zip")
    with zipfile.ZipFile(tmp_path / "m.zip", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert not (unpacked(tmp_path / "m.zip") / "configs" / "link").is_symlink()


def test_more_than_the_machine_holds_is_refused(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, needed: int, what: str) -> None:
        assert needed > 2**24
        raise ValueError(f"{name}: too large")

    monkeypatch.setattr(packing, "check_memory", full)
    with pytest.raises(ValueError, match="too large"):
        unpacked(repack(packed, tmp_path / "m.zip", bomb=bytes(2**24)))
    monkeypatch.setattr(packing, "MOST_FILES", 3)
    with pytest.raises(ValueError, match="members"):
        unpacked(repack(packed, tmp_path / "n.zip"))


def test_a_damaged_file_is_refused(packed: Path, tmp_path: Path) -> None:
    content = bytearray(packed.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    (tmp_path / "m.zip").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        unpacked(tmp_path / "m.zip")
    (tmp_path / "cut.zip").write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(FileNotFoundError, match=r"expected a model folder .* got a file"):
        ModelFolder.open(unpacked(tmp_path / "cut.zip"))


def test_a_changed_member_is_refused(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(tmp_path / "m.zip", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"other" if name == "configs/training.yaml" else old.read(name))
    with pytest.raises(ValueError, match=r"training\.yaml: expected the file of this model"):
        unpacked(tmp_path / "m.zip")


def test_a_zip_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("scan.nii", "x")
    with pytest.raises(ValueError, match=r"beside model\.json, got 1 members"):
        unpacked(tmp_path / "m.zip")


def test_only_a_zip_is_written_and_only_of_a_whole_model(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.zip, got \.tar"):
        pack(copied, tmp_path / "m.tar")
    (copied / "docs" / "README.md").write_text("other")
    with pytest.raises(ValueError, match=r"README\.md: expected the file of this model"):
        pack(copied, tmp_path / "m.zip")
    assert not (tmp_path / "m.zip").exists()

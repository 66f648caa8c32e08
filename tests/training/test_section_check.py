"""The check before a run: near-duplicates across sections are named, read once, by one process or two."""

from __future__ import annotations

import json
import logging
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ignite.engine import Engine
from safetensors.numpy import save_file

from qfae_monai.data.scan_picture import kept_pictures
from qfae_monai.training import SectionCheck, join_processes, leave_processes
from qfae_monai.training.section_check import FILE
from tests.data.textures import head, save_image, save_volume, texture
from tests.forked import in_two_processes

SAID = "1 of 3 test scans is a near-duplicate (correlation 1.00) of training scans of other patients"


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Three scans in each section; the second of the test is the first of the training as JPEG, flipped."""
    listed: dict[str, list[dict[str, object]]] = {}
    for start, section in enumerate(("training", "validation", "test")):
        files = [save_image(tmp_path / section / f"{n}.png", texture(10 * start + n)) for n in range(3)]
        listed[section] = [{"image": str(file), "case": f"{section}-{n}"} for n, file in enumerate(files)]
    copy = save_image(tmp_path / "test" / "copy.jpg", texture(0)[:, ::-1], quality=90)
    listed["test"][1]["image"] = str(copy)
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(listed))
    return path


@pytest.fixture(autouse=True)
def nothing_read() -> None:
    kept_pictures().clear()


def test_it_names_scans_on_the_screen_and_none_in_the_model(
    datalist: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check = SectionCheck(datalist, tmp_path / "training_folder")
    engine = Engine(lambda engine, batch: None)
    check.attach(engine)
    with caplog.at_level(logging.WARNING):
        engine.run([0])
    assert check.warnings == [SAID]
    assert caplog.messages[-1] == f"{SAID}: test/copy.jpg ~ training/0.png"
    pair = check.record()["pairs"][0]
    assert (pair["cases"], pair["sections"]) == (["training-0", "test-1"], ["training", "test"])
    assert not (tmp_path / "training_folder").exists()
    found = check.record()
    assert (found["sections"]["training"], found["sections"]["test"], found["shared_patients"]) == (3, 3, 0)


def test_an_evaluation_needs_the_pictures_of_the_training_alone(datalist: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model" / "training"
    SectionCheck(datalist, folder, keep=True)()
    content = json.loads(datalist.read_text())
    tested = datalist.with_name("tested.json")
    tested.write_text(json.dumps({"test": content["test"]}))
    for entry in content["training"]:
        Path(entry["image"]).unlink()
    kept_pictures().clear()
    check = SectionCheck(tested, folder)
    check()
    assert check.warnings == [SAID]
    (folder / FILE).unlink()  # a model that was passed on
    check = SectionCheck(tested, folder)
    check()
    assert check.warnings == []
    assert set(check.record()["sections"]) == {"test"}  # so that nobody takes it for a check against training scans


def test_what_was_read_before_is_not_read_again(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SectionCheck(datalist, tmp_path, keep=True)()
    kept_pictures().clear()
    monkeypatch.setattr("qfae_monai.data.scan_picture._read", lambda _: pytest.fail("a scan was read again"))
    for _ in range(2):
        check = SectionCheck(datalist, tmp_path)
        check()
        assert check.warnings == [SAID]


def test_unreadable_scans_are_left_to_who_uses_them(datalist: Path, tmp_path: Path) -> None:
    content = json.loads(datalist.read_text())
    Path(content["training"][2]["image"]).write_bytes(b"no image")
    check = SectionCheck(datalist, tmp_path, keep=True)
    check()
    assert check.warnings == [SAID]
    again = SectionCheck(datalist, tmp_path)
    again()
    assert again.warnings == [SAID]


def test_folders_with_splits_and_volumes_are_looked_at(tmp_path: Path) -> None:
    save_image(tmp_path / "bmad" / "train" / "good" / "a.png", texture(0))
    save_image(tmp_path / "bmad" / "test" / "good" / "a.png", texture(0), optimize=True)  # one name in two splits
    check = SectionCheck(tmp_path / "bmad", tmp_path)
    check()
    assert check.warnings == [SAID.replace("of 3 test scans", "of 1 test scan")]
    listed = {
        "training": [{"image": str(save_volume(tmp_path / "a.nii.gz", head(0))), "patient": "a"}],
        "validation": [{"image": str(save_volume(tmp_path / "b.nii.gz", head(1))), "patient": "b"}],
        "test": [{"image": str(save_volume(tmp_path / "c.nii.gz", 3 * head(1)[1:])), "patient": "c"}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    check = SectionCheck(tmp_path / "dataset.json", tmp_path)
    check()
    assert [text.split(" (")[0] for text in check.warnings] == ["1 of 1 test scan is a near-duplicate"]
    assert "validation scans" in check.warnings[0]


def test_runs_without_a_data_list_have_nothing_to_compare(tmp_path: Path) -> None:
    check = SectionCheck(tmp_path / "dataset.json", tmp_path, keep=True)
    check()
    again = SectionCheck(tmp_path / "dataset.json", tmp_path)
    again()
    assert check.warnings == again.warnings == []


BAD = [
    (b"{", "expected pictures of a training's scans, got another file"),
    ({"scans": '{"scans": [{"key": 3}]}'}, "scans"),
    ({"scans": '{"scans": []}'}, "expected 0 pictures of 64 x 64"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_another_file_in_its_place_is_refused(
    content: bytes | dict[str, str], message: str, datalist: Path, tmp_path: Path
) -> None:
    if isinstance(content, bytes):
        (tmp_path / FILE).write_bytes(content)
    else:
        save_file({"pictures": np.zeros((2, 64, 64), np.int8)}, tmp_path / FILE, metadata=content)
    with pytest.raises(ValueError, match=f"{FILE}.*{message}"):
        SectionCheck(datalist, tmp_path)()


def look_in_two(datalist: Path, folder: Path) -> None:
    join_processes("gloo", os.environ, timeout_s=60)
    check = SectionCheck(datalist, folder, keep=True)
    check()
    (folder / f"rank_{os.environ['RANK']}.json").write_text(json.dumps([check.warnings, len(kept_pictures())]))
    leave_processes()


@pytest.mark.slow
def test_two_processes_read_a_share_each_and_one_of_them_says_it(datalist: Path, tmp_path: Path) -> None:
    in_two_processes(partial(look_in_two, datalist, tmp_path), tmp_path / "logs")
    said = [json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in range(2)]
    assert said == [[[SAID], 5], [[], 4]]
    assert (tmp_path / FILE).is_file()

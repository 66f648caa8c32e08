"""Which model is served: the newest training, a packed one, one that was changed since; and which never is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.served import Served

from qfae_monai.model.folder import seal_again
from qfae_monai.model.packing import pack
from tests.deploy.conftest import copy_of


def _served(studies: Path, model: Path, *, trusted: bool = False) -> Served:
    return Served(studies, model, weights=studies / "weights", trusted=trusted)


def test_the_newest_training_is_served(model: Path, tmp_path: Path) -> None:
    served = _served(tmp_path, model)
    first, given = served.model(), served.sha256
    assert served.next_training().name == "0001"
    for name in ("0001", "0009", "10000", ".10001.unfinished", "10002.old"):
        copy_of(model, served.trainings / name)
    assert served.path.name == "10000"
    assert served.next_training().name == "10001"
    assert served.model() is not first
    assert served.model() is served.model()
    assert served.sha256 == given  # the same bytes


def test_a_packed_model_is_served_as_its_folder_is(model: Path, tmp_path: Path) -> None:
    packed = _served(tmp_path, pack(model, tmp_path / "model.zip"))
    assert packed.sha256 == _served(tmp_path, model).sha256
    assert packed.model().calibration is not None
    assert packed.model() is packed.model()


def test_new_thresholds_of_the_same_model_are_taken(model: Path, tmp_path: Path) -> None:
    folder = copy_of(model, tmp_path / "changed")
    served = _served(tmp_path, folder)
    assert served.model().calibration is not None
    (folder / "calibration.json").unlink()
    seal_again(folder)
    os.utime(folder / "model.json", ns=(1, 1))  # a clock that is too coarse to tell
    assert served.model().calibration is None


def test_a_training_of_an_earlier_version_is_named_and_kept(model: Path, tmp_path: Path) -> None:
    former = tmp_path / "model" / "0003" / "model.pt"
    former.parent.mkdir(parents=True)
    former.write_bytes(b"of an earlier version")
    served = _served(tmp_path, model)
    assert served.next_training().name == "0004"
    with pytest.raises(FileNotFoundError, match=r"0003: expected a model folder .* a folder without it"):
        served.model()


@pytest.mark.parametrize("file", ["inference", "training"])
def test_code_of_others_is_not_run_unless_trusted(model: Path, tmp_path: Path, file: str) -> None:
    folder = copy_of(model, tmp_path / "foreign")
    configuration = folder / "configs" / f"{file}.yaml"
    ran = tmp_path / "ran"
    code = f"$__import__('pathlib').Path({str(ran)!r}).touch()"
    configuration.write_text(f"{configuration.read_text()}\nrank: {json.dumps(code)}\n")
    with pytest.raises(ValueError, match=rf"{file}.yaml: expected what this package writes, or --trust"):
        _served(tmp_path, folder).model()
    assert not ran.exists()
    assert _served(tmp_path, folder, trusted=True).model() is not None


def test_a_model_of_single_images_is_refused(model: Path, tmp_path: Path) -> None:
    folder = copy_of(model, tmp_path / "images")
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**manifest, "kind": "image"}))
    with pytest.raises(ValueError, match="images: expected a model of volumes, got one of single images"):
        _served(tmp_path, folder).model()

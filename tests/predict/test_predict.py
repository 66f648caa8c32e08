"""`qfae predict` as a user runs it: complete folders, exit codes, what is kept, and what goes wrong."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from typer.main import get_command

from qfae_monai import cli
from qfae_monai.cli.predict import SOME_FAILED
from qfae_monai.files import machine_memory, read_rows
from qfae_monai.model.folder import CALIBRATION, FINGERPRINT, seal_again
from qfae_monai.model.packing import pack
from qfae_monai.predict import study_steps
from tests.reading.dicom_factory import series

NEVER = ("Doe", "Jane", "QZX-4711", "St. Elsewhere")  # of the headers of the tests' DICOM files


@pytest.fixture
def inputs(scans: Path, tmp_path: Path) -> Path:
    """Two volumes, a damaged one between them, a DICOM series with names in its header, and an image."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name, source in (("a", "test-000"), ("c", "test-001")):
        shutil.copy(scans / "image" / f"{source}.nii.gz", folder / f"{name}.nii.gz")
    (folder / "b.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes()[:20_000])
    pixels = (np.random.default_rng(0).random((24, 32, 32)) * 900).astype(np.int16)
    names: dict[str, Any] = {
        "PatientID": "QZX-4711",
        "InstitutionName": "St. Elsewhere",
        "SeriesDescription": "Doe",
        "FrameOfReferenceUID": "1.2.3",
    }
    series(folder / "dicom", pixels, **names)
    Image.fromarray(pixels[0].astype(np.uint16)).save(folder / "d.png")
    return folder


def test_a_cohort_is_done_but_for_what_is_damaged(run: Any, inputs: Path, tmp_path: Path) -> None:
    result = run(inputs, tmp_path / "out")
    assert result.exit_code == SOME_FAILED, result.output
    assert "3 done, 0 kept, 2 failed" in result.output
    rows = {row["study"]: row for row in csv.DictReader((tmp_path / "out" / "summary.csv").open())}
    assert rows["b"]["status"] == "failed"
    assert "b.nii.gz" in rows["b"]["reason"]
    assert rows["d"]["reason"] == "expected a volume, as the model was trained on, got a single image"
    for name in set(rows) - {"b", "d"}:
        written = {path.name for path in (tmp_path / "out" / name).iterdir()}
        assert written == {"image.nii.gz", "anomaly_map.nii.gz", "mask.nii.gz", "scores.json", "overlay.png"}
    assert not (tmp_path / "out" / "b").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 of 5 studies scored" in page
    assert "b.nii.gz" in page


def test_outputs_lie_on_the_inputs_grid(run: Any, inputs: Path, tmp_path: Path) -> None:
    run(inputs / "a.nii.gz", tmp_path / "out")
    image = nib.Nifti1Image.from_filename(inputs / "a.nii.gz")
    for name, dtype in (("image", image.get_data_dtype()), ("anomaly_map", np.float32), ("mask", np.uint8)):
        found = nib.Nifti1Image.from_filename(tmp_path / "out" / "a" / f"{name}.nii.gz")
        assert found.shape == image.shape
        assert found.get_data_dtype() == dtype
        np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    scores = json.loads((tmp_path / "out" / "a" / "scores.json").read_text())
    assert scores["score"] == pytest.approx(max(row["score"] for row in scores["slices"]))
    assert scores["p_value"] == pytest.approx(0.25) or scores["p_value"] > 0.25  # three normals: a quarter at least
    assert scores["threshold"] is None  # three are too few for 5 %


def test_nothing_of_the_header_gets_into_the_outputs(run: Any, inputs: Path, tmp_path: Path) -> None:
    alone = pydicom.dcmread(inputs / "dicom" / "001.dcm")
    alone.SeriesInstanceUID = alone.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["damaged"])
    alone.save_as(inputs / "dicom" / "Doe-Jane.dcm")
    (inputs / "dicom" / "Doe-Jane.dcm").write_bytes((inputs / "dicom" / "Doe-Jane.dcm").read_bytes()[:-500])
    result = run(inputs / "dicom", tmp_path / "out")
    assert "1 done, 0 kept, 1 failed" in result.output
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    for path in (tmp_path / "out").rglob("*"):
        assert not any(word in str(path) for word in NEVER)
        if path.suffix in (".json", ".csv", ".html"):
            text = re.sub(r"base64,[A-Za-z0-9+/=]*", "", path.read_text())
            assert not [word for word in NEVER if word in text]
    for name in ("image", "anomaly_map", "mask"):
        content = nib.Nifti1Image.from_filename(folder / f"{name}.nii.gz").header.binaryblock
        assert not any(word.encode() in content for word in NEVER)


def test_the_volume_that_was_read_of_several_is_written(run: Any, tmp_path: Path) -> None:
    pixels = (np.arange(24 * 32 * 32, dtype=np.int16) % 997).reshape(24, 32, 32)
    for echo in (1, 2):
        numbers = [24 * echo + place for place in range(24)]
        series(
            tmp_path / "in" / str(echo),
            pixels,
            shuffle=False,
            EchoNumbers=echo,
            InstanceNumber=numbers,
            skip=range(10, 24) if echo == 2 else (),
        )
    assert "1 done" in run(tmp_path / "in", tmp_path / "out").output
    (scores,) = (json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/scores.json"))
    assert "interrupted: 1 incomplete volumes left out, with 10 of 24 slices" in scores["risks"]
    assert any(note.startswith("volume 1 of 2: echo 1 of 2") for note in scores["risks"])


def test_what_is_complete_is_kept_and_what_has_changed_is_done_again(run: Any, inputs: Path, tmp_path: Path) -> None:
    source, out = inputs / "a.nii.gz", tmp_path / "out"
    run(source, out)
    first = (out / "a" / "scores.json").stat().st_mtime_ns
    assert "0 done, 1 kept" in run(source, out).output
    assert (out / "a" / "scores.json").stat().st_mtime_ns == first
    shutil.copy(inputs / "c.nii.gz", source)
    assert "1 done, 0 kept" in run(source, out).output
    assert "1 done, 0 kept" in run(source, out, "--set", "pixel_false_positive_rate=0.05").output


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_study_leaves_nothing_behind_and_the_next_run_does_it(
    run: Any, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(*_: Any) -> bytes:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(study_steps, "overlay_png", broken)
        result = run(inputs / "a.nii.gz", tmp_path / "out")
    assert result.exit_code != 0
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left - {"report.html"} == {"summary.json", "summary.csv"}
    assert run(inputs / "a.nii.gz", tmp_path / "out").exit_code == 0


def test_leftovers_of_a_killed_run_are_removed(run: Any, inputs: Path, tmp_path: Path) -> None:
    leftover = tmp_path / "out" / ".z.unfinished"
    leftover.mkdir(parents=True)
    (leftover / "image.nii.gz").write_bytes(b"half")
    run(inputs / "a.nii.gz", tmp_path / "out")
    assert not leftover.exists()


def test_a_file_in_place_of_the_output_is_an_error(run: Any, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    result = run(inputs / "a.nii.gz", tmp_path / "out")
    assert isinstance(result.exception, OSError)
    assert "out" in str(result.exception)


def test_dicom_objects_stand_beside_a_dicom_study_only(run: Any, inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    assert "3 done" in run(inputs, tmp_path / "out", "--dicom", "--set", "region=head").output
    folders = {path.name: path for path in (tmp_path / "out").iterdir() if path.is_dir()}
    with_objects = [path for path in folders.values() if (path / "dicom").exists()]
    assert len(with_objects) == 1
    assert {path.name for path in (with_objects[0] / "dicom").iterdir()} == {
        "parametric_map.dcm",
        "segmentation.dcm",
        "key_image_1.dcm",
        "key_image_2.dcm",
        "key_image_3.dcm",
    }
    mask = pydicom.dcmread(with_objects[0] / "dicom" / "segmentation.dcm")
    assert mask.PatientName == "Doe^Jane"
    assert "0 done, 1 kept" in run(inputs / "dicom", tmp_path / "out", "--dicom", "--set", "region=head").output
    run(inputs / "dicom", tmp_path / "bare", "--dicom", "--anonymous")
    for path in (tmp_path / "bare").rglob("*.dcm"):
        assert not [word for word in NEVER if word.encode() in path.read_bytes()]


def test_options_of_dicom_objects_need_a_dicom_series(run: Any, inputs: Path, tmp_path: Path) -> None:
    for options, expected in (
        (("--key", str(tmp_path / "k")), "expected --anonymous beside it"),
        (("--set", "region=head"), "expected --dicom beside it"),
        (("--dicom",), "expected one in the input, got none"),
    ):
        result = run(inputs / "a.nii.gz", tmp_path / "out", *options)
        assert expected in str(result.exception)
        assert not (tmp_path / "out").exists()


def test_onnx_runtime_finds_the_same(run: Any, inputs: Path, model_with_graph: Path, tmp_path: Path) -> None:
    absent = run(inputs / "a.nii.gz", tmp_path / "none", "--device", "onnx")
    assert "detector.onnx" in str(absent.exception)
    run(inputs / "a.nii.gz", tmp_path / "torch")
    result = run(inputs / "a.nii.gz", tmp_path / "onnx", "--device", "onnx", model=model_with_graph)
    assert result.exit_code == 0, result.output
    maps = [nib.Nifti1Image.from_filename(tmp_path / name / "a" / "anomaly_map.nii.gz") for name in ("torch", "onnx")]
    np.testing.assert_allclose(np.asarray(maps[0].dataobj), np.asarray(maps[1].dataobj), atol=1e-4)


def test_a_foreign_folder_is_left_alone(run: Any, inputs: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "out" / "a" / "notes.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    result = run(inputs / "a.nii.gz", tmp_path / "out")
    assert result.exit_code == SOME_FAILED
    assert "left alone" in result.output
    assert foreign.read_text() == "mine"


def test_results_do_not_become_studies(run: Any, inputs: Path) -> None:
    result = run(inputs, inputs / "out")
    assert "expected an output outside of the input" in str(result.exception)
    assert not (inputs / "out").exists()


def test_named_and_anonymous_results_do_not_share_an_output(run: Any, inputs: Path, tmp_path: Path) -> None:
    source, named, hidden = inputs / "a.nii.gz", tmp_path / "named", tmp_path / "hidden"
    run(source, named)
    assert "1 done, 0 kept" in run(source, hidden, "--anonymous").output
    assert "0 done, 1 kept" in run(source, hidden, "--anonymous").output
    for output, options in (
        (named, ("--anonymous",)),
        (hidden, ()),
        (hidden, ("--anonymous", "--key", str(tmp_path / "other.key"))),
    ):
        result = run(source, output, *options)
        assert "got others in it" in str(result.exception)
    assert (tmp_path / "hidden.key").is_file()


def test_a_calibration_that_comes_later_counts(run: Any, inputs: Path, model_copy: Path, tmp_path: Path) -> None:
    thresholds = model_copy / CALIBRATION
    kept = thresholds.read_bytes()
    thresholds.unlink()
    seal_again(model_copy)
    ended = run(inputs / "a.nii.gz", tmp_path / "out", model=model_copy)
    assert "has no thresholds" in ended.output
    assert not (tmp_path / "out" / "a" / "mask.nii.gz").exists()
    thresholds.write_bytes(kept)
    seal_again(model_copy)
    assert "1 done, 0 kept" in run(inputs / "a.nii.gz", tmp_path / "out", model=model_copy).output
    assert (tmp_path / "out" / "a" / "mask.nii.gz").exists()
    (tmp_path / "out" / "a" / "overlay.png").unlink()
    assert "1 done, 0 kept" in run(inputs / "a.nii.gz", tmp_path / "out", model=model_copy).output


def test_thresholds_of_another_checkpoint_are_refused(run: Any, inputs: Path, model_copy: Path, tmp_path: Path) -> None:
    other = json.loads((model_copy / CALIBRATION).read_text()) | {"checkpoint": "0" * 64}
    (model_copy / CALIBRATION).write_text(json.dumps(other))
    seal_again(model_copy)  # as one would who wants to be believed
    result = run(inputs / "a.nii.gz", tmp_path / "out", model=model_copy)
    assert isinstance(result.exception, ValueError)
    assert "calibration.json" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_workers_change_no_byte(run: Any, inputs: Path, tmp_path: Path) -> None:
    found = []
    for workers in (1, 4):
        out = tmp_path / str(workers)
        assert run(inputs, out, "--workers", str(workers)).exit_code == 3  # one input is damaged
        files = sorted(path for path in out.rglob("*") if path.is_file())
        found.append({path.relative_to(out): path.read_bytes() for path in files})
    assert found[0] == found[1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_a_signal_ends_a_cohort_whole_and_with_its_summary(
    name: str, inputs: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(signal, name)
    save = study_steps.save_volume

    def hit(path: Path, *arguments: Any) -> None:
        save(path, *arguments)
        if path.parent.name.startswith(".c."):  # the third study, half-way
            os.kill(os.getpid(), number)

    monkeypatch.setattr(study_steps, "save_volume", hit)
    command = ["predict", "-i", str(inputs), "-o", str(tmp_path / "out"), "-m", str(model_folder)]
    monkeypatch.setattr(sys, "argv", ["qfae", *command])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 128 + number
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())["studies"]
    done = {row["study"] for row in rows if row["status"] == "done"}
    assert "a" in done
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*done, "summary.json", "summary.csv"}


def _detached(folder: Path, scan: Path) -> Path:
    """A scan as a header and its voxels; returns the file of the voxels."""
    loaded: Any = nib.load(scan)
    pixels = np.asarray(loaded.dataobj, dtype=np.float32)
    size = " ".join(map(str, pixels.shape))
    head = f"NDims = 3\nDimSize = {size}\nElementType = MET_FLOAT\nElementDataFile = a.raw\n"
    (folder / "a.mhd").write_text(head)
    (folder / "a.raw").write_bytes(pixels.tobytes(order="F"))
    return folder / "a.raw"


def test_other_voxels_behind_the_same_header_are_done_again(run: Any, inputs: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "detached", tmp_path / "out"
    source.mkdir()
    _detached(source, inputs / "a.nii.gz")
    assert "1 done, 0 kept" in run(source / "a.mhd", out).output
    first = json.loads((out / "a" / "scores.json").read_text())
    assert "0 done, 1 kept" in run(source / "a.mhd", out).output
    _detached(source, inputs / "c.nii.gz")
    assert "1 done, 0 kept" in run(source / "a.mhd", out).output
    second = json.loads((out / "a" / "scores.json").read_text())
    assert first["score"] != second["score"]
    assert first["input_sha256"] != second["input_sha256"]


def test_a_voxel_far_outside_is_written_beside_the_score(run: Any, inputs: Path, tmp_path: Path) -> None:
    source = tmp_path / "detached"
    source.mkdir()
    voxels = _detached(source, inputs / "a.nii.gz")
    values = np.fromfile(voxels, np.float32)
    values[values.argmax()] *= 10_000
    voxels.write_bytes(values.tobytes())
    run(source / "a.mhd", tmp_path / "out")
    (risk,) = json.loads((tmp_path / "out" / "a" / "scores.json").read_text())["risks"]
    assert risk.startswith("outlying-voxels: 1 of")


def test_a_study_that_asks_for_more_memory_than_there_is_fails_alone(
    run: Any, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large: Any = nib.Nifti1Image(np.zeros((400, 400, 500), np.uint8), np.eye(4))
    nib.save(large, inputs / "large.nii.gz")
    (inputs / "b.nii.gz").unlink()
    monkeypatch.setattr(machine_memory, "available_memory", lambda: 350_000_000)
    ended = run(inputs, tmp_path / "out", "--series", "large.nii.gz")
    assert ended.exit_code != 0
    assert "expected at most the 0.3 GB" in " ".join(ended.output.split())


def test_a_scan_unlike_the_training_scans_is_said_everywhere(
    run: Any, inputs: Path, model_copy: Path, tmp_path: Path
) -> None:
    trained = (model_copy / FINGERPRINT).read_bytes()
    (model_copy / FINGERPRINT).unlink()
    seal_again(model_copy)
    run(inputs / "a.nii.gz", tmp_path / "out", model=model_copy)
    (model_copy / FINGERPRINT).write_bytes(trained)
    seal_again(model_copy)
    long: Any = nib.Nifti1Image(np.tile(np.asarray(nib.load(inputs / "c.nii.gz").dataobj), 3), np.diag([3, 3, 5, 1]))  # type: ignore[attr-defined]
    nib.save(long, inputs / "c.nii.gz")
    half = "18 of 72 slices with foreground were scored, less than half: no p-value, no verdict"
    said = "slices 3 to 20 of 72 are scored: the training scans have 24"
    ended = run(inputs, tmp_path / "out", "--series", "c.nii.gz", model=model_copy)
    assert f"        warning: {said}" in ended.output.splitlines()
    assert json.loads((tmp_path / "out" / "c" / "scores.json").read_text())["warnings"] == [half, said]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["studies"][0]["warnings"] == [half, said]
    assert [row["warnings"] for row in read_rows(tmp_path / "out" / "summary.csv")] == [f"{half}; {said}"]
    assert f"Unlike the training scans: {said}" in (tmp_path / "out" / "report.html").read_text()
    again = run(inputs, tmp_path / "out", "--series", "c.nii.gz", model=model_copy)
    assert "1 kept" in again.output
    assert said in again.output
    alike = run(inputs / "a.nii.gz", tmp_path / "out", model=model_copy)
    assert "1 done, 0 kept" in alike.output  # its earlier result was not compared
    assert "warning" not in alike.output
    assert json.loads((tmp_path / "out" / "a" / "scores.json").read_text())["warnings"] == []


def test_images_are_scored_by_a_model_of_images(run: Any, inputs: Path, image_model: Path, tmp_path: Path) -> None:
    ended = run(inputs / "d.png", tmp_path / "out", model=image_model)
    assert ended.exit_code == 0, ended.output
    assert nib.Nifti1Image.from_filename(tmp_path / "out" / "d" / "anomaly_map.nii.gz").shape == (32, 32, 1)
    refused = run(inputs / "a.nii.gz", tmp_path / "none", model=image_model)
    assert "expected studies that are single images, as this model was trained on" in str(refused.exception)
    assert not (tmp_path / "none").exists()


def test_a_packed_model_finds_the_same(run: Any, inputs: Path, model_folder: Path, tmp_path: Path) -> None:
    packed = pack(model_folder, tmp_path / "model.zip")
    run(inputs / "a.nii.gz", tmp_path / "out")
    assert "0 done, 1 kept" in run(inputs / "a.nii.gz", tmp_path / "out", model=packed).output


def test_predict_has_few_options() -> None:
    """More than fifteen are asked for by no issue; the rest are keys of `--set`."""
    command: Any = get_command(cli.app).commands["predict"]  # type: ignore[attr-defined]
    assert len([one for one in command.params if one.name != "help"]) <= 15


def test_what_its_header_refuses_is_not_hashed(run: Any, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(inputs / "a.nii.gz", tmp_path / "in" / "a.nii.gz")
    with (tmp_path / "in" / "endless.nii").open("wb") as stream:
        stream.truncate(1 << 42)  # of which nothing is on the disk; its hash takes an hour
    result = run(tmp_path / "in", tmp_path / "out")
    assert "1 done, 0 kept, 1 failed" in result.output

"""MONAI Label's server as viewers use it, with its own client: masks, maps, scores, next study, training, refusals."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

import psutil
import serve as command
import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from qfae_monai.model.folder import ModelFolder
from tests.deploy.conftest import APP, finished, request

REAL = pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA is not set")
STUDIES = ["test-001", "1.2.840.7", pytest.param("FLAIR", marks=[pytest.mark.realdata, REAL])]
ADDED = {"label_names", "latencies", "centroids"}


@pytest.fixture
def client(server: tuple[str, int], tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server[0], tmpdir=str(tmp_path), client_id="test")


def _volume(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.Nifti1Image.from_filename(path)
    return np.asarray(image.dataobj), image.affine


def _infer(client: MONAILabelClient, study: str, **params: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    file, scores = client.infer("qfae", study, params)
    return *_volume(file), scores


def test_the_app_says_what_it_serves(client: MONAILabelClient) -> None:
    info = client.info()
    model = info["models"]["qfae"]
    assert (model["type"], model["labels"], model["dimension"]) == ("segmentation", {"anomaly": 1}, 3)
    assert model["config"] == {"output_type": ["mask", "map"], "pixel_false_positive_rate": 0.01}
    assert model["normal_volumes_for_thresholds"] == 3
    assert all(re.fullmatch("[0-9a-f]{64}", model[f"{part}_sha256"]) for part in ("checkpoint", "configuration"))
    assert set(info["strategies"]) == {"most_anomalous"}
    assert set(info["scoring"]) == {"anomaly"}
    assert info["trainers"]["qfae"]["config"] == {"max_epochs": 10, "held_out": 0.2}
    assert "not for diagnosis" in info["description"]


@pytest.mark.parametrize("study", STUDIES)
def test_mask_and_scores_are_those_of_predict(client: MONAILabelClient, predicted: dict[str, Path], study: str) -> None:
    mask, affine, scores = _infer(client, study)
    folder = predicted[scores["input_sha256"]]
    wanted, wanted_affine = _volume(folder / "mask.nii.gz")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, wanted)
    np.testing.assert_allclose(affine, wanted_affine, atol=1e-4)
    written = json.loads((folder / "scores.json").read_text())
    for key in ("allow", "extras", "fingerprint_sha256", "not_written"):  # which the command alone has a use for
        del written[key]
    assert {key: value for key, value in scores.items() if key not in ADDED} == written
    assert len(written["slices"]) > 10


@pytest.mark.parametrize("study", STUDIES)
def test_the_map_on_request_is_that_of_predict(
    client: MONAILabelClient, predicted: dict[str, Path], study: str
) -> None:
    found, _, scores = _infer(client, study, output_type="map", result_dtype="uint8")  # which viewers ask for
    assert found.dtype == np.float32
    wanted = _volume(predicted[scores["input_sha256"]] / "anomaly_map.nii.gz")[0]
    np.testing.assert_array_equal(found, wanted)
    wider, _, scores = _infer(client, study, pixel_false_positive_rate=0.5)
    np.testing.assert_array_equal(wider, wanted > scores["pixel_threshold"])
    assert 0 < wider.sum() < wider.size


def test_the_viewers_format_and_threshold(client: MONAILabelClient) -> None:
    mask, affine, scores = _infer(client, "1.2.840.7")
    file, wider = client.infer("qfae", "1.2.840.7", {"result_extension": ".nrrd", "pixel_false_positive_rate": 0.1})
    assert file.endswith(".nrrd")
    image = sitk.ReadImage(file)
    assert image.GetPixelIDValue() == sitk.sitkUInt8
    np.testing.assert_allclose(image.GetOrigin(), np.diag([-1, -1, 1]) @ affine[:3, 3], atol=1e-4)
    assert sitk.GetArrayFromImage(image).sum() > mask.sum()
    assert wider["pixel_threshold"] < scores["pixel_threshold"]


def test_a_volume_of_the_viewers_own_and_the_scores_alone(
    client: MONAILabelClient, server: tuple[str, int], studies: Path
) -> None:
    file, scores = client.infer("qfae", "", {}, file=str(studies / "test-001.nii.gz"))
    np.testing.assert_array_equal(_volume(file)[0], _infer(client, "test-001")[0])
    status, alone = request(f"{server[0]}/infer/qfae?image=test-001&output=json", "POST")
    assert status == 200
    assert alone["slices"] == scores["slices"]


def test_a_dicom_series_is_handed_to_viewers_as_nifti_without_its_header(
    server: tuple[str, int], studies: Path, tmp_path: Path
) -> None:
    with urllib.request.urlopen(f"{server[0]}/datastore/image?image=1.2.840.7") as answer:
        assert answer.headers["content-disposition"] == 'attachment; filename="1.2.840.7.nii.gz"'
        (tmp_path / "handed.nii.gz").write_bytes(answer.read())
    assert request(f"{server[0]}/datastore/image/info?image=1.2.840.7")[1]["path"].endswith(".nifti/1.2.840.7.nii.gz")
    copy = nib.Nifti1Image.from_filename(tmp_path / "handed.nii.gz")
    assert b"Doe" not in copy.header.binaryblock
    original, _ = _volume(studies / "training-000.nii.gz")
    np.testing.assert_array_equal(np.asarray(copy.dataobj), original)


@pytest.mark.parametrize(
    ("study", "status", "message"),
    [
        ("nobody", 404, "image 'nobody': expected one of the"),
        ("flat", 422, "flat.nii.gz: expected a volume of several slices, got one slice"),
        ("gap", 422, "missing"),
        ("/etc/passwd", 400, "separator"),
    ],
)
def test_what_cannot_be_scored_is_answered_with_the_reason(
    server: tuple[str, int], study: str, status: int, message: str
) -> None:
    found = request(f"{server[0]}/infer/qfae?{urlencode({'image': study})}", "POST")
    assert found[0] == status
    assert message in found[1]["detail"]


def test_nothing_listens_but_on_this_machine(server: tuple[str, int]) -> None:
    process = psutil.Process(server[1])
    listening = [
        connection.laddr.ip
        for one in (process, *process.children(recursive=True))
        for connection in one.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    ]
    assert listening == ["127.0.0.1"]
    assert urlsplit(server[0]).port in {c.laddr.port for c in process.net_connections("inet")}


def test_the_login_of_3d_slicer(server: tuple[str, int], tmp_path: Path) -> None:
    address, token = server[0].rsplit("/", 1)
    slicer = MONAILabelClient(address, tmpdir=str(tmp_path))
    assert slicer.auth_enabled()
    assert request(f"{address}/info/")[0] == 401
    with pytest.raises(MONAILabelClientException, match="expected the token that the server printed"):
        slicer.auth_token("ann", "guessed")
    slicer.update_auth(slicer.auth_token("ann", token))
    assert slicer.auth_valid_token()
    assert "qfae" in slicer.info()["models"]


@pytest.mark.parametrize("header", [{"Origin": "http://elsewhere.example"}, {"Host": "elsewhere.example"}])
def test_pages_of_other_sites_are_refused(server: tuple[str, int], header: dict[str, str]) -> None:
    asked = urllib.request.Request(f"{server[0]}/info/", headers=header)
    with pytest.raises(urllib.error.HTTPError, match=r"403|400"):
        urllib.request.urlopen(asked)


def _scores(client: MONAILabelClient) -> dict[str, float]:
    objects = client.datastore()["objects"]
    entries = {name: item["image"]["info"].get("anomaly", {}) for name, item in objects.items()}
    return {name: entry["score"] for name, entry in entries.items() if "score" in entry}


def test_the_most_anomalous_comes_first_and_then_the_next(client: MONAILabelClient, tmp_path: Path) -> None:
    scores = _scores(client)
    assert {"flat", "gap"} & set(scores) == set()
    order = sorted(scores, key=lambda name: (-scores[name], name))
    first = client.next_sample("most_anomalous", {})
    assert (first["id"], first["score"]) == (order[0], scores[order[0]])
    assert Path(first["path"]).is_file()
    mask, affine, _ = _infer(client, order[0])
    nib.save(nib.Nifti1Image(mask, affine), tmp_path / "label.nii.gz")
    client.save_label(order[0], str(tmp_path / "label.nii.gz"))
    assert client.next_sample("most_anomalous", {})["id"] == order[1]


def test_what_is_not_there(server: tuple[str, int]) -> None:
    for path, message in (
        ("activelearning/random", "strategy 'random'"),
        ("infer/other?image=test-000", "'other'"),
    ):
        status, answer = request(f"{server[0]}/{path}", "POST")
        assert status == 404
        assert message in answer["detail"]


def test_batch_inference_needs_no_gpu(server: tuple[str, int], client: MONAILabelClient) -> None:
    body = json.dumps({"images": ["test-000"]}).encode()
    url = f"{server[0]}/batch/infer/qfae?images=all&run_sync=true"
    assert request(url, "POST", body, **{"content-type": "application/json"})[0] == 200
    saved = client.download_label("test-000", "original")
    np.testing.assert_array_equal(_volume(saved)[0], _infer(client, "test-000")[0])


def test_training_without_normal_studies_says_what_is_missing(server: tuple[str, int]) -> None:
    body = json.dumps({"max_epochs": 1}).encode()
    url = f"{server[0]}/train/qfae?run_sync=true"
    status, answer = request(url, "POST", body, **{"content-type": "application/json"})
    assert status == 422
    assert "expected normal studies of at least two patients" in answer["detail"]


def test_a_complete_training_is_served_with_its_own_thresholds(
    server: tuple[str, int], client: MONAILabelClient, studies: Path, tmp_path: Path
) -> None:
    before = client.info()["models"]["qfae"]["checkpoint_sha256"]
    labelled = {name for name, item in client.datastore()["objects"].items() if "final" in item["labels"]}
    normal = [f"{section}-00{number}" for section in ("training", "validation") for number in range(3)]
    first, *others = [name for name in normal if name not in labelled][:4]
    for name in others:
        mark = urlencode({"info": json.dumps({"normal": True})}).encode()
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert request(f"{server[0]}/datastore/image/info?image={name}", "PUT", mark, **form)[0] == 200
    pixels, affine = _volume(studies / f"{first}.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros(pixels.shape, np.uint8), affine), tmp_path / "label.nii.gz")
    client.save_label(first, str(tmp_path / "label.nii.gz"))
    client.train_start("qfae", {"max_epochs": 1})
    task = finished(f"{server[0]}/train/")
    assert task["status"] == "DONE", task
    made = ModelFolder.open(studies / "model" / "0001")
    made.check(list(made.files))
    assert {"calibration.json", "docs/README.md", "models/perceptual.safetensors"} < set(made.files)
    beside = {path.name for path in (made.path / "training").iterdir()}
    assert beside == {"dataset.json", "pictures.safetensors"}  # which are never packed
    assert str(studies).encode() not in b"".join((made.path / name).read_bytes() for name in made.files)
    sections = json.loads((made.path / "training" / "dataset.json").read_text())
    assert {name: len(entries) for name, entries in sections.items()} == {"training": 3, "validation": 1}
    model = client.info()["models"]["qfae"]
    assert model["checkpoint_sha256"] != before
    assert model["normal_volumes_for_thresholds"] == 1
    mask, _, scores = _infer(client, "test-001")
    assert mask.dtype == np.uint8
    assert scores["model"]["checkpoint_sha256"] == model["checkpoint_sha256"]
    assert scores["settings"]["slice_range"] == [3, 20]
    _wait_for_scores_of(client, server[0], model["checkpoint_sha256"])


def _wait_for_scores_of(client: MONAILabelClient, url: str, sha256: str) -> None:
    """Scoring starts by itself after a training, and with the new checkpoint."""
    assert finished(f"{url}/scoring/")["status"] == "DONE"
    entries = [item["image"]["info"]["anomaly"] for item in client.datastore()["objects"].values()]
    assert {entry["checkpoint_sha256"] for entry in entries} == {sha256}


def test_a_stopped_training_changes_nothing(server: tuple[str, int], client: MONAILabelClient, studies: Path) -> None:
    before = client.info()["models"]["qfae"]["checkpoint_sha256"]
    client.train_start("qfae", {"max_epochs": 1000})
    end = time.monotonic() + 120
    while not list((studies / "model").glob(".0002*/training/dataset.json")):
        assert time.monotonic() < end
        time.sleep(0.2)
    client.train_stop()
    finished(f"{server[0]}/train/")
    assert client.info()["models"]["qfae"]["checkpoint_sha256"] == before
    assert not (studies / "model" / "0002").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "/nowhere/model"], "/nowhere/model: expected a model folder"),
        (["--model", str(APP)], f"{APP}: expected a model folder (with model.json"),
        (["--model", str(APP / "main.py")], "main.py: expected a model folder (with model.json"),
        (["--studies", "/nowhere"], "/nowhere: expected a folder of studies, got no such folder"),
    ],
)
def test_a_wrong_start_is_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # which the command sets
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    given = ["serve.py", "--studies", str(tmp_path), "--model", str(model), *options]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit, match=f"error: .*{re.escape(message)}") as stopped:
        command.main()
    assert "\n" not in str(stopped.value.code)

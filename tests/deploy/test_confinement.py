"""Attacks on the label server by whoever has its token: nothing leaves the studies, and nothing runs."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")

from lib.datastore import StudyDatastore
from lib.gate import Gate, Options
from lib.own_folder import open_own_folder, pseudonyms_of
from lib.served import Served
from local import application
from monailabel.datastore.local import LocalDatastore

from tests.deploy.asking import ask, form
from tests.deploy.conftest import Place
from tests.deploy.test_names import WRONG

TOKEN = "t" * 43
ALL = Options(TOKEN, allow_upload=True, allow_delete=True, upload_bytes=1 << 20)
BEARER: dict[str, Any] = {"authorization": f"Bearer {TOKEN}"}
BY_NAME = [
    ("GET", "/datastore/image", "image"),
    ("GET", "/datastore/image/info", "image"),
    ("PUT", "/datastore/image/info", "image"),
    ("PUT", "/datastore/image", "image"),
    ("PUT", "/datastore/", "image"),
    ("DELETE", "/datastore/image", "id"),
    ("DELETE", "/datastore/", "id"),
    ("PUT", "/datastore/label", "image"),
    ("GET", "/datastore/label", "label"),
    ("DELETE", "/datastore/label", "id"),
    ("POST", "/infer/qfae", "image"),
]
FILE_KEY = {"/datastore/image": "file", "/datastore/": "file", "/datastore/label": "label", "/infer/qfae": "file"}
CODE = "$__import__('pathlib').Path('ran').write_text('')"


@pytest.fixture
def gate(place: Place) -> Gate:
    return application(ALL)


@pytest.fixture
def volume(place: Place) -> bytes:
    return (place.studies / "test-000.nii.gz").read_bytes()


@pytest.fixture(autouse=True)
def untouched(place: Place) -> Iterator[None]:
    before = place.outside()
    yield
    assert place.outside() == before


def _refused(answer: Any, status: int, *words: str) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json"), answer.body
    assert answer.detail.isprintable()
    assert len(answer.detail) < 400
    assert "Traceback" not in answer.detail
    for word in words:
        assert word in answer.detail


@pytest.mark.parametrize(("method", "path", "key"), BY_NAME, ids=str)
def test_a_name_that_could_lead_elsewhere_is_refused(
    gate: Gate, place: Place, method: str, path: str, key: str
) -> None:
    volume = (place.studies / "test-000.nii.gz").read_bytes()
    for name in filter(None, [*place.escapes(), *WRONG]):
        query = {key: name, "tag": "final"} if "label" in path else {key: name}
        body, headers = b"", dict[str, Any]()
        if method == "PUT" and path in FILE_KEY:
            body, headers = form(**{FILE_KEY[path]: ("a.nii.gz", volume)})
        _refused(ask(gate, method, path, query, body, **headers, **BEARER), 400, f"{key}: expected the name of a study")


@pytest.mark.parametrize(("method", "path"), [("PUT", "image"), ("GET", "label"), ("DELETE", "id")])
@pytest.mark.parametrize("tag", ["../..", "../../app/lib", "/tmp/x", "..", "a/../b", "%2e%2e", "a\0", "x" * 65, ".x"])
def test_a_tag_that_could_lead_elsewhere_is_refused(
    gate: Gate, volume: bytes, method: str, path: str, tag: str
) -> None:
    body, headers = form(label=("a.nii.gz", volume)) if method == "PUT" else (b"", {})
    query = {path: "test-000", "tag": tag}
    _refused(ask(gate, method, "/datastore/label", query, body, **headers, **BEARER), 400, "tag: ")


@pytest.mark.parametrize("given", ["/etc/passwd", "../x", ".", "0b5cbd4e", "0B5CBD4E-7E1F-11EE-B962-0242AC120002"])
def test_only_open_sessions_are_used(gate: Gate, given: str) -> None:
    _refused(ask(gate, "POST", "/infer/qfae", {"session_id": given}, **BEARER), 400, "session_id: expected the id")
    assert ask(gate, "GET", f"/session/{given}", **BEARER).status in (400, 404)
    assert ask(gate, "DELETE", f"/session/{given}", **BEARER).status in (400, 404)
    unknown = "0b5cbd4e-7e1f-11ee-b962-0242ac120002"
    _refused(ask(gate, "POST", "/infer/qfae", {"session_id": unknown}, **BEARER), 404, "expected an open session")


def test_a_session_holds_a_volume_of_the_viewers_own_until_it_ends(gate: Gate, place: Place, volume: bytes) -> None:
    body, headers = form(client_id="ann", files=("/home/ann/own.nii.gz", volume))
    opened = json.loads(ask(gate, "PUT", "/session/", b"", body, **headers, **BEARER).body)
    assert str(place.studies.parent) not in json.dumps(opened)
    session = opened["session_id"]
    query = {"image": "own", "session_id": session, "output": "json"}
    assert json.loads(ask(gate, "POST", "/infer/qfae", query, **BEARER).body)["score"] > 0
    assert ask(gate, "GET", f"/session/{session}", **BEARER).status == 200
    assert ask(gate, "DELETE", f"/session/{session}", **BEARER).status == 200
    assert not list((place.studies / ".server").rglob("*.nii.gz"))
    _refused(ask(gate, "GET", f"/session/{session}", **BEARER), 404, "expected an open session")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"_target_": "os.system"}, "_target_"),
        ({"$import os": 1}, "$import os"),
        ({"initialize": [CODE]}, "initialize"),
        ({"source": "/etc/passwd"}, "source"),
        ({"image": "/etc/passwd"}, "image"),
        ({"label": "/etc/passwd"}, "label"),
        ({"save_label": True}, "save_label"),
        ({"label_tag": "../.."}, "label_tag"),
        ({"device": CODE}, "device"),
        ({"logging": "DEBUG"}, "logging"),
        ({"result_write_to_file": False}, "result_write_to_file"),
        ({"result_extension": "/../../x.py"}, "result_extension"),
        ({"result_extension": ".py"}, "result_extension"),
        ({"result_dtype": "x" * 1000}, "result_dtype"),
        ({"result_dtype": ["uint8"]}, "result_dtype"),
        ({"output_type": CODE}, "output_type"),
        ({"output_type": ["mask"]}, "output_type"),
        ({"pixel_false_positive_rate": CODE}, "pixel_false_positive_rate"),
        ({"pixel_false_positive_rate": float("nan")}, "pixel_false_positive_rate"),
        ({"pixel_false_positive_rate": 1}, "pixel_false_positive_rate"),
        ({"client_id": {"$": CODE}}, "client_id"),
    ],
    ids=str,
)
def test_only_known_parameters_of_an_inference_are_taken(gate: Gate, params: dict[str, Any], words: str) -> None:
    body, headers = form(params=json.dumps(params))
    _refused(ask(gate, "POST", "/infer/qfae", {"image": "test-000"}, body, **headers, **BEARER), 400, words)


@pytest.mark.parametrize("text", ["[" * 60_000, "{", "null", "[]", '{"client_id":' * 999, "\0", "1e400", '"x"'])
def test_what_is_no_document_is_refused(gate: Gate, text: str) -> None:
    body, headers = form(params=text)
    _refused(ask(gate, "POST", "/infer/qfae", {"image": "test-000"}, body, **headers, **BEARER), 400)
    for path in ("/train/qfae", "/scoring/anomaly", "/batch/infer/qfae", "/activelearning/most_anomalous"):
        _refused(ask(gate, "POST", path, b"", text.encode(), **BEARER), 400)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/train/qfae", {"bundle_path": "/tmp"}),
        ("/train/qfae", {"gpus": "0"}),
        ("/train/qfae", {"model": "x"}),
        ("/train/qfae", {"max_epochs": CODE}),
        ("/train/qfae", {"max_epochs": 0}),
        ("/train/qfae", {"held_out": 2}),
        ("/train/qfae", {"train#trainer": CODE}),
        ("/batch/infer/qfae", {"images": ["../x"]}),
        ("/batch/infer/qfae", {"images": "/etc"}),
        ("/batch/infer/qfae", {"label_tag": "../.."}),
        ("/batch/infer/qfae", {"device": CODE}),
        ("/batch/infer/qfae", {"source": "/etc/passwd"}),
        ("/scoring/anomaly", {"method": "x"}),
        ("/activelearning/most_anomalous", {"strategy": "x"}),
    ],
    ids=str,
)
def test_only_known_keys_reach_a_task(gate: Gate, path: str, document: dict[str, Any], started: list[Any]) -> None:
    _refused(ask(gate, "POST", path, b"", json.dumps(document).encode(), **BEARER), 400)
    assert started == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/reload"),
        ("GET", "/logs/"),
        ("GET", "/logs/gpu"),
        ("GET", "/model/qfae"),
        ("PUT", "/model/qfae"),
        ("DELETE", "/model/qfae"),
        ("GET", "/model/info/qfae"),
        ("POST", "/infer/wsi/qfae"),
        ("POST", "/infer/w/x"),
        ("GET", "/ohif/"),
        ("GET", "/ohif/../../etc/x"),
        ("GET", "/proxy/dicom/wado/x"),
        ("POST", "/proxy/dicom/x"),
        ("GET", "/static/favicon.ico"),
        ("GET", "/static/../../app.py"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/datastore/dataset"),
        ("PUT", "/datastore/updatelabelinfo"),
        ("PUT", "/datastore/label/info"),
        ("GET", "//etc/passwd"),
        ("GET", "/../../etc/passwd"),
        ("GET", "/infer/qfae"),
        ("PATCH", "/datastore/"),
        ("TRACE", "/"),
        ("CONNECT", "/"),
        ("OPTIONS", "/datastore/"),
        ("HEAD", "/datastore/image"),
        ("X\r\nY", "/"),
    ],
)
def test_other_requests_of_monai_label_do_not_exist(gate: Gate, method: str, path: str) -> None:
    answer = ask(gate, method, path, {"image": "test-000"}, **BEARER)
    assert answer.status in (404, 405)
    _refused(answer, answer.status, "expected a request that / lists")


@pytest.mark.parametrize("extra", [{"path": "/etc/passwd"}, {"check_sum": "SHA256:0"}, {"$": CODE}, {"image2": "x"}])
def test_unknown_parameters_of_a_query_are_refused(gate: Gate, extra: dict[str, str]) -> None:
    for path, query in (("/datastore/image", {"image": "test-000", **extra}), ("/info/", extra)):
        _refused(ask(gate, "GET", path, query, **BEARER), 400, "expected no such key")


def test_without_leave_studies_are_neither_added_nor_removed(place: Place, volume: bytes) -> None:
    gate = application(replace(ALL, allow_upload=False, allow_delete=False))
    body, headers = form(file=("a.nii.gz", volume))
    for path in ("/datastore/", "/datastore/image"):
        _refused(ask(gate, "PUT", path, {"image": "added"}, body, **headers, **BEARER), 403, "--allow-upload")
        _refused(ask(gate, "DELETE", path, {"id": "test-000"}, **BEARER), 403, "--allow-delete")
    body, headers = form(files=("a.nii.gz", volume))
    _refused(ask(gate, "PUT", "/session/", b"", body, **headers, **BEARER), 403, "--allow-upload")
    label = {"id": "test-000", "tag": "final"}
    _refused(ask(gate, "DELETE", "/datastore/label", label, **BEARER), 403, "--allow-delete")


def test_a_study_is_added_once_and_removed_with_what_is_its_own(gate: Gate, place: Place, volume: bytes) -> None:
    body, headers = form(file=("/home/ann/x.nii.gz", volume), params='{"client_id": "ann"}')
    assert ask(gate, "PUT", "/datastore/", {"image": "added"}, body, **headers, **BEARER).status == 200
    assert (place.studies / "added.nii.gz").read_bytes() == volume
    other, _ = form(file=("x.nrrd", b"NRRD0004\n"))
    for name in ("added", "test-000", "labels"):
        _refused(ask(gate, "PUT", "/datastore/", {"image": name}, other, **headers, **BEARER), 409, "taken")
    assert (place.studies / "added.nii.gz").read_bytes() == volume
    label, headers = form(label=("l.nii.gz", volume))
    saved = {"image": "added", "tag": "final"}
    assert ask(gate, "PUT", "/datastore/label", saved, label, **headers, **BEARER).status == 200
    assert ask(gate, "DELETE", "/datastore/", {"id": "added"}, **BEARER).status == 200
    assert not list(place.studies.rglob("added*"))
    _refused(ask(gate, "DELETE", "/datastore/", {"id": "added"}, **BEARER), 404, "expected one of the")


@pytest.mark.parametrize(
    "name", ["x.py", "x", "", "x.nii.gz.py", "x.mhd", "../x.nii.gz", "x\0.nii.gz", "x.zip", "x.dcm"]
)
def test_an_upload_has_the_suffix_of_a_volume(gate: Gate, volume: bytes, place: Place, name: str) -> None:
    for path, key, query in (
        ("/datastore/image", "file", {"image": "new"}),
        ("/datastore/label", "label", {"image": "test-000"}),
        ("/session/", "files", {}),
    ):
        body, headers = form(**{key: (name, volume)})
        _refused(ask(gate, "PUT", path, query, body, **headers, **BEARER), 400, "expected")
    assert not list(place.studies.rglob("new*"))


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("x.nrrd", b"NRRD0004\ndimension: 3\ndata file: /etc/passwd\n"),
        ("x.nrrd", b"NRRD0004\nDATAFILE: ../x.raw\n"),
        ("x.nrrd", b"NRRD0004\ndata file: LIST\n"),
        ("x.mha", b"NDims = 3\nElementDataFile = /etc/passwd\n"),
        ("x.mha", b"NDims = 3\nElementDataFile=../../x\n"),
        ("x.mha", b"NDims = 3\nelementdatafile : x%d.raw 1 9 1\n"),
    ],
)
def test_an_upload_holds_its_own_voxels(gate: Gate, place: Place, name: str, header: bytes) -> None:
    for path, key in (("/datastore/image", "file"), ("/infer/qfae", "file"), ("/datastore/label", "label")):
        body, headers = form(**{key: (name, header)})
        method, query = ("POST", b"") if path == "/infer/qfae" else ("PUT", {"image": "test-000"})
        _refused(ask(gate, method, path, query, body, **headers, **BEARER), 400, "header that names another file")


@pytest.mark.parametrize("length", [None, "10", "99999999999", "-1", "1e3", "\u0663"])
def test_an_upload_is_bounded_whatever_its_length_says(place: Place, length: str | None) -> None:
    gate = application(replace(ALL, upload_bytes=1000))
    before = sorted(place.studies.rglob("*"))
    for size in (1001, 4 << 20):
        body, headers = form(file=("x.nii.gz", bytes(size)))
        said = {} if length is None else {"content_length": length}
        answer = ask(gate, "PUT", "/datastore/image", {"image": "new"}, body, **headers, **said, **BEARER)
        _refused(answer, 413, "at most")
    assert sorted(place.studies.rglob("*")) == before


def test_links_out_of_the_studies_are_not_followed(place: Place, gate: Gate, volume: bytes) -> None:
    made = {"link.nii.gz": place.secret, "series": place.secret.parent, "labels/out": place.secret.parent}
    for name, target in made.items():
        (place.studies / name).symlink_to(target)
    inside = place.studies / "labels" / "final" / "test-000.nii.gz"
    inside.parent.mkdir(exist_ok=True)
    inside.symlink_to(place.secret)
    try:
        for name in ("link", "series"):
            for method, path, key in (BY_NAME[0], *BY_NAME[5:7], BY_NAME[-1]):
                _refused(ask(gate, method, path, {key: name}, **BEARER), 404, "expected one of the")
        body, headers = form(label=("l.nii.gz", volume))
        out = ask(gate, "PUT", "/datastore/label", {"image": "test-000", "tag": "out"}, body, **headers, **BEARER)
        _refused(out, 422, "leads out")
        assert ask(gate, "PUT", "/datastore/label", {"image": "test-000"}, body, **headers, **BEARER).status == 200
        assert not inside.is_symlink()
    finally:
        for link in (*(place.studies / name for name in made), inside):
            link.unlink(missing_ok=True)


def test_a_list_of_studies_from_a_stranger_leads_nowhere(place: Place, tmp_path: Path) -> None:
    entry = {"image": {"ext": ".nii.gz", "info": {}}, "labels": {}}
    outside = os.path.relpath(place.secret, tmp_path).removesuffix(".nii.gz")
    objects = {
        outside: entry,
        str(place.secret).removesuffix(".nii.gz"): entry,
        "a": {**entry, "image": {"ext": f"/../{outside}.nii.gz", "info": {"name": "../../x"}}},
        "b": {**entry, "labels": {"../..": {"ext": ".nii.gz"}, "final": {"ext": f"/../../{outside}"}}},
    }
    (tmp_path / "b.nii.gz").write_bytes(b"")
    listed = {"name": "x", "description": "", "images_dir": "/etc", "labels_dir": "/etc", "objects": objects}
    (tmp_path / "datastore_v2.json").write_text(json.dumps(listed))
    store = StudyDatastore(str(tmp_path))
    assert store.list_images() == ["b"]
    assert store.get_labels_by_image_id("b") == {}
    assert store.get_image_info("b")["name"] == "b.nii.gz"
    assert not store.get_label_uri("b", "../..")


@pytest.mark.parametrize(
    "name",
    [
        ".server",
        ".server/temporary",
        ".server/sessions",
        ".server/pseudonyms.key",
        "labels",
        "labels/final",
        "model",
        ".nifti",
        "datastore_v2.json",
    ],
)
def test_a_folder_of_the_servers_own_is_no_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "studies" / name).parent.mkdir(parents=True)
    (tmp_path / "studies" / name).symlink_to(tmp_path)
    with pytest.raises(ValueError, match="expected a file or folder of the server's own, got a link"):
        open_own_folder(tmp_path / "studies")


def test_the_key_is_for_one_account_and_never_served(place: Place, gate: Gate) -> None:
    key = place.studies / ".server" / "pseudonyms.key"
    assert (stat.S_IMODE(key.stat().st_mode), stat.S_IMODE(key.parent.stat().st_mode)) == (0o600, 0o700)
    secret = key.read_text().strip().encode()
    for path in ("/", "/info/", "/datastore/", "/.server/pseudonyms.key", "/datastore/.server"):
        assert secret not in ask(gate, "GET", path, **BEARER).body
    assert secret not in ask(gate, "GET", "/datastore/", {"output": "all"}, **BEARER).body


def test_of_a_patient_that_a_reader_names_a_pseudonym_is_kept(gate: Gate, place: Place) -> None:
    for name in ("7654321", pseudonyms_of(place.studies).patient("7654321")):
        body, headers = form(info=json.dumps({"patient": name}))
        assert ask(gate, "PUT", "/datastore/image/info", {"image": "test-002"}, body, **headers, **BEARER).status == 200
        kept = json.loads(ask(gate, "GET", "/datastore/image/info", {"image": "test-002"}, **BEARER).body)["patient"]
        assert kept == pseudonyms_of(place.studies).patient("7654321")
    assert b"7654321" not in (place.studies / "datastore_v2.json").read_bytes()


def test_refusals_hold_no_folders_of_this_machine(gate: Gate, place: Place) -> None:
    for image in ("nobody", "broken"):
        answer = ask(gate, "POST", "/infer/qfae", {"image": image}, **BEARER)
        assert answer.status in (404, 422)
        assert str(place.studies.parent) not in answer.detail


def test_a_session_from_a_stranger_is_none(tmp_path: Path) -> None:
    session = tmp_path / ".server" / "sessions" / "11111111-1111-1111-1111-111111111111"
    session.mkdir(parents=True)
    (session / "meta.info").write_text(json.dumps({"image": "/etc/passwd", "last_access_ts": 1, "expiry": 1}))
    assert not list((open_own_folder(tmp_path) / "sessions").iterdir())


@pytest.mark.parametrize("text", ['{"a": ' + 99 * "[" + 99 * "]" + "}", '{"objects": NaN}', '{"name": 1, "name": 2}'])
def test_marks_and_labels_are_strict_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "datastore_v2.json").write_text(text)
    with pytest.raises(ValueError, match=r"datastore_v2\.json: expected marks and labels of studies"):
        StudyDatastore(str(tmp_path))


def test_a_copy_that_is_a_link_is_made_anew(place: Place, tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    header = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header + pixels.tobytes())
    os.utime(tmp_path / "a.nrrd", (place.secret.stat().st_mtime,) * 2)
    (tmp_path / ".nifti").mkdir()
    copy = tmp_path / ".nifti" / "a.nii.gz"
    copy.symlink_to(place.secret)
    assert StudyDatastore(str(tmp_path)).get_image_uri("a") == str(copy)
    assert not copy.is_symlink()


@pytest.mark.parametrize("name", ["9zz", "0002-copy", "../elsewhere"])
def test_only_trainings_within_the_studies_are_served(tmp_path: Path, name: str) -> None:
    given, own = tmp_path / "given", tmp_path / "studies" / "model"
    own.mkdir(parents=True)
    (own / name).mkdir()
    (own / name / "model.json").write_text("{}")
    if name.startswith(".."):
        (own / "0001").symlink_to(own / name)
    assert Served(tmp_path / "studies", given, weights=tmp_path).path == given


def test_a_study_whose_qform_drops_its_shear_is_handed_on_as_a_copy_without(tmp_path: Path) -> None:
    affine = np.array([[-2, 0, 0, 10], [0, -2, 0.9, 20], [0, 0, 3, 5], [0, 0, 0, 1.0]])
    image = nib.Nifti1Image(np.arange(120, dtype=np.float32).reshape(4, 5, 6), affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)  # as converters of tilted CT write it
    nib.save(image, tmp_path / "tilted.nii.gz")
    store = StudyDatastore(str(tmp_path))
    served = nib.Nifti1Image.from_filename(store.get_image_uri("tilted"))
    assert int(served.header["qform_code"]) == 0
    assert np.allclose(served.affine, affine, atol=1e-5)
    assert store.get_image_info("tilted")["path"] == store.get_image_uri("tilted")
    assert store.source("tilted") == tmp_path / "tilted.nii.gz"


def test_a_request_and_the_watching_thread_do_not_list_the_folder_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, inside, most = StudyDatastore(str(tmp_path)), 0, 0

    def reconcile(self: LocalDatastore) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1

    monkeypatch.setattr(LocalDatastore, "_reconcile_datastore", reconcile)
    threads = [Thread(target=store.refresh) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1

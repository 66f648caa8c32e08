"""2,000 random requests with the token: beside the studies nothing is read, written or removed, and nothing runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("monailabel", reason="needs MONAI Label's environment: make test-label")
if not Path("/proc/self/fd").is_dir():
    pytest.skip("needs /proc, where open folders have names", allow_module_level=True)

from lib.gate import Options
from local import ROUTES, application
from monailabel.interfaces.utils.app import app_instance

from qfae_monai.reading.series_files import VOLUME_SUFFIXES
from tests.deploy.asking import ask, form
from tests.deploy.conftest import Place
from tests.deploy.test_names import WRONG

REQUESTS, SEED = 2000, 15
TOKEN = "r" * 43
EXPECTED = {200, 400, 401, 403, 404, 405, 409, 413, 422, 429}
RUNS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "pty.", "socket.connect")
PATHS = """
    open os.remove os.rename os.mkdir os.rmdir os.link os.symlink os.chmod os.chown os.truncate os.utime
    os.listdir os.scandir shutil.rmtree shutil.move shutil.unpack_archive
""".split()  # noqa: SIM905  (audit events, whose first values are paths)
OTHER = """
    /reload /logs/ /logs/gpu /model/qfae /infer/wsi/qfae /ohif/x /proxy/dicom/wado/x /static/x /datastore/dataset
    /datastore/label/info /openapi.json /../../etc/passwd // /%2e%2e/x /\0
""".split()  # noqa: SIM905
KNOWN = {"{model}": "qfae", "{strategy}": "most_anomalous", "{method}": "anomaly", "{session}": str(UUID(int=15))}
METHODS = ["GET", "PUT", "POST", "DELETE"]
KEYS = """
    image id label tag session_id output images run_sync enqueue all check_if_running
    update_ts uncompress expiry check_sum limit_cases path params
""".split()  # noqa: SIM905
PASSED_ON = """
    output_type pixel_false_positive_rate client_id max_epochs held_out images label_tag max_batch_size model method
""".split()  # noqa: SIM905  (known to a task)
DOCUMENT = """
    result_extension result_dtype normal patient label_info source image label device gpus strategy save_label
    bundle_path _target_ $import logging
""".split()  # noqa: SIM905


class Watch:
    """Files that this process opens, lists, writes or removes while it is on, and programs that it starts.

    Attributes:
        on: whether anything is kept.
        seen: what was done to which path.
    """

    def __init__(self) -> None:
        self.on, self.seen = False, Counter[tuple[str, str]]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, given: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event.startswith(RUNS):
            self.seen[event, repr(given)[:200]] += 1
        elif event in PATHS:
            folder = _opened(given[1]) if event in ("os.remove", "os.rmdir") else ""
            for path in given[: 2 if event in ("os.rename", "os.link", "os.symlink", "shutil.move") else 1]:
                if isinstance(path, str | bytes | os.PathLike):
                    self.seen[event, os.path.abspath(os.path.join(folder, os.fsdecode(path)))] += 1

    def beside(self, *folders: str) -> set[tuple[str, str]]:
        """What was done to paths outside of these folders."""
        return {(event, path) for event, path in self.seen if event.startswith(RUNS) or not _within(path, folders)}


def _opened(descriptor: int) -> str:
    """The folder that a file is removed from, where it is given as an open one; -1 is none."""
    return "" if descriptor == -1 else os.readlink(f"/proc/self/fd/{descriptor}")


def _within(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


class Requests:
    """Random requests, the same in each run: parts of right ones and of attacks, thrown together.

    Args:
        place: whose studies `fuzz-0` to `fuzz-2` are used, and whose files outside are asked for.
    """

    def __init__(self, place: Place) -> None:
        self.draw = random.Random(SEED)
        self.volume = (place.studies / "test-000.nii.gz").read_bytes()
        code = f"$__import__('pathlib').Path({str(place.secret.parent / 'ran')!r}).write_text('')"
        self.wrong: list[Any] = [*WRONG, *place.escapes(), code, -1, 1e400, None, True, [], {"$": code}]
        self.right: list[Any] = [
            *["fuzz-0", "fuzz-1", "fuzz-2", "final", "original", "all", "json", "mask", "map", ".nrrd"],
            0.05,
            2,
        ]

    def value(self) -> Any:
        return self.draw.choice(self.right if self.draw.random() < 0.6 else self.wrong)

    def target(self) -> tuple[str, str]:
        """Method and path."""
        method = self.draw.choice(METHODS)
        if self.draw.random() < 0.15:
            return method, self.draw.choice(OTHER)
        route = self.draw.choice(ROUTES)
        path = route.path
        for part, known in KNOWN.items():
            path = path.replace(part, known if self.draw.random() < 0.8 else str(self.value()))
        return (next(iter(route.methods)) if self.draw.random() < 0.8 else method), path

    def query(self, method: str, path: str) -> dict[str, str]:
        """Parameters that the request needs, or any."""
        if self.draw.random() < 0.3:
            return {self.draw.choice(KEYS): str(self.value()) for _ in range(self.draw.choice([0, 1, 1, 2, 3]))}
        found = {}
        if path.startswith("/infer/") or (path.startswith("/datastore/") and (method, path) != ("GET", "/datastore/")):
            key = "id" if method == "DELETE" else "label" if (method, path) == ("GET", "/datastore/label") else "image"
            found[key] = str(self.draw.choice(self.right[:3]) if self.draw.random() < 0.7 else self.value())
        if path == "/datastore/label":
            found["tag"] = str(self.draw.choice(["final", "original"]) if self.draw.random() < 0.7 else self.value())
        return found

    def document(self) -> str:
        return json.dumps(
            {self.draw.choice([*DOCUMENT, *PASSED_ON]): self.value() for _ in range(self.draw.choice([0, 1, 1, 2]))}
        )

    def body(self, path: str) -> tuple[bytes, dict[str, str]]:
        """A form with a file, a document, noise, or nothing."""
        kind = self.draw.random()
        if kind < 0.2:
            return b"", {}
        if kind < 0.4:
            return self.document().encode(), {"content_type": "application/json"}
        if kind < 0.5:
            noise = self.draw.randbytes(self.draw.choice([1, 100, 70_000]))
            return noise, {"content_type": "multipart/form-data; boundary=x"}
        fields: dict[str, Any] = {}
        if kind < 0.9:
            key = "label" if path.endswith("/label") else "files" if path == "/session/" else "file"
            fields[key if self.draw.random() < 0.8 else self.draw.choice(["file", "label", "files"])] = self.file()
        if kind > 0.7:
            fields[self.draw.choice(["params", "info", "client_id"])] = self.document()
        return form(**fields)

    def file(self) -> tuple[str, bytes]:
        """Name and bytes of an upload."""
        name = str(self.value()) + self.draw.choice([".nii.gz", ".nii.gz", ".nrrd", ".py", ""])
        noise, elsewhere = self.draw.randbytes(50), b"NRRD0004\ndata file: /etc/passwd\n"
        return name.replace('"', ""), self.draw.choice(
            [self.volume, self.volume, b"", noise, elsewhere, bytes(300_000)]
        )

    def headers(self) -> dict[str, Any]:
        kind = self.draw.random()
        if kind < 0.03:
            return {}
        odd = {"host": "x"} if kind < 0.05 else {"origin": "http://x"} if kind < 0.07 else {}
        return {"authorization": f"Bearer {TOKEN}", **odd}


@pytest.fixture
def own(place: Place) -> list[Path]:
    """Studies that random requests may change and remove."""
    made = [place.studies / f"fuzz-{number}.nii.gz" for number in range(3)]
    for path in made:
        shutil.copy(place.studies / "test-000.nii.gz", path)
    return made


def test_nothing_beside_the_studies_and_nothing_runs(
    place: Place, own: list[Path], started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(task: str, request: Any) -> dict[str, Any]:
        started.append((task, request))
        return {}

    for task in ("train", "scoring", "batch_infer"):  # which run_sync would have in this process
        monkeypatch.setattr(app_instance(), task, partial(start, task))
    gate = application(Options(TOKEN, allow_upload=True, allow_delete=True, upload_bytes=200_000))
    watch, requests, statuses = Watch(), Requests(place), Counter[int]()
    for study in ("test-000", "broken", "nobody"):  # what is read once, whoever asks
        watch.on = True
        for method, path in (("POST", "/infer/qfae"), ("GET", "/datastore/image")):
            ask(gate, method, path, {"image": study}, authorization=f"Bearer {TOKEN}")
        watch.on = False
    usual = watch.beside(str(place.studies))
    watch.seen.clear()
    before, noticed = place.outside(), _reading_is_noticed(place)
    os.utime(place.secret, ns=(0, place.secret.stat().st_mtime_ns))
    for number in range(REQUESTS):
        method, path = requests.target()
        query, (body, kind), headers = requests.query(method, path), requests.body(path), requests.headers()
        watch.on = True
        answer = ask(gate, method, path, query, body, **kind, **headers)
        watch.on = False
        statuses[answer.status] += 1
        assert answer.status in EXPECTED, (number, method, path, query, body[:300], answer.body)
        assert b"Traceback" not in answer.body
    beside = watch.beside(str(place.studies), sys.prefix, sys.base_prefix) - usual
    assert beside == set(), beside
    assert not noticed or place.secret.stat().st_atime_ns == 0
    assert place.outside() == before
    files = {path.name for path in place.studies.rglob("*") if path.is_file()}
    kept = {name for name in files if not name.endswith(VOLUME_SUFFIXES)}
    assert kept <= {"datastore_v2.json", ".lock", "pseudonyms.key", "meta.info"}
    assert min(statuses[200], statuses[400]) > 200, statuses  # it has come far enough
    for kind, request in started:
        assert set(request) <= set(PASSED_ON), kind


def _reading_is_noticed(place: Place) -> bool:
    """Whether the file system keeps when a file was read last, by which libraries' own reading shows, too."""
    probe = place.studies / "probe.nii.gz"
    probe.write_bytes(b"x")
    os.utime(probe, ns=(0, probe.stat().st_mtime_ns))
    probe.read_bytes()
    noticed = probe.stat().st_atime_ns != 0
    probe.unlink()
    return noticed

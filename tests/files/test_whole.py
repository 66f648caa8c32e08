"""A disk that is full half-way leaves neither half a file nor a temporary one, whatever writes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from qfae_monai.data import slice_store
from qfae_monai.data.phantoms import write_phantom_cohort
from qfae_monai.data.volume_slices import VolumeSlices
from qfae_monai.evaluation.case_columns import LESION_COLUMNS, write_table
from qfae_monai.evaluation.demo_pictures import save_montage
from qfae_monai.files import PARTIAL, remove_partials, whole_file, write_whole
from qfae_monai.predict.result import save_volume, whole_folder
from qfae_monai.privacy.pseudonyms import read_or_create_key
from qfae_monai.training import WholeCheckpoints
from qfae_monai.transforms import SaveMapsd
from qfae_monai.weights import save_checkpoint
from qfae_monai.weights.checksums import record_sum

resource = pytest.importorskip("resource")

ROOM = 60  # bytes that a file may have before the disk is full
VOLUME = np.random.default_rng(0).random((9, 9, 9), dtype=np.float32)


@contextmanager
def full_disk() -> Iterator[None]:
    """Within it, writing more than ROOM bytes into a file fails as the system lets it fail, in C code, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_map(folder: Path) -> None:
    image = MetaTensor(torch.as_tensor(VOLUME)[None], affine=torch.eye(4))
    SaveMapsd("pred", folder)({"pred": image, "case": "a"})


def save_resumable(folder: Path) -> None:
    WholeCheckpoints(folder, {"model": torch.nn.Linear(9, 9)}, save_interval=1)._write("model.pt")


def store_slices(folder: Path) -> None:
    slice_store._write(
        VolumeSlices(torch.as_tensor(VOLUME), torch.arange(len(VOLUME)), torch.zeros(len(VOLUME))),
        folder / "a.safetensors",
    )


def write_result(folder: Path) -> None:
    with whole_folder(folder / "study") as unfinished:
        save_volume(unfinished / "image.nii.gz", VOLUME, np.eye(4))


WRITERS: dict[str, Callable[[Path], Any]] = {
    "text": lambda folder: write_whole(folder / "a.json", "x" * 999),
    "table": lambda folder: write_table(folder / "a.csv", LESION_COLUMNS, [{"case": "a" * 99, "patient": "b"}]),
    "map": save_map,
    "volume": lambda folder: save_volume(folder / "a.nii.gz", VOLUME, np.eye(4)),
    "study": write_result,
    "phantoms": lambda folder: write_phantom_cohort(folder, train=1, validation=0, test_normal=0, test_abnormal=0),
    "resumable": save_resumable,
    "checkpoint": lambda folder: save_checkpoint(folder / "a.pt", {"a": torch.zeros(99)}),
    "safetensors": lambda folder: save_checkpoint(folder / "a.safetensors", {"a": torch.zeros(99)}),
    "montage": lambda folder: save_montage(folder / "a.png", [[VOLUME[0]] * 4], ["a"]),
    "slices": store_slices,
    "sums": lambda folder: record_sum(folder / "source"),
    "key": lambda folder: read_or_create_key(folder / "a.key", folder / "out"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("as it was")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(Exception), full_disk():  # noqa: B017, PT011 (each format has errors of its own)
        WRITERS[name](tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    WRITERS[name](tmp_path)  # and with room again it succeeds
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), SystemExit(143)]
)
def test_any_end_of_the_block_but_a_good_one_keeps_the_older_file(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_text("older")
    with pytest.raises(type(error)), whole_file(path) as partial:  # noqa: PT012
        assert partial.name.startswith(PARTIAL)
        assert partial.name.endswith(".nii.gz")
        partial.write_text("half")
        raise error
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.nii.gz", "older")]


def test_a_failing_rename_leaves_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "below" / "a.txt", "x")
    assert not list((tmp_path / "below").iterdir())


def test_the_longest_name_of_a_file_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 250 + ".csv", "b" * 247 + ".nii.gz", "c." + "d" * 253):
        write_whole(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (f"{PARTIAL}1-ab.json", "partial.json", ".hidden"):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"partial.json", ".hidden"}


def test_what_may_still_be_written_is_left_where_others_write(tmp_path: Path) -> None:
    for name, seconds in (("old", 100.0), ("new", 0.0)):
        (tmp_path / f"{PARTIAL}{name}").touch()
        os.utime(tmp_path / f"{PARTIAL}{name}", (time.time() - seconds,) * 2)
    remove_partials(tmp_path, age=50)
    assert [path.name for path in tmp_path.iterdir()] == [f"{PARTIAL}new"]


def test_volumes_are_read_back(tmp_path: Path) -> None:
    save_volume(tmp_path / "a.nii.gz", VOLUME, np.eye(4))
    np.testing.assert_array_equal(nib.Nifti1Image.from_filename(tmp_path / "a.nii.gz").get_fdata(), VOLUME)

"""The slice store: the same slices as in memory, cut once, and never those of another volume or recipe."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, LoadImaged, RandFlipd, ScaleIntensityRanged

from qfae_monai.data import SliceDataset
from qfae_monai.data import slice_store as module
from qfae_monai.files import PARTIAL
from tests.forked import exit_code

SHAPE = (6, 5, 8)
KEYS = ("image", "label")
SAVE = module.save_file


def load(maximum: float = 1.0) -> Compose:
    window = ScaleIntensityRanged("image", a_min=0, a_max=maximum, b_min=0, b_max=1)
    return Compose([LoadImaged(KEYS, "NibabelReader", ensure_channel_first=True, allow_missing_keys=True), window])


def dataset(data: list[dict[str, Any]], store: str | Path | None, *, maximum: float = 1.0, **arguments: Any) -> Any:
    return SliceDataset(data, load(maximum), store=store, **arguments)


@pytest.fixture
def data(tmp_path: Path) -> list[dict[str, Any]]:
    """Two volumes of noise with an empty slice each; the first with a lesion, the second without a mask."""
    rng = np.random.default_rng(0)
    entries: list[dict[str, Any]] = []
    for name in "ab":
        image = rng.random(SHAPE, dtype=np.float32)
        image[..., 2] = 0
        nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / f"{name}.nii.gz")
        entries.append({"image": str(tmp_path / f"{name}.nii.gz"), "case": name})
    label = np.zeros(SHAPE, np.uint8)
    label[2, 3, 4] = 1
    nib.save(nib.Nifti1Image(label, np.eye(4)), tmp_path / "a_seg.nii.gz")
    entries[0]["label"] = str(tmp_path / "a_seg.nii.gz")
    return entries


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Images that have been read, in order."""
    seen: list[str] = []
    read = module.SliceStore.__call__

    def count(store: module.SliceStore, entry: dict[str, Any]) -> module.StoredSlices:
        cut = store.cut
        store.cut = lambda one: seen.append(Path(one["image"]).name) or cut(one)  # type: ignore[func-returns-value]
        found = read(store, entry)
        store.cut = cut
        return found

    monkeypatch.setattr(module.SliceStore, "__call__", count)
    return seen


def same(one: Any, other: Any) -> bool:
    """Whether two datasets give the same samples, to the last bit and type."""
    pairs = list(zip(one, other, strict=True))
    return all(
        a.keys() == b.keys()
        and all(
            torch.equal(a[key], b[key]) and a[key].dtype == b[key].dtype if key in KEYS else a[key] == b[key]
            for key in a
        )
        for a, b in pairs
    )


ARGUMENTS: list[dict[str, Any]] = [{}, {"axis": 0}, {"axis": 1, "index_range": (1, 3)}]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_same_slices_as_in_memory_and_read_once(
    data: list[dict[str, Any]], tmp_path: Path, reads: list[str], arguments: dict[str, Any]
) -> None:
    memory = dataset(data, None, **arguments)
    for _ in "first", "second":
        assert same(dataset(data, tmp_path / "store", **arguments), memory)
    assert reads == ["a.nii.gz", "b.nii.gz"]


def test_normal_slices_and_counts_of_the_others_are_kept(
    data: list[dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = dataset(data[:1], None, normal_only=True)
    for _ in "first", "second":
        with caplog.at_level(logging.INFO):
            assert same(dataset(data[:1], tmp_path / "store", normal_only=True), memory)
        assert "6 slices from 1 volumes; skipped: 1 empty, 1 with a lesion" in caplog.text
        caplog.clear()


def test_volume_without_a_wanted_slice_is_read_once(
    data: list[dict[str, Any]], tmp_path: Path, reads: list[str]
) -> None:
    for _ in "first", "second":
        with pytest.raises(ValueError, match="got none: 8 outside of the index range"):
            dataset(data[:1], tmp_path / "store", index_range=(50, 60))
    assert reads == ["a.nii.gz"]


OTHERWISE: list[dict[str, Any]] = [
    {"axis": 0},
    {"index_range": (0, 7)},
    {"min_foreground": 0.02},
    {"maximum": 2.0},
]


@pytest.mark.parametrize("change", OTHERWISE)
def test_other_parameters_are_cut_anew(
    data: list[dict[str, Any]], tmp_path: Path, reads: list[str], change: dict[str, Any]
) -> None:
    dataset(data, tmp_path / "store")
    assert same(dataset(data, tmp_path / "store", **change), dataset(data, None, **change))
    assert reads == ["a.nii.gz", "b.nii.gz"] * 2


def test_other_version_is_cut_anew(
    data: list[dict[str, Any]], tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset(data, tmp_path / "store")
    monkeypatch.setattr("qfae_monai.__version__", "9.9")
    dataset(data, tmp_path / "store")
    assert reads == ["a.nii.gz", "b.nii.gz"] * 2


def test_changed_file_of_same_name_size_and_time_is_cut_anew(data: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "c.nii"
    image = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    found = []
    for pixels in (image, 1 - image):
        nib.save(nib.Nifti1Image(pixels, np.eye(4)), path)
        os.utime(path, (1, 1))
        found.append(dataset([{"image": str(path)}], tmp_path / "store")[0]["image"])
    assert torch.equal(found[1], torch.from_numpy(1 - image)[None, :, :, 0])


def test_changed_label_is_seen(data: list[dict[str, Any]], tmp_path: Path) -> None:
    dataset(data[:1], tmp_path / "store", normal_only=True)
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), np.eye(4)), data[0]["label"])
    assert len(dataset(data[:1], tmp_path / "store", normal_only=True)) == 7


def test_moved_and_renamed_volume_is_not_read_again(
    data: list[dict[str, Any]], tmp_path: Path, reads: list[str]
) -> None:
    dataset(data, tmp_path / "store")
    shutil.copy(data[1]["image"], tmp_path / "moved.nii.gz")
    moved = [{"image": str(tmp_path / "moved.nii.gz"), "case": "other"}]
    assert {sample["case"] for sample in dataset(moved, tmp_path / "store")} == {"other"}
    assert reads == ["a.nii.gz", "b.nii.gz"]


def test_nothing_names_the_source(data: list[dict[str, Any]], tmp_path: Path) -> None:
    entries = [{**data[0], "case": "Doe_John", "patient": "Doe"}]
    dataset(entries, tmp_path / "store")
    (file,) = (tmp_path / "store").iterdir()
    held = file.name.encode() + file.read_bytes()
    assert not any(name in held for name in (b"Doe", b"a.nii", str(tmp_path).encode()))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def shorten(path: Path) -> None:
    SAVE({"image": torch.zeros(2, 6, 5), "slice_index": torch.arange(3)}, path, metadata={"skipped": "{}"})


def retype(path: Path) -> None:
    half = torch.zeros(2, 6, 5, dtype=torch.float16)
    SAVE({"image": half, "slice_index": torch.arange(2)}, path, metadata={"skipped": "{}"})


def rename(path: Path) -> None:
    SAVE({"pixels": torch.zeros(2, 6, 5)}, path, metadata={"skipped": "{}"})


def forget(path: Path) -> None:
    SAVE({"image": torch.zeros(2, 6, 5), "slice_index": torch.arange(2)}, path)


@pytest.mark.parametrize("damage", [truncate, empty, shorten, retype, rename, forget])
def test_damaged_file_is_named_and_written_again(
    data: list[dict[str, Any]], tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    dataset(data[:1], tmp_path / "store")
    (file,) = (tmp_path / "store").iterdir()
    damage(file)
    assert same(dataset(data[:1], tmp_path / "store"), dataset(data[:1], None))
    assert file.name in caplog.text
    assert "written again" in caplog.text
    caplog.clear()
    dataset(data[:1], tmp_path / "store")
    assert file.name not in caplog.text


def write_half_and_die(image: str, store: Path) -> None:
    def half(tensors: Any, path: Path, metadata: Any) -> None:
        SAVE(tensors, path, metadata=metadata)
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    module.save_file = half  # type: ignore[assignment]  # of a process that ends here
    dataset([{"image": image}], store)


@pytest.mark.slow
def test_killed_writer_leaves_nothing_that_is_read(data: list[dict[str, Any]], tmp_path: Path) -> None:
    work = partial(write_half_and_die, data[1]["image"], tmp_path / "store")
    assert exit_code(work, tmp_path / "printed.log") == -signal.SIGKILL
    (left,) = (tmp_path / "store").iterdir()
    assert left.name.startswith(PARTIAL)
    assert same(dataset(data, tmp_path / "store"), dataset(data, None))
    assert left.exists()  # its writer could still be at work
    os.utime(left, (time.time() - 2 * module.ABANDONED,) * 2)
    dataset(data, tmp_path / "store")
    assert sorted(path.suffix for path in (tmp_path / "store").iterdir()) == [".safetensors"] * 2


def test_failed_writer_cleans_up(data: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        dataset(data, tmp_path / "store")
    assert not list((tmp_path / "store").iterdir())


def fill(data: list[dict[str, Any]], store: Path, barrier: Any) -> None:
    barrier.wait()
    dataset(data, store)


def test_processes_that_write_at_once_do_no_harm(data: list[dict[str, Any]], tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    writers = [context.Process(target=fill, args=(data, tmp_path / "store", barrier)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(list((tmp_path / "store").iterdir())) == 2
    assert same(dataset(data, tmp_path / "store"), dataset(data, None))


def test_refused_volume_is_not_stored(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full(SHAPE, np.nan, np.float32), np.eye(4)), tmp_path / "bad.nii")
    with pytest.raises(ValueError, match=r"bad\.nii.*NaN"):
        dataset([{"image": str(tmp_path / "bad.nii")}], tmp_path / "store")
    assert not list((tmp_path / "store").iterdir())


def test_random_volume_transform_is_refused(data: list[dict[str, Any]], tmp_path: Path) -> None:
    random = Compose([load(), RandFlipd("image", prob=1)])
    with pytest.raises(ValueError, match="gives the same each time, got a RandFlipd"):
        SliceDataset(data, random, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_pixels_stay_in_the_file(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((64, 64, 40), dtype=np.float32)
    nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "a.nii")
    stored = dataset([{"image": str(tmp_path / "a.nii")}], tmp_path / "store")
    volume = stored.data.volumes[0]
    assert len(pickle.dumps(stored.data)) < 2000  # the slices are 640 kB
    assert same(pickle.loads(pickle.dumps(stored.data)), stored)
    assert str(volume.path) in Path("/proc/self/maps").read_text() or sys.platform != "linux"
    open_files = Path("/proc/self/fd")
    assert not open_files.exists() or volume.path not in [file.resolve() for file in open_files.iterdir()]


def test_change_in_place_stays_with_the_sample(data: list[dict[str, Any]], tmp_path: Path) -> None:
    for store in (None, tmp_path / "store"):
        slices = dataset(data, store)
        slices[0]["image"].fill_(7)
        assert float(slices[0]["image"].max()) <= 1
        assert slices[0]["image"].untyped_storage().nbytes() == 6 * 5 * 4


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_workers_give_the_same(data: list[dict[str, Any]], tmp_path: Path, start: str) -> None:
    slices = dataset(data[:1], tmp_path / "store")
    loader = DataLoader(slices, batch_size=3, num_workers=1, multiprocessing_context=start)
    images = torch.cat([batch["image"] for batch in loader])
    assert torch.equal(images, torch.stack([sample["image"] for sample in dataset(data[:1], None)]))

"""Fingerprints: equal for what does the same, different for every number that differs, refused where nothing tells."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Lambdad, RandFlipd, ScaleIntensityRanged, SpatialPadd

from qfae_monai.data.fingerprint import _source, fingerprint, source_fingerprint

CONFIGS = Path(__file__).parents[2] / "bundles" / "qfae" / "configs"
PRINT_BUNDLE = """
from tests.data.test_fingerprint import *
print(fingerprint([load_volume(), {"a", "b", "c"}]))
"""


def load_volume(*overlays: str, **overrides: Any) -> Any:
    """`load_volume` of the bundle's training configuration."""
    config = ConfigParser()
    config.read_config([str(CONFIGS / f"{name}.yaml") for name in ("train", *overlays)])
    config.update(overrides)
    return config.get_parsed_content("load_volume")


def scale(**overrides: Any) -> Compose:
    arguments: dict[str, Any] = {"a_min": -200, "a_max": 250, "b_min": 0.0, "b_max": 1.0, "clip": True, **overrides}
    return Compose([ScaleIntensityRanged("image", **arguments)])


def power(exponent: float) -> Any:
    def act(image: Any) -> Any:
        return image**exponent

    return act


KINDS: list[Any] = [
    None,
    1,
    1.5,
    "a",
    b"a",
    (1, [2, {"a": 3}]),
    {1, 2},
    np.arange(3),
    np.float32(2),
    torch.ones(2, dtype=torch.half),
    MetaTensor(torch.ones(2)),
    torch.float32,
    np.float32,
    np.exp,
    Path("a"),
    power(2),
    partial(power, 2),
    len,
]


def test_every_kind_of_thing_has_its_own_and_keeps_it() -> None:
    prints = [fingerprint(thing) for thing in KINDS]
    assert len(set(prints)) == len(KINDS)
    assert prints == [fingerprint(thing) for thing in KINDS]


OTHER: list[list[Any]] = [
    [scale(), scale(a_min=-201)],
    [scale(), scale(clip=False)],
    [scale(), scale(dtype=np.float64)],
    [Compose([scale(), scale(a_min=0)]), Compose([scale(a_min=0), scale()])],
    [SpatialPadd("image", 4), SpatialPadd("label", 4)],
    [Lambdad("image", torch.exp), Lambdad("image", torch.log)],
    [Lambdad("image", power(2)), Lambdad("image", power(3))],
    [np.zeros(3), np.zeros(3, np.float32)],
    [np.zeros((2, 3)), np.zeros((3, 2))],
    [torch.zeros(3), torch.ones(3)],
    [1, 1.0],
    [1, True],
    ["1", 1],
]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_each_difference_shows(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_two_of_a_kind_are_one() -> None:
    assert fingerprint(scale()) == fingerprint(scale())
    assert fingerprint(Lambdad("image", power(2))) == fingerprint(Lambdad("image", power(2)))


LOADER = "read"
SERIES = {"_target_": "qfae_monai.reading.LoadSeriesd", "keys": ["image", "label"], "allow_missing_keys": True}
READER = {
    "_target_": "monai.transforms.LoadImaged",
    "keys": "image",
    "ensure_channel_first": True,
    "reader": {"_target_": "qfae_monai.reading.SeriesReader"},
}
OVERLAYS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    ((), {}),
    (("datasets/ct_window",), {}),
    (("datasets/brats2015", "datasets/brats2015_equalised"), {}),
    ((), {LOADER: SERIES}),
    ((), {LOADER: READER}),
]


@pytest.mark.parametrize(("overlays", "overrides"), OVERLAYS)
def test_bundle_transform_keeps_its_own_after_use(
    overlays: tuple[str, ...], overrides: dict[str, Any], tmp_path: Path
) -> None:
    transform = load_volume(*overlays, **overrides)
    before = fingerprint(transform)
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((4, 5, 6), np.float32), np.eye(4)), tmp_path / "a.nii")
    transform({"image": str(tmp_path / "a.nii"), "mask": str(tmp_path / "a.nii")})
    assert fingerprint(transform) == before == fingerprint(load_volume(*overlays, **overrides))


SERIES_ARGUMENTS: list[dict[str, Any]] = [{"volume": 1}, {"series": "a.nii"}, {"allow": ["missing-slice"]}]


@pytest.mark.parametrize("arguments", SERIES_ARGUMENTS)
def test_what_the_series_reader_is_told_shows(arguments: dict[str, Any]) -> None:
    told = load_volume(**{LOADER: {**SERIES, **arguments}})
    assert fingerprint(told) != fingerprint(load_volume(**{LOADER: SERIES}))


def test_bundle_transform_shows_a_changed_number() -> None:
    assert fingerprint(load_volume()) != fingerprint(load_volume(**{"intensity::upper": 99.0}))


@pytest.mark.slow
def test_another_process_agrees() -> None:
    done = subprocess.run([sys.executable, "-c", PRINT_BUNDLE], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == fingerprint(
        [load_volume(), {"a", "b", "c"}]
    )  # a set's order changes with the process


def test_edited_source_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for factor in (1, 2):
        text = f"FACTOR = {factor}\ndef act(image):\n    return image * FACTOR\nclass Act:\n    pass\n"
        (tmp_path / "edited_recipe.py").write_text(text)
        module: Any = importlib.import_module("edited_recipe")
        _source.cache_clear()  # as a new process would start
        found += [fingerprint(module.act), fingerprint(module.Act())]
    assert len(set(found)) == 4


def test_random_transforms_are_told_apart_where_they_are_asked_for() -> None:
    found = [fingerprint(Compose([RandFlipd("image", prob=prob)]), random=True) for prob in (0.1, 0.1, 0.2)]
    assert found[0] == found[1] != found[2]
    assert fingerprint([1, 2]) == fingerprint([1, 2], random=True)


REFUSED: list[list[Any]] = [
    [Compose([RandFlipd("image")]), r"transforms\[0\].*gives the same each time, got a RandFlipd"],
    [{"lock": iter([])}, r"dict.lock"],
    [np.array([object()]), "array of numbers"],
    [Lambdad("image", lambda image: image + 1), "function with a name from a file, got <lambda>"],
    [type("Made", (), {"__module__": "nowhere"})(), "class from a file, got Made"],
]


@pytest.mark.parametrize(("thing", "message"), REFUSED)
def test_what_cannot_be_told_from_another_is_refused(thing: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fingerprint(thing)


def test_files_count_by_content_not_by_path(tmp_path: Path) -> None:
    first, second = tmp_path / "a.nii", tmp_path / "other" / "b.nii"
    second.parent.mkdir()
    first.write_bytes(b"voxels")
    shutil.copy(first, second)
    found = source_fingerprint({"image": str(first), "case": "a", "patient": "p"})
    assert source_fingerprint({"image": str(second), "case": "b"}) == found
    assert source_fingerprint({"image": str(second), "image_label": 0}) != found
    assert source_fingerprint({"image": [str(first), str(second)]}) != found
    second.write_bytes(b"vowels")  # same length
    assert source_fingerprint({"image": str(second)}) != found


def test_folders_count_by_their_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "series").mkdir(parents=True)
        (tmp_path / name / "series" / "1.dcm").write_bytes(b"slice")
    a, b = ({"image": str(tmp_path / name)} for name in ("a", "b"))
    assert source_fingerprint(a) == source_fingerprint(b)
    (tmp_path / "b" / "series" / "2.dcm").write_bytes(b"slice")
    assert source_fingerprint(a) != source_fingerprint(b)


def test_half_of_a_pair_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.hdr").touch()
    with pytest.raises(ValueError, match=r"a\.hdr.*half of a pair"):
        source_fingerprint({"image": str(tmp_path / "a.hdr")})


def test_voxels_in_a_second_file_count(tmp_path: Path) -> None:
    header = "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (tmp_path / "a.mhd").write_text(header)
    (tmp_path / "a.raw").write_bytes(b"voxels 1")
    entry = {"image": str(tmp_path / "a.mhd")}
    before = source_fingerprint(entry)
    (tmp_path / "a.raw").write_bytes(b"voxels 2")
    assert source_fingerprint(entry) != before
    (tmp_path / "a.mhd").write_text(header.replace("a.raw", "/etc/hostname"))
    with pytest.raises(ValueError, match=r"a\.mhd: ElementDataFile"):
        source_fingerprint(entry)

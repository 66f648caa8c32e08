"""What the MONAI model zoo asks of a bundle; shape, dtype and TorchScript are in `test_qfae` and `test_export`."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser, download_large_files

from qfae_monai import __version__
from tests.bundles.conftest import BUNDLE, CONFIGS
from tests.bundles.zoo_rules import large_file_problems, personal_paths

FILES = (
    "LICENSE",
    "large_files.yml",
    "configs/metadata.json",
    "configs/inference.yaml",
    "configs/train.yaml",
    "docs/README.md",
    "docs/data_license.txt",
)
INFERENCE_KEYS = ("bundle_root", "device", "dataset_dir", "output_dir", "network_def", "inferer")
TRAIN_KEYS = (
    "bundle_root",
    "device",
    "dataset_dir",
    "output_dir",
    "network_def",
    "val_interval",
    "train::trainer",
    "train::trainer::max_epochs",
    "train::dataset",
    "train::dataset::data",
    "train::handlers",
    "train::inferer",
    "train::key_metric",
    "validate::evaluator",
    "validate::handlers",
    "validate::dataset",
    "validate::dataset::data",
    "validate::inferer",
    "validate::key_metric",
)
README_SECTIONS = ("Data", "Commands", "Output", "Export", "Limits")


def metadata() -> dict:
    return json.loads((CONFIGS / "metadata.json").read_text())


@pytest.mark.parametrize("name", FILES)
def test_file_is_there(name: str) -> None:
    assert (BUNDLE / name).stat().st_size > 0


def test_metadata_names_what_is_needed() -> None:
    found = metadata()
    assert found["version"] == __version__
    assert found["changelog"][found["version"]]
    assert found["name"]
    assert {"timm", "nibabel", "pytorch-ignite"} <= set(found["required_packages_version"])
    assert (
        "qfae-monai" not in found["required_packages_version"]
    )  # on no index: whoever took the name would be installed
    assert {"onnx", "onnxscript", "onnxruntime"} == set(found["optional_packages_version"])
    for versions in (found["required_packages_version"], found["optional_packages_version"]):
        assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in versions.values())
    for field in (
        "task",
        "description",
        "authors",
        "copyright",
        "data_source",
        "data_type",
        "image_classes",
        "label_classes",
        "pred_classes",
        "intended_use",
        "references",
    ):
        assert found[field], field
    assert isinstance(found["supported_apps"], dict)


@pytest.mark.parametrize(("name", "keys"), [("inference", INFERENCE_KEYS), ("train", TRAIN_KEYS)])
def test_configuration_has_the_zoos_keys(name: str, keys: tuple[str, ...]) -> None:
    config = ConfigParser()
    config.read_config(str(CONFIGS / f"{name}.yaml"))
    assert [key for key in keys if key not in config] == []


def test_readme_says_how_torchscript_is_made() -> None:
    """The zoo's own check scripts the network; a bundle that cannot be scripted has to say so."""
    text = (BUNDLE / "docs" / "README.md").read_text()
    assert [name for name in README_SECTIONS if f"## {name}\n" not in text] == []
    assert "--use_trace True" in text
    assert "exclude_verify_torchscript_list" in text


def test_large_files_are_listed_and_the_zoo_can_read_the_list() -> None:
    assert large_file_problems(BUNDLE) == []
    download_large_files(bundle_path=str(BUNDLE))


def test_a_large_file_without_entry_or_with_another_hash_is_found(tmp_path: Path) -> None:
    for name in ("models/model.pt", "models/pretrained/mae.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(26 * 2**20)
    entries = tmp_path / "large_files.yml"
    entries.write_text("large_files: []")
    assert large_file_problems(tmp_path) == ["models/model.pt: over 25 MB and not listed"]
    entry = "large_files: [{{path: models/model.pt, url: 'https://example.org', hash_type: sha256, hash_val: {}}}]"
    entries.write_text(entry.format("00"))
    assert re.fullmatch(r"models/model\.pt: expected 0, got [0-9a-f]{64}", large_file_problems(tmp_path)[0])
    entries.write_text(entry.format(hashlib.sha256((tmp_path / "models/model.pt").read_bytes()).hexdigest()))
    assert large_file_problems(tmp_path) == []


def test_no_personal_paths(tmp_path: Path) -> None:
    assert personal_paths(BUNDLE) == []
    (tmp_path / "inference.json").write_text('{"bundle_root": "/home/someone/qfae"}')
    assert personal_paths(tmp_path) == ["inference.json: /home/"]

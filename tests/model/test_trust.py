"""A stranger's model folder runs nothing of theirs: every word in it is one that this package writes there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from qfae_monai.files.configurations import read_configuration
from qfae_monai.model.folder import seal_again
from qfae_monai.model.trust import check_model_trusted
from qfae_monai.predict.model import Model
from tests.model.conftest import make_model
from tests.model.test_signature import OVERLAYS

NAMES = ("inference", "training")
CODE = ("$__import__('os').system('true')", "%other.yaml", "@evaluator")


@pytest.mark.parametrize("overlays", OVERLAYS, ids="+".join)
def test_models_of_this_package_need_no_trust(overlays: tuple[str, ...], tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "format": "float32",
        "slice_store": str(tmp_path),
        "device": "cpu",
        "checkpointing": "full",
        "seed": 3,
        "max_epochs": 2,
    }
    model = make_model(tmp_path / "model", *overlays, **settings)
    for name in NAMES:
        check_model_trusted(model.path, f"configs/{name}.yaml", trusted=False)


def test_models_of_earlier_versions_need_no_trust(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", "datasets/bmad", device="cpu")
    file = model.path / "configs" / "inference.yaml"
    text = file.read_text()
    assert "qfae_monai.data.LoadPictured" in text
    text = text.replace("qfae_monai.data.LoadPictured", "qfae_monai.transforms.LoadGreyImaged")
    text = text.replace("qfae_monai.transforms.QuickResized", "monai.transforms.Resized")
    file.write_text(
        text.replace("$data.input_datalist(@dataset_dir, images=True)", "$data.input_datalist(@dataset_dir)")
    )
    assert "input_datalist(@dataset_dir)" in file.read_text()
    check_model_trusted(model.path, trusted=False)


def test_trainings_that_did_not_ask_for_held_out_scans_need_no_trust(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", device="cpu")
    file = model.path / "configs" / "training.yaml"
    content = read_configuration(file)
    (place,) = [n for n, one in enumerate(content["initialize"]) if "check_shares(len(@validate::dataset)" in str(one)]
    content["initialize"][place] = "$training.check_shares(len(@validate::dataset))"
    file.write_text(yaml.safe_dump(content))
    check_model_trusted(model.path, "configs/training.yaml", trusted=False)


def test_models_that_could_be_tuned_run_without_trust(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", device="cpu")
    words = {
        "inference": ("forward_batch", "$tuning.tuned_forward_batch(@network_def, @score_distance, @device)", 16),
        "training": (
            "accumulation_steps",
            "$tuning.tuned_accumulation(@network_def, @loss_def, @device, @batch_size)",
            1,
        ),
    }
    for name, (key, word, otherwise) in words.items():
        file = model.path / "configs" / f"{name}.yaml"
        content = read_configuration(file)
        content["imports"].append("$import qfae_monai.engines.tuning as tuning")
        file.write_text(yaml.safe_dump({**content, key: f"{word} if @tuned else {otherwise}", "tuned": False}))
        check_model_trusted(model.path, f"configs/{name}.yaml", trusted=False)
    seal_again(model.path)
    assert Model(model.path).bundle.part("forward_batch") == 16


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, (*path, name))
    else:
        yield path


def refused(folder: Path, name: str, content: dict[str, Any], trusted: bool = False) -> bool:
    file = folder / "configs" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))
    if trusted:
        check_model_trusted(folder, f"configs/{name}.yaml", trusted=True)
        return False
    with pytest.raises(ValueError, match=f"{name}\\.yaml: expected what this package writes, or --trust"):
        check_model_trusted(folder, f"configs/{name}.yaml", trusted=False)
    return True


def at(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A configuration with one value at a place; list items stand behind others."""
    for name in reversed(path):
        value = [0] * name + [value] if isinstance(name, int) else {name: value}
    found: dict[str, Any] = value
    return found


@pytest.mark.parametrize("name", NAMES)
def test_code_planted_in_any_field_is_refused(name: str, phantom_model: Path, tmp_path: Path) -> None:
    content = read_configuration(phantom_model / "configs" / f"{name}.yaml")
    places = list(leaves(content))
    assert len(places) > 150
    for path in places:
        own = content
        for step in path:
            own = own[step]
        for code in CODE if own is not None else CODE[:1]:
            assert code == own or refused(tmp_path, name, at(path, code)), (path, code)
        assert refused(tmp_path, name, at(path, {"_target_": "os.system", "command": "true"})), path


@pytest.mark.parametrize(
    "planted",
    [
        {"imports": ["$import subprocess"]},
        {"+imports": ["$import subprocess"]},
        {"imports#0": "$import subprocess"},
        {"+initialize": ["$exit()"]},
        {"~imports": "$exit()"},
        {"more": "$exit()"},
        {"more": {"_target_": "os.abort"}},
        {"read": {"_target_": "monai.transforms.LoadImaged", "keys": "image", "reader": "subprocess.Popen"}},
        {"prepare": {"_target_": "monai.transforms.Lambdad", "keys": "image", "func": "os.system"}},
        {"prepare": {"_target_": "monai.transforms.Compose", "_mode_": "debug"}},
        {"prepare::_target_": "os.system"},
        {"save": {"output_dir": "/etc"}},
        {"slice_store": "/tmp/x"},
        {"output_dir": "/tmp/x"},
        {"weights_dir": "/tmp/x"},
        {"perceptual_file": "/tmp/x"},
        {"ckpt_path": "/tmp/x"},
        {"encoder_weights": "hub"},
        {"device": "cuda"},
        {"model": {"encoder": {"_target_": "os.system"}}},
        {"model": "$exit()"},
        {"model": {"dim": "@run"}},
        {"network_def": {"_target_": "qfae_monai.model.create_qfae", "settings": "/tmp/x"}},
    ],
)
def test_other_words_are_refused(planted: dict[str, Any], tmp_path: Path) -> None:
    for name in NAMES:
        assert refused(tmp_path / name, name, planted), name
        assert not refused(tmp_path / name, name, planted, trusted=True)


def test_nothing_is_built_of_a_model_that_is_refused(copied: Path, edit: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    edit(copied / "configs" / "inference.yaml", "rank: 0", f"rank: $open('{mark}', 'w')")
    with pytest.raises(ValueError, match="a configuration is code"):
        Model(copied)
    assert not mark.exists()

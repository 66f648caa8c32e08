"""A written model leans on nothing outside of its folder, and says nothing of the machine that made it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.files import sha256_of
from qfae_monai.files.configurations import read_configuration
from qfae_monai.model import create_frozen, create_qfae
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import ModelFolder
from qfae_monai.predict.model import Model
from qfae_monai.pretraining.card import model_card
from qfae_monai.pretraining.review import Survey
from qfae_monai.weights import load_checkpoint, save_checkpoint
from qfae_monai.weights.checkpoints import CARD_KEY
from qfae_monai.weights.checksums import ChangedFileError
from tests.model.conftest import make_model

MAE = {"name": "vit_base_patch16_224.mae", "patch_size": 8, "depth": 1, "num_heads": 4, "embed_dim": 64}
OVERLAYS = [
    "datasets/phantoms",
    "datasets/ct_window",
    "datasets/bmad",
    "datasets/brats2015",
    "experiments/ablation-score-mae",
]


def words(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from words(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_inference_is_complete_in_itself(overlay: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", overlay).path
    content = read_configuration(folder / "configs" / "inference.yaml")
    assert not {"preset", "changes", "networks", "intensity"} & content.keys()
    references = {
        name for text in words(content) if text.startswith(("$", "@")) for name in re.findall(r"@(\w+)", text)
    }
    assert references <= content.keys()
    assert not [text for text in words(content) if text.startswith("%")]
    Bundle([folder / "configs" / "inference.yaml"], {"bundle_root": str(folder)}).part("detector_def")


@pytest.mark.parametrize("overlays", [("datasets/phantoms",), ("datasets/bmad",), ("distributed",)])
def test_no_place_of_the_machine_is_written(overlays: tuple[str, ...], tmp_path: Path) -> None:
    names = (
        "dataset_dir",
        "datalist",
        "ckpt_dir",
        "log_dir",
        "ckpt_path",
        "calibration_path",
        "output_dir",
        "weights_dir",
        "resume",
        "slice_store",
        "encoder_weights",
    )
    places: dict[str, Any] = {name: str(tmp_path / name) for name in names}
    model = make_model(tmp_path / "model", *overlays, **places, device="cpu", format="float32")
    for file in (
        path for path in model.path.rglob("*") if path.is_file() and path.suffix not in (".pt", ".safetensors")
    ):
        assert str(tmp_path) not in file.read_text(), file
    training = read_configuration(model.path / "configs" / "training.yaml")
    own = Bundle(["train"]).config.get()
    assert {name: training[name] for name in ("device", "rank", "join")} == {
        name: own[name] for name in ("device", "rank", "join")
    }
    assert not {"backend", "timeout_s"} & training.keys()


def test_an_overlays_own_network_and_distance_are_carried(tmp_path: Path) -> None:
    encoder = {"name": "vit_tiny_patch16_224", "seed": 1, "patch_size": 8, "depth": 1, "embed_dim": 64, "num_heads": 4}
    changes: dict[str, Any] = {"changes::grid": 8, "changes::encoder": encoder, "changes::score_blocks": [0]}
    plain = make_model(tmp_path / "plain", "experiments/table-1-autoencoder", **changes)
    content = read_configuration(plain.path / "configs" / "inference.yaml")
    assert content["network_def"]["_target_"] == "qfae_monai.model.create_autoencoder"
    assert [one["name"] for one in plain.content["frozen"]] == [encoder["name"], "vit_tiny_patch16_224"]
    Model(plain.path)
    by_mae = make_model(tmp_path / "mae", "experiments/ablation-score-mae")
    written = read_configuration(by_mae.path / "configs" / "inference.yaml")
    assert written["score_distance"]["_target_"] == "torch.nn.L1Loss"


def test_frozen_networks_are_in_the_folder_or_named_by_their_hash(tmp_path: Path) -> None:
    included = make_model(tmp_path / "in", "datasets/phantoms")
    assert [one["file"] for one in included.content["frozen"]] == ["models/model.pt", "models/perceptual.safetensors"]
    left_out = make_model(tmp_path / "out", "datasets/phantoms", include_weights=False)
    assert left_out.content["frozen"][1]["file"] is None
    assert not (left_out.path / "models" / "perceptual.safetensors").exists()
    Model(left_out.path)  # made again of its seed


@pytest.fixture
def mae(tmp_path: Path) -> dict[str, Any]:
    """Settings of a model with a public perceptual network."""
    trunk = create_frozen(MAE | {"seed": 3}, image_size=64)
    save_checkpoint(tmp_path / "weights" / f"{MAE['name']}.safetensors", trunk.state_dict())
    return {"changes::perceptual": MAE, "weights_dir": str(tmp_path / "weights")}


def test_weights_that_may_not_be_handed_on_are_left_out_unless_asked_for(mae: dict[str, Any], tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", "datasets/phantoms", **mae)
    file = tmp_path / "weights" / f"{MAE['name']}.safetensors"
    named = model.content["frozen"][1]
    assert (named["file"], named["sha256"]) == (None, sha256_of(file))
    assert "NC" in named["licence"]
    Model(model.path, settings={"weights_dir": mae["weights_dir"]})
    with pytest.raises(FileNotFoundError, match=str(MAE["name"])):
        Model(model.path, settings={"weights_dir": str(tmp_path / "none")})
    save_checkpoint(file, create_frozen(MAE | {"seed": 4}, image_size=64).state_dict())
    with pytest.raises(ValueError, match=r"expected the perceptual network .* that the model was trained with"):
        Model(model.path, settings={"weights_dir": mae["weights_dir"]})
    asked = make_model(tmp_path / "asked", "datasets/phantoms", **mae, include_weights=True)
    assert asked.content["frozen"][1]["file"] == "models/perceptual.safetensors"
    Model(asked.path)


def test_ones_own_networks_become_part_of_the_model(tmp_path: Path) -> None:
    name = "vit_tiny_patch16_224"
    trunk = create_frozen(MAE | {"name": name, "seed": 3}, image_size=32)
    card = model_card(
        "mae",
        name,
        trunk,
        data=Survey(3, "abc", {}),
        initial_weights=None,
        settings={},
        epochs={"done": 1, "planned": 1},
        last={},
    )
    own = tmp_path / "own.safetensors"
    save_checkpoint(own, trunk.state_dict(), metadata={CARD_KEY: json.dumps(card)})
    model = make_model(tmp_path / "model", "own_weights", own_encoder=str(own), own_perceptual=str(own))
    own.unlink()
    assert "whoever trained it" in model.content["frozen"][1]["licence"]
    assert str(tmp_path) not in (model.path / "configs" / "training.yaml").read_text()
    Model(model.path)


def test_monais_own_tools_refuse_another_perceptual_network(copied: Path) -> None:
    other = create_frozen(
        {"name": "vit_tiny_patch16_224", "patch_size": 8, "depth": 1, "num_heads": 4, "embed_dim": 64, "seed": 1},
        image_size=64,
    )
    save_checkpoint(copied / "models" / "perceptual.safetensors", other.state_dict())
    with pytest.raises(ChangedFileError):
        Bundle([copied / "configs" / "inference.yaml"], {"bundle_root": str(copied)}).part("perceptual_trunk")


def test_the_checkpoint_is_what_monais_tools_expect(phantom_model: Path) -> None:
    network = create_qfae("tiny")
    load_checkpoint(network, phantom_model / "models" / "model.pt")
    assert ModelFolder.open(phantom_model).content["kind"] == "volume"
    metadata = json.loads((phantom_model / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [64, 64]

"""What is exported is the model's network or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.files import sha256_of
from qfae_monai.model.export import read_source
from qfae_monai.model.folder import MANIFEST, NETWORK, PERCEPTUAL, seal_again
from qfae_monai.model.packing import pack
from qfae_monai.networks import QFAE
from qfae_monai.weights import save_checkpoint
from tests.model.export.checkpoints import PAPER_LIKE, TINY, make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("source") / "model", TINY)


@pytest.fixture
def changed(model: Path, tmp_path: Path) -> Path:
    """A model folder to be changed."""
    return Path(shutil.copytree(model, tmp_path / "changed"))


def test_record_names_checkpoint_and_settings(model: Path) -> None:
    record = read_source(model).record
    assert record.checkpoint_sha256 == sha256_of(model / NETWORK)
    assert (record.graph, record.image_size) == ("detector", 64)
    assert record.settings["model::score_over_pixels"] == "max"
    assert "slice_axis" not in record.settings  # a matter of use, not of the graph
    assert record.differing_settings({**record.settings, "slice_axis": 0}) == []
    assert record.differing_settings({**record.settings, "model::metric": "cosine"}) == [
        "model::metric: l2 then, cosine now"
    ]


def test_weights_are_the_models(model: Path, tmp_path: Path) -> None:
    saved = torch.load(model / NETWORK, weights_only=True)
    for path in (model, pack(model, tmp_path / "model.zip")):
        found = read_source(path, "reconstruction").module.state_dict()
        assert all(torch.equal(found[name], saved[name]) for name in saved)


def test_half_precision_of_this_machine_stays_out(model: Path) -> None:
    source = read_source(model, settings={"precision": "bfloat16", "compile": True})
    network = source.module.get_submodule("network")
    assert isinstance(network, QFAE)
    assert network.precision == "float32"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ({"graph": "map"}, {}, "graph must be one of"),
        ({}, {"score_block": [1]}, "got 'score_block'"),
        ({}, {"model::metric": "cosine"}, "model::metric: l2 then, cosine now"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: Path, arguments: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_source(model, **arguments, settings=settings)


def test_a_checkpoint_of_another_network_is_refused(changed: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", PAPER_LIKE)
    shutil.copy(other / NETWORK, changed / NETWORK)
    with pytest.raises(ValueError, match="expected the file of this model"):
        read_source(changed)
    seal_again(changed)
    with pytest.raises(ValueError, match="does not fit QFAE"):
        read_source(changed)


def test_a_missing_or_damaged_checkpoint_is_an_error(changed: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a model folder"):
        read_source(tmp_path / "none")
    state = torch.load(changed / NETWORK, weights_only=True)
    (changed / NETWORK).write_bytes(b"half of a file")
    seal_again(changed)
    with pytest.raises(ValueError, match=r"model\.pt.*damaged"):
        read_source(changed)
    state["decoder.prediction.bias"][0] = torch.nan
    save_checkpoint(changed / NETWORK, state)
    seal_again(changed)
    with pytest.raises(ValueError, match="NaN"):
        read_source(changed)


def test_a_missing_perceptual_network_is_an_error(changed: Path) -> None:
    (changed / PERCEPTUAL).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{PERCEPTUAL}: expected a file of the model"):
        read_source(changed)
    (changed / MANIFEST).unlink()
    with pytest.raises(FileNotFoundError, match="a folder without it"):
        read_source(changed)

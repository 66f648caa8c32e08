"""Everything that changes pixels or scores is signed by its name, the same in training and in inference."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.anomaly.calibration import differences
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import INFERENCE
from qfae_monai.model.signature import SIGNED
from tests.model.conftest import make_model

OVERLAYS: list[tuple[str, ...]] = [
    (),
    ("datasets/phantoms",),
    ("datasets/ct_window",),
    ("datasets/brats2015",),
    ("datasets/brats2015", "datasets/brats2015_equalised"),
    ("datasets/bmad",),
    ("datasets/bmad", "datasets/npy"),
    ("device_augmentation",),
    ("experiments/ablation-score-mae",),
    ("distributed",),
]
RUN = ("_target_", "keys", "allow_missing_keys", "precision", "settings", "trunk", "distance", "weights", "compile")


@pytest.mark.parametrize("overlays", OVERLAYS, ids="+".join)
def test_inference_of_a_model_is_that_of_its_training(overlays: tuple[str, ...], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"format": "float32", "device": "cpu"} if "distributed" in overlays else {}
    model = make_model(tmp_path / "model", *overlays, **settings)
    written = Bundle([model.path / INFERENCE]).signature
    assert differences(model.content["signature"], written) == []
    training = Bundle([model.path / "configs" / "training.yaml", "evaluate"], {"model_dir": str(model.path)})
    assert differences(written, training.signature) == []


def test_the_packages_own_training_and_inference_are_equal() -> None:
    for preset in ("paper", "small", "tiny"):
        train, inference = (
            Bundle([name], {"preset": preset, "slice_axis": 2}).signature for name in ("train", "inference")
        )
        assert differences(train, inference) == []


def test_a_quicker_word_for_the_same_pixels_is_signed_as_before(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", "datasets/bmad")
    file = model.path / INFERENCE
    quick = Bundle([file])
    assert quick.config["prepare"]["_target_"] == "qfae_monai.transforms.QuickResized"
    assert quick.signature["prepare::_target_"] == "monai.transforms.Resized"
    file.write_text(file.read_text().replace("qfae_monai.transforms.QuickResized", "monai.transforms.Resized"))
    assert differences(Bundle([file]).signature, quick.signature) == []


def numbers(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Name and value of every number and word below a key."""
    if isinstance(value, dict | list):
        for below, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(one, f"{name}::{below}")
    else:
        yield name, value


def changed(value: Any) -> Any:
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value}x"


@pytest.mark.parametrize("overlay", ["datasets/ct_window", "datasets/bmad"])
def test_one_changed_number_is_named(overlay: str, tmp_path: Path) -> None:
    path = make_model(tmp_path / "model", overlay).path / INFERENCE
    bundle = Bundle([path])
    before, content = bundle.signature, copy.deepcopy(bundle.config.get())
    written = [place for key in SIGNED if key in content for place in numbers(content[key], key)]
    plain = [
        (name, value)
        for name, value in written
        if not str(value).startswith(("@", "$")) and name.split("::")[-1] not in RUN
    ]
    assert len(plain) > 30
    for name, value in plain:
        bundle.config.set(copy.deepcopy(content))
        bundle.config[name] = changed(value)
        found = differences(before, bundle.signature)
        assert any(name.startswith(one.split(": ")[0]) for one in found), name


def test_another_component_is_a_difference() -> None:
    plain, other = (
        Bundle(["train", *names], {"preset": "tiny", "slice_axis": 2}).signature
        for names in ((), ("experiments/ablation-score-mae",))
    )
    assert any("torch.nn.L1Loss" in one for one in differences(plain, other))


def test_what_changes_no_score_is_not_signed() -> None:
    plain = Bundle(["train"], {"preset": "tiny", "slice_axis": 2}).signature
    others = {"compile": True, "checkpointing": "full", "weights_dir": "/elsewhere", "num_workers": 3, "batch_size": 1}
    assert differences(plain, Bundle(["train"], {"preset": "tiny", "slice_axis": 2, **others}).signature) == []


def test_a_value_that_json_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="slice_axis: expected a number, a word or a list of them"):
        _ = Bundle(["train"], {"preset": "tiny", "slice_axis": "$object()"}).signature


def test_a_share_of_slices_is_signed_where_there_is_one() -> None:
    without = Bundle(["train"], {"preset": "tiny", "slice_axis": 2}).signature
    assert "slice_share" not in without  # as in models of earlier versions, which do not have the key
    signed = Bundle(["train"], {"preset": "tiny", "slice_axis": 2, "slice_share": [0.1, 0.9]}).signature
    assert signed == {**without, "slice_share": [0.1, 0.9]}

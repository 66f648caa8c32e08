"""Each number of a model stands once, and a name that is none is refused."""

from __future__ import annotations

import pytest
import torch

from qfae_monai.model.builders import create_frozen
from qfae_monai.model.presets import MODELS, TRAINING, model_settings, training_setting


def test_all_presets_have_the_same_names() -> None:
    assert len({frozenset(numbers) for numbers in MODELS.values()}) == 1
    assert len({frozenset(numbers) for numbers in TRAINING.values()}) == 1
    assert MODELS.keys() == TRAINING.keys()


def test_a_change_stays_with_who_asked_for_it() -> None:
    model_settings("tiny")["encoder"]["depth"] = 9
    assert model_settings("tiny")["encoder"]["depth"] == 1
    assert model_settings("tiny", {"dim": 64})["dim"] == 64


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("huge", {}, "expected one of paper, small, dinov2_small, tiny, tiny_tokens, got 'huge'"),
        ("tiny", {"dimm": 1}, r"changes: expected names of .*; got 'dimm'"),
    ],
)
def test_unknown_names_are_refused(preset: str, changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_settings(preset, changes)


def test_training_numbers_of_an_unknown_preset_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'huge'"):
        training_setting("huge", "batch_size")


def test_random_networks_of_earlier_models_keep_their_values() -> None:
    """A model's folder names its networks in full: without the word `positions` they are what they were."""
    now = model_settings("tiny")["encoder"]
    before = {name: value for name, value in now.items() if name != "positions"}
    assert now["positions"] == "sincos"
    old, new = (create_frozen(one, image_size=64).state_dict() for one in (before, now))
    assert old["pos_embed"][0, 1:].std() == pytest.approx(0.02, rel=0.1)  # timm's
    assert {name for name in old if not torch.equal(old[name], new[name])} == {"pos_embed"}

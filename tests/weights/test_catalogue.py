"""The known networks: names that timm knows, licences, and where their files belong."""

from __future__ import annotations

import dataclasses

import pytest
import timm

from qfae_monai.weights import CATALOGUE, find_entry

TIMM_ENTRIES = [entry for entry in CATALOGUE if entry.published_at is None]


@pytest.mark.parametrize("entry", TIMM_ENTRIES, ids=lambda entry: entry.name)
def test_timm_publishes_every_network(entry) -> None:  # type: ignore[no-untyped-def]
    assert timm.is_model_pretrained(entry.name)
    assert entry.repository == f"timm/{entry.name}"
    assert entry.local_files[0] == f"{entry.name}.safetensors"
    assert f"{entry.name}/model.safetensors" in entry.local_files


TEST_CASES_LICENCE = [
    ["vit_large_patch16_224.mae", "CC BY-NC 4.0"],
    ["vit_base_patch16_224.mae", "CC BY-NC 4.0"],
    ["vit_large_patch14_reg4_dinov2.lvd142m", "Apache-2.0"],
    ["vit_large_patch14_reg4_dinov2", "Apache-2.0"],  # without its tag: timm's default one
    ["vit_base_patch8_224.dino", "Apache-2.0"],
    ["vit_large_patch14_clip_224.laion2b", "MIT"],
    ["vit_small_patch16_224.dino", "unknown: ask its publisher"],
]


@pytest.mark.parametrize(("name", "licence"), TEST_CASES_LICENCE)
def test_licence(name: str, licence: str) -> None:
    assert find_entry(name).licence.startswith(licence)


def test_published_models() -> None:
    entry = find_entry("qfae-liver")
    assert (entry.repository, entry.remote_files) == ("ebayar/QFAE-checkpoints", ("liver/last_ckpt.pth",))
    assert entry.local_files[0] == "qfae-liver.pth"


def test_entries_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CATALOGUE[0].licence = "none"  # type: ignore[misc]

"""Where the values of a vision transformer come from, and every way in which they can be refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from qfae_monai.anomaly.perceptual import at_patch_size
from qfae_monai.networks.patches import sincos_positions
from qfae_monai.weights import ChangedFileError, WeightsNotFoundError, create_vit
from qfae_monai.weights.checksums import record_sum

NAME = "vit_tiny_patch16_224"
MAE = "vit_large_patch16_224.mae"
DINOV2 = "vit_large_patch14_reg4_dinov2.lvd142m"
RESAMPLING = Path(__file__).parent / "data" / "resampling.safetensors"
PATCH_EMBED = "patch_embed.proj.weight"


@pytest.fixture
def file(tmp_path: Path, tiny: dict) -> Path:
    """A file of the tiny transformer, seeded with 1."""
    path = tmp_path / "weights" / f"{NAME}.safetensors"
    path.parent.mkdir()
    save_file(create_vit(NAME, seed=1, **tiny).state_dict(), path)
    return path


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_seed_is_reproducible_and_leaves_the_global_random_state(tiny: dict) -> None:
    torch.manual_seed(5)
    undisturbed = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (create_vit(NAME, seed=seed, **tiny).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), undisturbed)
    assert equal(first, again)
    assert not torch.equal(first[PATCH_EMBED], other[PATCH_EMBED])


def test_no_source_of_values_is_an_error(tiny: dict) -> None:
    with pytest.raises(ValueError, match=r"vit_tiny_patch16_224: expected weights .* or a seed .* got neither"):
        create_vit(NAME, **tiny)


def test_awaiting_a_checkpoint_every_parameter_is_nan(tiny: dict) -> None:
    network = create_vit(NAME, weights="checkpoint", **tiny)
    assert all(bool(parameter.isnan().all()) for parameter in network.parameters())
    assert bool(network(torch.zeros(1, 3, 64, 64)).isnan().all())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
def test_file(suffix: str, tmp_path: Path, tiny: dict) -> None:
    expected = create_vit(NAME, seed=1, **tiny).state_dict()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(expected, path)
    else:
        torch.save({"model": expected}, path)
    torch.manual_seed(5)
    found = create_vit(NAME, weights=path, **tiny).state_dict()
    assert torch.initial_seed() == 5
    assert equal(found, expected)


@pytest.mark.parametrize("layout", [f"{NAME}.safetensors", f"{NAME}/model.safetensors"])
def test_folder(layout: str, file: Path, tmp_path: Path, tiny: dict) -> None:
    path = tmp_path / "folder" / layout
    path.parent.mkdir(parents=True)
    file.rename(path)
    network = create_vit(NAME, weights=str(tmp_path / "folder"), **tiny)
    assert equal(network.state_dict(), create_vit(NAME, seed=1, **tiny).state_dict())


def test_hub_name_is_read_from_the_local_cache(file: Path, hub_cache: Path, tiny: dict) -> None:
    repository = hub_cache / "models--timm--vit_base_patch8_224.dino"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    file.rename(repository / "snapshots" / ("0" * 40) / "model.safetensors")
    network = create_vit("vit_base_patch8_224.dino", weights="hub", patch_size=16, **tiny)
    assert equal(network.state_dict(), create_vit(NAME, seed=1, **tiny).state_dict())


@pytest.mark.parametrize("patch_size", [8, 32])
def test_patch_size_resamples_as_the_reference_does(patch_size: int, tmp_path: Path) -> None:
    # Numbers from the released implementation's perceptual network (patch 16), two of its channels.
    tensors = load_file(RESAMPLING)
    sizes: dict[str, Any] = {"embed_dim": 2, "depth": 1, "num_heads": 1}
    state = create_vit(MAE, seed=0, **sizes).state_dict()
    state.update({name: tensors[f"mae.patch16.{name}"] for name in ("pos_embed", PATCH_EMBED)})
    save_file(state, tmp_path / "mae.safetensors")
    found = create_vit(MAE, weights=tmp_path / "mae.safetensors", patch_size=patch_size, **sizes).state_dict()
    for name in ("pos_embed", PATCH_EMBED):
        torch.testing.assert_close(found[name], tensors[f"mae.patch{patch_size}.{name}"], rtol=0, atol=1e-6)


def test_image_size_resamples_as_the_reference_does(tmp_path: Path) -> None:
    # Numbers from the released implementation: a DINOv2 with registers, native 518 px (37 x 37), used at 224 px.
    tensors = load_file(RESAMPLING)
    sizes: dict[str, Any] = {"embed_dim": 2, "depth": 1, "num_heads": 1}
    state = {**create_vit(DINOV2, seed=0, **sizes).state_dict(), "pos_embed": tensors["dinov2.518.pos_embed"]}
    save_file(state, tmp_path / f"{DINOV2}.safetensors")
    found = create_vit(DINOV2, weights=tmp_path, **sizes).state_dict()
    torch.testing.assert_close(found["pos_embed"], tensors["dinov2.224.pos_embed"], rtol=0, atol=1e-6)


def test_classifier_in_the_file_is_left_out(file: Path, tiny: dict) -> None:
    save_file({**load_file(file), "head.weight": torch.zeros(7, 48), "head.bias": torch.zeros(7)}, file)
    assert "head.weight" not in create_vit(NAME, weights=file, **tiny).state_dict()


TEST_CASES_OTHER_ARCHITECTURE = [
    [{"embed_dim": 24}, r"cls_token: expected \(1, 1, 24\), found \(1, 1, 48\).*and \d+ more"],
    [{"depth": 3}, r"blocks\.2\.norm1\.weight: expected \(48\), found none"],
    [{"depth": 1}, r"blocks\.1\.attn\.proj\.bias: expected none, found \(48\)"],
    # timm itself fails while it resamples positions of another number of prefix tokens
    [{"reg_tokens": 4, "no_embed_class": True}, r"reg_token: expected \(1, 4, 48\), found none"],
]


@pytest.mark.parametrize(("change", "message"), TEST_CASES_OTHER_ARCHITECTURE)
def test_file_of_another_architecture(change: dict, message: str, file: Path, tiny: dict) -> None:
    with pytest.raises(ValueError, match=rf"{NAME}\.safetensors, read as {NAME}, does not fit .*{message}"):
        create_vit(NAME, weights=file, **{**tiny, **change})


def test_damaged_file(file: Path, tiny: dict) -> None:
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match=rf"{NAME}\.safetensors: expected a complete file of tensors"):
        create_vit(NAME, weights=file, **tiny)


def test_file_with_nan(file: Path, tiny: dict) -> None:
    save_file({**load_file(file), "cls_token": torch.full((1, 1, 48), torch.nan)}, file)
    with pytest.raises(ValueError, match=rf"{NAME}\.safetensors.*hold NaN, cls_token is the first"):
        create_vit(NAME, weights=file, **tiny)


def test_file_is_compared_with_the_recorded_sum(file: Path, tiny: dict) -> None:
    recorded = record_sum(file)
    create_vit(NAME, weights=file, **tiny)
    save_file(create_vit(NAME, seed=2, **tiny).state_dict(), file)
    with pytest.raises(ChangedFileError, match=rf"{NAME}\.safetensors has changed: .* SHA-256 {recorded}, found"):
        create_vit(NAME, weights=file.parent, **tiny)


TEST_CASES_MISSING = [
    ["hub", r"model\.safetensors or pytorch_model\.bin of timm/vit_large_patch16_224\.mae in the cache .*hub-cache"],
    ["no-such-file.safetensors", r"looked for no-such-file\.safetensors\."],
    ["no-such-folder", r"looked for no-such-folder\..*--output no-such-folder"],
    [Path(__file__).parent, r"looked for .*weights/vit_large_patch16_224\.mae\.safetensors, .*mae/model\.safetensors"],
]


@pytest.mark.parametrize(("weights", "message"), TEST_CASES_MISSING)
def test_missing_weights_say_where_they_belong_and_how_to_get_them(weights: str | Path, message: str) -> None:
    start = time.perf_counter()
    with pytest.raises(WeightsNotFoundError, match=rf"weights of {MAE} not found") as failure:
        create_vit(MAE, weights=weights)
    assert time.perf_counter() - start < 1  # seconds
    assert isinstance(failure.value, FileNotFoundError)
    failure.match(message)
    failure.match(r"CC BY-NC 4\.0")
    failure.match(rf"qfae weights fetch {MAE} --output ")


TEST_CASES_REFUSED = [
    ["vit_huge_patch3", {}, "'vit_huge_patch3' is neither in the catalogue"],
    ["vit_base_patch16_224.nosuchtag", {}, r"expected one of timm's tags of vit_base_patch16_224: .*mae"],
    ["resnet18", {}, "resnet18: timm cannot build it with"],
    ["qfae-brain", {}, "qfae-brain: expected a vision transformer of timm, found a checkpoint of the whole model"],
    [NAME, {"image_size": 100}, "image_size 100 is not divisible by patch_size 16"],
    [NAME, {"colour": "blue"}, r"timm cannot build it with \{'colour': 'blue'\}"],
]


@pytest.mark.parametrize(("name", "arguments", "message"), TEST_CASES_REFUSED)
def test_arguments_that_cannot_be_served(name: str, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_vit(name, seed=0, **arguments)


def test_download_is_for_the_hub_only(file: Path, tiny: dict) -> None:
    with pytest.raises(ValueError, match="download is for weights='hub', got weights="):
        create_vit(NAME, weights=file, download=True, **tiny)


def test_random_networks_know_places_on_request() -> None:
    """Sine-cosine positions as large as tokens, none for prefix tokens; without the word, the values of old models."""
    sizes: dict[str, Any] = {"image_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 1, "num_heads": 4}
    old, new = (create_vit("vit_tiny_patch16_224", seed=7, positions=one, **sizes) for one in (None, "sincos"))
    before, after = old.state_dict(), new.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"pos_embed"}
    assert torch.equal(after["pos_embed"][0, 1:], sincos_positions(64, 4))
    assert not after["pos_embed"][0, 0].any()
    assert after["pos_embed"][0, 1:].std() > 10 * before["pos_embed"][0, 1:].std()
    coarse = at_patch_size(new, 16).state_dict()["pos_embed"]
    assert torch.allclose(coarse[0, 1:].mean(0), sincos_positions(64, 4).mean(0), atol=0.2)  # still the same square


def test_unknown_positions() -> None:
    with pytest.raises(
        ValueError, match="positions: expected None or sincos for a network with positions, got 'learned'"
    ):
        create_vit("vit_tiny_patch16_224", seed=7, positions="learned")  # type: ignore[arg-type]

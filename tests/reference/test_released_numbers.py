"""Numbers of the released QFAE implementation, made with seeded random weights on a CPU in float32.

Case A: one encoder with registers, two hidden states. Case C: last hidden state, additional block, one output channel,
L1 + perceptual. `data/` holds weights in the released layout, images, and samples of the expected tensors: every 5th
pixel in both directions, every 7th token, every 7th entry of weights and gradients of more than 1000 entries.
Sensitivities of case A: non-causal self-attention 6e-4, LayerNorm eps 1e-6 1.6e-3, no null token 1.7e-3.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import torch
from monai.losses import SSIMLoss
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from qfae_monai.anomaly import AnomalyScorer, PerceptualLoss, WeightedSumLoss
from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, QFormer
from qfae_monai.networks.qformer import CrossAttention
from qfae_monai.weights import convert_released
from qfae_monai.weights.released import load_matching

DATA = Path(__file__).parent / "data"
CASES: dict[str, dict[str, Any]] = json.loads((DATA / "cases.json").read_text())
MEAN, STD = 0.449, 0.226
PIXELS, ENTRIES, SAMPLED_ABOVE = 5, 7, 1000
MAPS_ATOL = WEIGHTS_ATOL = 1e-5
LOSS_ATOL = 1e-6
GRADIENT_RTOL = 1e-5  # of the tensor's norm

EVALUATIONS = [(name, evaluation) for name, case in CASES.items() for evaluation in case["evals"]]
EACH_CASE = pytest.mark.parametrize("name", list(CASES))


class Run(NamedTuple):
    """A network with the case's weights, its image and reconstruction, and the expected tensors."""

    network: QFAE
    image: Tensor
    reconstruction: Tensor
    expected: dict[str, Tensor]


def build(name: str) -> QFAE:
    case = CASES[name]
    network = QFAE(
        FrozenViT(VisionTransformer(**case["trunk"]), **case["encoder"]),
        QFormer(**case["qformer"]),
        PatchDecoder(**case["decoder"]),
    )
    load_matching(network, convert_released(load_file(DATA / f"case{name}_model.safetensors")), source="case")
    return network.eval()


@cache
def run(name: str) -> Run:
    network, expected = build(name), load_file(DATA / f"case{name}_tensors.safetensors")
    image = ((expected["image"].float() / 255 - MEAN) / STD).expand(-1, 3, -1, -1)
    with torch.no_grad():
        return Run(network, image, network(image), expected)


def perceptual(name: str, **arguments: Any) -> PerceptualLoss:
    trunk = VisionTransformer(**CASES[name]["perceptual_trunk"])
    trunk.load_state_dict(load_file(DATA / "perceptual_base.safetensors"))
    return PerceptualLoss(trunk, **arguments)


def pixels(tensor: Tensor) -> Tensor:
    return tensor[..., ::PIXELS, ::PIXELS]


def entries(tensor: Tensor) -> Tensor:
    return tensor.flatten()[::ENTRIES] if tensor.numel() > SAMPLED_ABOVE else tensor


def close(found: Tensor, wanted: Tensor, *, atol: float = MAPS_ATOL, name: str = "") -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol, msg=lambda text: f"{name} {text}")


@EACH_CASE
def test_reconstruction_and_what_leads_to_it(name: str) -> None:
    network, image, reconstruction, expected = run(name)
    close(pixels(reconstruction), expected["reconstruction"])
    positions = network.decoder.get_buffer("positions")
    close(positions[:, ::ENTRIES], expected["positions"], atol=1e-6)
    with torch.no_grad():
        close(network.encode(image)[:, ::ENTRIES], expected["features"])
        attention = cast(CrossAttention, network.qformer.get_submodule("blocks.0.cross_attention"))
        query, key, _ = attention._heads(network.qformer.mixed_queries(), network.encode(image[:1]))
    weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)  # (1, heads, Q, 1 + T), the null token first
    close(weights[:, :, ::196], expected["attention"])


@EACH_CASE
def test_training_maps(name: str) -> None:
    _, image, reconstruction, expected = run(name)
    with torch.no_grad():
        maps = perceptual(name, **CASES[name]["train"], reduction="none")(reconstruction, image)
    weight = CASES[name]["weights"][-1]  # the released maps carry their loss's weight
    close(pixels(maps) * weight, expected["train_maps"])


@EACH_CASE
def test_distances_before_resizing(name: str) -> None:
    _, image, reconstruction, expected = run(name)
    sizes = [int(key.removeprefix("cosine.p")) for key in expected if key.startswith("cosine.")]
    loss = perceptual(name, blocks=(2, 3, 4), patch_sizes=sizes)
    assert len(sizes) >= 3
    for size in sizes:
        with torch.no_grad():
            pairs = zip(loss.features(image, size), loss.features(reconstruction, size), strict=True)
            grids = torch.stack([1 - torch.cosine_similarity(a, b, dim=-1) for a, b in pairs], dim=1)
        wanted = expected[f"cosine.p{size}"]
        close(grids.view_as(wanted), wanted)


@pytest.mark.parametrize(("name", "evaluation"), EVALUATIONS)
def test_anomaly_maps_and_scores(name: str, evaluation: str) -> None:
    _, image, reconstruction, expected = run(name)
    distance = perceptual(name, **CASES[name]["evals"][evaluation], reduction="none")
    with torch.no_grad():
        layer_maps = distance(reconstruction, image)  # (B, L, H, W)
    wanted = expected[f"{evaluation}.maps"]
    close(pixels(layer_maps)[: len(wanted)], wanted)
    result = AnomalyScorer(distance)(image, reconstruction)
    close(pixels(result.anomaly_map[0]), expected[f"{evaluation}.anomaly_map"])
    close(result.score, expected[f"{evaluation}.score.max_mean"])
    rsna = AnomalyScorer(distance, score_over_pixels="mean", score_over_layers="max")(image, reconstruction)
    close(rsna.score, expected[f"{evaluation}.score.mean_max"])


@EACH_CASE
@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_other_perceptual_metrics(name: str, metric: Any) -> None:
    _, image, reconstruction, _ = run(name)
    distance = perceptual(name, blocks=(3, 4), patch_sizes=[32], metric=metric, reduction="none")
    with torch.no_grad():
        found = distance(reconstruction, image).mean(dim=(2, 3)).T
    wanted = torch.tensor(CASES[name]["per_image_p32_blocks_3_4"][metric])
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)  # l2 is of the order of 10


@EACH_CASE
def test_pixel_losses_of_the_ablation(name: str) -> None:
    _, image, reconstruction, _ = run(name)
    ssim = SSIMLoss(2, data_range=1.0, win_size=7, reduction="none")
    found = {
        "l1": nn.L1Loss(reduction="none")(reconstruction, image),
        "l2": nn.MSELoss(reduction="none")(reconstruction, image),
        "ssim": ssim(reconstruction, image),
    }
    for criterion, values in found.items():
        wanted = torch.tensor(CASES[name]["per_image"][criterion])
        torch.testing.assert_close(values.flatten(1).mean(1), wanted, rtol=1e-6, atol=1e-6)


@EACH_CASE
def test_three_training_steps(name: str) -> None:
    case, (_, image, _, expected) = CASES[name], run(name)
    network = build(name).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # the numbers were made without dropout
    objective: nn.Module = perceptual(name, **case["train"])
    if len(case["weights"]) == 2:
        objective = WeightedSumLoss([nn.L1Loss(), objective], case["weights"])

    trained = {key: parameter for key, parameter in network.named_parameters() if parameter.requires_grad}
    frozen = {key: value.clone() for key, value in network.state_dict().items() if key not in trained}
    optimizer = torch.optim.Adam(trained.values(), lr=8e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-5, total_steps=10, pct_start=0.15)
    for number, step in enumerate(case["steps"]):
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(step["lr"], rel=1e-9)
        assert group["betas"] == pytest.approx(step["betas"], rel=1e-9)
        optimizer.zero_grad()
        loss = objective(network(image), image)
        close(loss.detach(), torch.tensor(step["loss"]), atol=LOSS_ATOL)
        loss.backward()
        if number == 0:
            check_gradients(case, trained, expected)
        optimizer.step()
        schedule.step()

    check_weights(case, trained, expected)
    state = network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in frozen.items())
    with torch.no_grad():
        again = network.eval()(image[:1])
    close(pixels(again), expected["reconstruction_after"])


def released(expected: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The expected tensors of one kind, under our names."""
    found = {key.removeprefix(prefix): value for key, value in expected.items() if key.startswith(prefix)}
    return convert_released(found)


def check_gradients(case: dict[str, Any], trained: dict[str, nn.Parameter], expected: dict[str, Tensor]) -> None:
    gradients = released(expected, "grad.")
    assert gradients.keys() == trained.keys()
    for key, sample in gradients.items():
        gradient = trained[key].grad
        assert gradient is not None, key
        found, wanted = without_key_bias(key, case, entries(gradient), sample)
        assert float((found - wanted).norm() / wanted.norm()) < GRADIENT_RTOL, key


def check_weights(case: dict[str, Any], trained: dict[str, nn.Parameter], expected: dict[str, Tensor]) -> None:
    for key, sample in released(expected, "weight.").items():
        found, wanted = without_key_bias(key, case, entries(trained[key].detach()), sample)
        close(found, wanted, atol=WEIGHTS_ATOL, name=key)


def without_key_bias(key: str, case: dict[str, Any], *tensors: Tensor) -> list[Tensor]:
    """Leave out the key's bias: softmax does not see it, so its true gradient is 0 and Adam amplifies the rounding."""
    if not key.endswith("qkv.bias"):
        return list(tensors)
    width = len(tensors[0]) // 3
    if key.startswith("qformer."):  # one key and value head shared by all query heads
        width = case["qformer"]["dim"] // case["qformer"]["heads"]
    return [torch.cat([tensor[: -2 * width], tensor[-width:]]) for tensor in tensors]
